"""Who looks on while a run goes: shown what there is, never waited for, and no harm to the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from chainpump.messages.names import Role
from chainpump.progress import observer_thread
from chainpump.progress.latency import Counts
from chainpump.progress.observer_thread import Observer, Observing
from chainpump.progress.reading import Reading, StageFacts, WorkerReading
from chainpump.progress.snapshot import Progress
from support.gate import LIMIT

SECOND = 1_000_000_000
PLACES = (
    StageFacts("load", Role.SOURCE, "Inline()", 1, group=0),
    StageFacts("save", Role.SINK, "Inline()", 1, group=1),
)


class Run:
    """A run that is one second and ten items further at every look; at the end it stays as it is."""

    def __init__(self) -> None:
        self._seconds = count(1)
        self._last = 0
        self.is_over = False

    def read(self) -> Reading:
        if not self.is_over:
            self._last = next(self._seconds)
        items = 10 * self._last
        stages = [[WorkerReading(sent=items)], [WorkerReading(received=items, finished=items - self._last)]]
        return Reading(self._last * SECOND, 0, stages, self.is_over)

    def counts(self) -> list[Counts]:
        items = 10 * self._last
        return [Counts(0, 0, items), Counts(items, items - self._last, 0)]


class Watcher:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.shown: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        with self._changed:
            self.shown.append(progress)
            self._changed.notify_all()

    def wait_for(self, snapshots: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.shown) >= snapshots, LIMIT)


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def start(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Observing]]:
    """Starts looking on, each millisecond unless told otherwise. looks: for each snapshot."""
    started: list[Observing] = []

    def begin(*observers: Observer, every: float = 0.001, looks: int = 1) -> Observing:
        monkeypatch.setattr(observer_thread, "INTERVAL", every)
        monkeypatch.setattr(observer_thread, "LOOKS", looks)
        made = Observing(observers, PLACES, run.read, run.counts, length=None)
        started.append(made)
        made.start()
        return made

    yield begin
    run.is_over = True
    for each in started:
        each.close(LIMIT)


def test_observers_are_shown_the_run_again_and_again(start: Callable[..., Observing]) -> None:
    first, second = Watcher(), Watcher()
    start(first, second)
    first.wait_for(3)
    second.wait_for(3)
    assert [(each.elapsed, each.items, each.is_over) for each in first.shown[:2]] == [(1, 10, False), (2, 20, False)]


def test_rates_are_of_the_last_snapshots(start: Callable[..., Observing]) -> None:
    watcher = Watcher()
    start(watcher)
    watcher.wait_for(observer_thread.WINDOW + 3)
    assert [each.seconds for each in watcher.shown[1 : observer_thread.WINDOW + 3]] == [
        *range(1, observer_thread.WINDOW + 1),
        observer_thread.WINDOW,
        observer_thread.WINDOW,
    ]


def test_the_end_is_shown_at_once_and_about_the_whole_run(run: Run, start: Callable[..., Observing]) -> None:
    watcher = Watcher()
    looking = start(watcher, every=10 * LIMIT)
    run.read()
    run.is_over = True
    looking.close(LIMIT)
    assert [(each.elapsed, each.seconds, each.is_over) for each in watcher.shown] == [(1, 1, True)]
    assert looking.peaks == [None, None], "nobody has looked on while it went"


def test_what_was_in_flight_most_is_seen_between_two_snapshots(
    run: Run, start: Callable[..., Observing], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_flight, looked = iter([3, 7]), threading.Event()

    def counts() -> list[Counts]:
        # The third time: the second one was taken into account.
        if (waiting := next(in_flight, None)) is None:
            looked.set()
        return [Counts(0, 0, 10), Counts(10, 10 - (waiting or 0), 0)]

    monkeypatch.setattr(run, "counts", counts)
    watcher = Watcher()
    looking = start(watcher, every=10 * LIMIT, looks=round(10_000 * LIMIT))
    assert looked.wait(LIMIT)
    looking.close(LIMIT)
    assert (looking.peaks, len(watcher.shown)) == ([None, 7], 1)


def test_an_observer_that_raises_is_told_once_and_shown_no_more(start: Callable[..., Observing]) -> None:
    calls = []

    def broken(progress: Progress) -> None:
        calls.append(progress)
        raise ValueError("no screen")

    def look_thrice() -> None:
        watcher = Watcher()
        start(broken, watcher)
        watcher.wait_for(3)

    with pytest.warns(RuntimeWarning, match=r"^observe=<.*broken.*> raised ValueError: no screen\n") as told:
        look_thrice()
    assert (len(calls), len(told)) == (1, 1)


def test_nobody_waits_for_an_observer_that_never_returns(run: Run, start: Callable[..., Observing]) -> None:
    inside, release = threading.Event(), threading.Event()

    def stuck(_: Progress) -> None:
        inside.set()
        release.wait(LIMIT)

    watcher = Watcher()
    looking = start(stuck, watcher)
    assert inside.wait(LIMIT)
    run.is_over = True
    looking.close(0.01)
    release.set()
    looking._thread.join(LIMIT)
    assert watcher.shown == []


def test_an_observer_may_close_what_it_looks_at(start: Callable[..., Observing]) -> None:
    closed = threading.Event()

    def closing(_: Progress) -> None:
        looking.close(None)
        closed.set()

    looking = start(closing, every=0.05)
    assert closed.wait(LIMIT)
