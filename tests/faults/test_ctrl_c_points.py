"""Ctrl-C at any moment: `python -m tests.ctrl_c_points`, in short; and signal handlers that cancel at any moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest

import ctrl_c_points
from chainpump import Inline, Pipeline, RunCancelledError, Threads, sink, source
from chainpump.errors import Cancelled
from chainpump.ipc.wakeups import Wakeup
from chainpump.pipeline import opened
from chainpump.start import RunOptions
from chainpump.transport import thread_channel
from chainpump.transport.frames import Frame, Span
from chainpump.transport.thread_channel import MemoryChannel
from ctrl_c_points import Finger, press_at_each, slowly, total
from faults.places import FORK
from support.cases import in_short, in_turns
from support.gate import LIMIT
from support.threads import ends, threads_that_stay
from support.verdict import Verdict

# Of about 9,000 moments, each 1,601st is tested, so that the tests take seconds. The command tests all of them.
EVERY = in_short(usual=1601, whole=401)


@in_turns
@pytest.mark.parametrize(
    "place, way",
    [
        *((place, way) for place in ("threads", "forkserver", "inline") for way in ("iterated", "sink")),
        ("threads", "opened"),
    ],
)
def test_ctrl_c_at_any_moment_ends_the_run_and_leaves_nothing(place: str, way: str) -> None:
    verdict = Verdict()
    moments = press_at_each(place, way, EVERY, 0, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["interrupted"] == moments // EVERY > 2


@FORK
def test_ctrl_c_at_any_moment_ends_a_run_of_forked_workers() -> None:
    verdict = Verdict()
    press_at_each("fork", "iterated", EVERY, EVERY // 2, verdict)
    assert verdict.wrong == []
    assert verdict.outcomes["interrupted"] > 2


def test_channel_between_threads_is_hung_up_wherever_ctrl_c_has_broken_in() -> None:
    def used(channel: MemoryChannel) -> None:
        channel.sender(0).send([1], False, Span(0, 1), None)
        channel.get(wait=True)
        channel.wait(0)

    for n in count(1):
        channel, finger = MemoryChannel(1, 1, None), Finger(n)
        with suppress(KeyboardInterrupt):
            finger.run(lambda: used(channel))  # noqa: B023  # it is over before the next one
        assert ends(channel.hang_up), f"not after moment {n}, {finger.where}"
        if finger.pressed_at is None:
            assert n > 10
            return


@contextmanager
def handled_by(handler: Callable[[], object]) -> Iterator[None]:
    """Let this handle Ctrl-C, and fail if the block does not end: a wait for a lock is broken off, too."""

    def fail(*_: object) -> None:
        raise AssertionError(f"still waiting after {LIMIT:g} s")

    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGALRM)]
    signal.signal(signal.SIGINT, lambda *_: handler())
    signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, each in before:
            signal.signal(number, each)


class Blocked(Exception):
    """A wait would not end by itself."""


class Unending(Wakeup):
    """Says so, and does not wait."""

    def wait(self, seconds: float = -1) -> bool:
        # Not by `super()`, in which a handler could come after the look.
        if not self._lock.acquire(blocking=False):
            raise Blocked
        return True


def putting(channel: MemoryChannel) -> bool:
    """Put frames until the channel is hung up."""
    try:
        while True:
            channel.put(Frame(0, Span(0, 1), [1], None, nbytes=1 << 40))
    except Cancelled:
        return True


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(putting, id="put"),
        pytest.param(lambda channel: channel.get(wait=True) is None, id="get"),
        pytest.param(lambda channel: channel.wait(LIMIT), id="wait"),
    ],
)
def test_channel_between_threads_is_hung_up_by_a_handler_that_has_interrupted_any_wait_for_it(
    use: Callable[[MemoryChannel], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_channel, "Wakeup", Unending)
    for n in count(1):
        channel, finger = MemoryChannel(1, 1, None), Finger(n)
        ended: list[bool] = []
        with handled_by(channel.hang_up), suppress(Blocked):
            finger.run(lambda: ended.append(use(channel)))  # noqa: B023  # it is over before the next one
        if finger.pressed_at is None:
            assert (n > 5, ended) == (True, [])
            return
        assert ended == [True], f"not after moment {n}, {finger.where}"


def merged() -> Pipeline[int]:
    """The thread that iterates waits for the channel to which other threads send the items of the parts."""
    part = Pipeline(source(range, 3), on=Threads())
    return Pipeline.merge(part, part)


def in_one_thread() -> Pipeline[int]:
    """There is no supervisor: `cancel` itself ends the run."""
    return Pipeline(source(range, 3), on=Inline()).map(abs, on=Inline())


@pytest.mark.parametrize(
    "made, within, every",
    [
        pytest.param(merged, (thread_channel.__file__,), 1, id="merged"),
        pytest.param(in_one_thread, ctrl_c_points.WITHIN, 31, id="in one thread"),
    ],
)
def test_run_ends_when_a_handler_that_has_interrupted_it_anywhere_cancels_it(
    made: Callable[[], Pipeline[int]], within: tuple[str, ...], every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctrl_c_points, "WITHIN", within)
    cancelled = 0
    for n in count(1, every):
        found: list[int] = []
        finger = Finger(n)
        with made().open() as run, handled_by(run.cancel):
            try:
                finger.run(lambda: found.extend(run))  # noqa: B023  # it is over before the next one
            except RunCancelledError:
                cancelled += 1
            else:
                assert sorted(found) == sorted([*range(3)] * (2 if made is merged else 1)), finger.where
        assert threads_that_stay() == [], finger.where
        if finger.pressed_at is None:
            assert cancelled > 5
            return


def test_run_ends_wherever_ctrl_c_has_broken_into_the_wait_for_its_value() -> None:
    summed = Pipeline(source(slowly), on=Threads()).into(sink(total), on=Threads())
    for n in count(1, in_short(usual=4, whole=1)):
        run, finger = opened(summed, RunOptions()), Finger(n)
        with suppress(KeyboardInterrupt):
            finger.run(run.result)
        assert ends(run.close), f"not after moment {n}, {finger.where}"
        if finger.pressed_at is None:
            assert n > 10
            return


@pytest.mark.parametrize("is_running", [False, True])
def test_run_ends_although_a_signal_handler_has_raised_as_its_supervisor_started(
    is_running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a handler of SIGTERM that calls `sys.exit`: of all signals, only Ctrl-C is deferred meanwhile."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "chainpump supervisor":
            monkeypatch.undo()
            if is_running:
                start(thread)
            raise SystemExit
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    started: list[BaseException] = []

    def opened_and_closed() -> None:
        try:
            Pipeline(range(3)).map(abs, on=Threads()).open()
        except SystemExit as error:
            started.append(error)

    assert ends(opened_and_closed)
    assert len(started) == 1
