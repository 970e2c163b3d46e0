"""Faults that `CHAINPUMP_FAULTS` asks for: the run ends at once and says where, or goes on whole where it can."""

from __future__ import annotations

import os
import pickle
import re
import select
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from chainpump import DeadLetter, Inline, Pipeline, Processes, RunError, StageError, WorkerLostError, sink, source
from chainpump.engine.fault_rules import DELAY, EXIT_CODE, VARIABLE
from chainpump.engine.lifecycle import Ended, Event
from chainpump.engine.supervisor import Supervisor
from chainpump.engine.worker_slot import WorkerSlot
from chainpump.executors import process_run
from chainpump.executors.report_pipe import LENGTH
from chainpump.ipc.descriptors import Descriptor
from chainpump.worker.outcome import PackedDeadItem
from chainpump.worker.output import Output
from faults import stages
from faults.places import FORK, FORKING, MOST_WORKERS, PROCESSES, on, places
from faults.roles import failing_stage
from support.cases import in_turns
from support.gate import LIMIT, Gate, Journal

N = 12
MESSAGE = rf"\[Errno 5\] {VARIABLE} asked for a fault at "
ENDS = [pytest.param("forkserver", "kill"), pytest.param("fork", "exit", marks=FORK)]
# Exit code and signal.
LOST = {"exit": (EXIT_CODE, None), "kill": (-signal.SIGKILL, signal.SIGKILL)}


def made() -> Iterator[bytes]:
    """Too large for a packet, so that each takes a slab."""
    for number in range(N):
        yield bytes([number]) * 300_000


def made_for_ever() -> Iterator[bytes]:
    """The same without an end."""
    while True:
        yield from made()


def first_byte(item: bytes) -> tuple[int, bytes]:
    """For `map`."""
    return item[0], item


def refusing(item: bytes) -> int:
    """For `map`: every third one raises."""
    if item[0] % 3 == 0:
        raise ValueError(str(item[0]))
    return item[0]


def tally(items: Iterable[Any]) -> int:
    """A sink."""
    return sum(1 for _ in items)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the variable."""
    return lambda text: monkeypatch.setenv(VARIABLE, text)


def scored(place: str, restarts: int = 0) -> Pipeline[Any]:
    executor: Any = Processes(1, start_method=place, restarts=restarts) if restarts else on(place)  # type: ignore[arg-type]
    return Pipeline(source(made)).map(first_byte, on=executor, name="score")


def assert_whole(pairs: Iterable[tuple[int, bytes]]) -> None:
    assert [(number, item) for number, item in pairs] == [(item[0], item) for item in made()]


def could_not(what: str, role: str = "stage", name: str = "score") -> str:
    """The message, whole, of what is nobody's function's doing."""
    return (
        rf"^{role} '{name}' \(worker 1 of 1, pid \d+\) could not {what}: OSError: {MESSAGE}'\w+'\n"
        rf"  The system refused it; {name} has not raised this\.$"
    )


@pytest.mark.parametrize("point", ["send", "receive"])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_call_that_fails_ends_the_run_and_names_stage_and_worker(place: str, point: str, ask: Any) -> None:
    ask(f"{point}@score=#2")
    with pytest.raises(RunError, match=could_not(point)) as caught:
        list(scored(place))
    # No StageError: user code has not raised.
    assert type(caught.value) is RunError
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.stage == "score"


@pytest.mark.parametrize("place", PROCESSES)
def test_slab_that_cannot_be_had_ends_the_run_and_names_stage_and_worker(place: str, ask: Any) -> None:
    ask("slab@score=#2")
    with pytest.raises(RunError, match=could_not("send")) as caught:
        list(scored(place))
    assert isinstance(caught.value.__cause__, OSError)


def forgiving(items: Iterable[bytes]) -> Iterator[bytes]:
    """Goes on after an OSError, which can only be its own."""
    try:
        yield from items
    except OSError:
        yield b"sorry"


@pytest.mark.parametrize("point", ["send", "receive"])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_stage_cannot_take_a_failure_of_its_channel_for_one_of_its_own(place: str, point: str, ask: Any) -> None:
    ask(f"{point}@forgiving=#2")
    with pytest.raises(RunError, match=could_not(point, name="forgiving")):
        list(Pipeline(source(made)).then(forgiving, on=on(place)))


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_sink_that_cannot_receive_has_not_raised(place: str, ask: Any) -> None:
    ask("receive@tally=#2")
    with pytest.raises(RunError, match=could_not("receive", "sink", "tally")):
        Pipeline(source(made)).into(sink(tally), on=on(place)).run()


@pytest.mark.parametrize("point", ["spawn", "start"])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_worker_that_cannot_be_started_ends_the_run_and_is_named(place: str, point: str, ask: Any) -> None:
    ask(f"{point}@score=#1")
    with pytest.raises(RunError, match=rf"^stage 'score' could not start worker 1 of 1: OSError: {MESSAGE}'{point}'"):
        list(scored(place))


@pytest.mark.parametrize("point", ["start", "send", "receive", "slab"])
@pytest.mark.parametrize("place, action", ENDS)
def test_worker_that_dies_at_a_call_is_named(place: str, action: str, point: str, ask: Any) -> None:
    ask(f"{point}@score=#1:{action}")
    with pytest.raises(WorkerLostError) as caught:
        list(scored(place))
    error = caught.value
    assert (error.stage, error.worker, (error.exit_code, error.signal)) == ("score", 1, LOST[action])
    assert len(error.failures) == 1


@pytest.mark.parametrize("point", ["start", "send", "receive", "slab", "control"])
@pytest.mark.parametrize("place, action", ENDS)
def test_worker_that_dies_at_a_call_has_a_successor_that_loses_nothing(
    place: str, action: str, point: str, ask: Any
) -> None:
    ask(f"{point}@score=#1:{action}")
    assert_whole(scored(place, restarts=1))


@pytest.mark.parametrize("place, action", ENDS)
def test_stage_that_dies_as_it_says_that_it_has_ended_had_done_all_its_work(place: str, action: str, ask: Any) -> None:
    ask(f"control@score=#1:{action}")
    assert_whole(scored(place))


@pytest.mark.parametrize("place, action", ENDS)
def test_sink_that_dies_before_it_has_said_its_value_is_named(place: str, action: str, ask: Any) -> None:
    ask(f"control@tally=#1:{action}")
    with pytest.raises(WorkerLostError) as caught:
        Pipeline(source(made)).into(sink(tally), on=on(place), name="tally").run()
    assert (caught.value.stage, (caught.value.exit_code, caught.value.signal)) == ("tally", LOST[action])


def test_sink_that_cannot_say_its_value_is_lost_and_has_said_why(ask: Any, worker_noise: Any) -> None:
    ask("control@tally=#1")
    with pytest.raises(WorkerLostError, match=r"^sink 'tally' lost worker 1 of 1 \(pid \d+\): exited with code 1"):
        Pipeline(source(made)).into(sink(tally), name="tally").run()
    assert worker_noise.read().endswith(f"OSError: [Errno 5] {VARIABLE} asked for a fault at 'control'\n")


@pytest.mark.parametrize("place", FORKING)
def test_dead_letter_that_cannot_be_sent_ends_the_run_and_names_the_stage(place: str, ask: Any) -> None:
    ask("control@score=#1")
    pipeline = Pipeline(source(made)).map(refusing, on=on(place), on_error=DeadLetter(ValueError), name="score")
    with pytest.raises(RunError, match=could_not("put a dead letter aside")):
        list(pipeline)


@in_turns
@pytest.mark.parametrize("point", ["spawn", "start", "send", "receive", "slab", "control"])
@pytest.mark.parametrize("place", MOST_WORKERS)
def test_call_that_takes_long_changes_nothing(place: str, point: str, ask: Any) -> None:
    ask(f"{point}=#1:delay")
    assert_whole(scored(place))


@pytest.mark.parametrize("place", FORKING)
def test_worker_has_told_its_failure_before_it_can_be_killed_for_what_its_neighbours_see(place: str, ask: Any) -> None:
    """Without a grace: as soon as one of them finds its end."""
    ask("control@failing=#1:delay")
    with (
        failing_stage(stages.raise_value_error, place).open(grace=0) as run,
        pytest.raises(StageError, match=r"^stage 'failing' \(worker 1 of 1, pid \d+\) raised ValueError on item 3:\n"),
    ):
        list(run)


@pytest.mark.parametrize("place", places("fork"))
def test_what_is_sent_beside_a_worker_that_is_held_and_fails_ends_the_run_at_once(
    place: str, ask: Any, gate: Gate, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Item 0 goes at once, as nothing went before it, and item 1 is left to the flusher: more could join it.

    The worker is interrupted in the call that holds it, so it has the grace to clean up.
    """
    monkeypatch.setattr(Output, "frame_items", 10)
    ask("send@held_at_noting=#2")
    with pytest.raises(RunError, match=could_not("send", "source", "held_at_noting")):
        list(Pipeline(source(stages.held_at_noting, range(10), gate, 2, journal), on=on(place)))
    assert journal.lines == ["stage cleaned up"]


@pytest.mark.parametrize("action", ["raise", "kill"])
def test_loop_of_the_caller_that_cannot_receive_is_told_so_and_lives(action: str, ask: Any) -> None:
    ask(f"receive@iteration=#2:{action}")
    with pytest.raises(RunError, match=could_not("receive", "sink", "iteration")):
        list(scored("forkserver"))


@pytest.fixture
def late_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller takes its time to tell how it ended, and the supervisor looks up only as a worker says something."""
    post, wait = Supervisor.post, Supervisor._wait

    def post_late(supervisor: Supervisor, event: Event) -> None:
        if isinstance(event, Ended):
            time.sleep(DELAY)
        post(supervisor, event)

    def wait_for_a_worker(supervisor: Supervisor) -> Sequence[WorkerSlot]:
        select.select([fd for each in supervisor._workers for fd in each.handle.waitables], [], [], LIMIT)
        return wait(supervisor)

    monkeypatch.setattr(Supervisor, "post", post_late)
    monkeypatch.setattr(Supervisor, "_wait", wait_for_a_worker)


@pytest.mark.parametrize("name", ["iteration", "tally"])
@pytest.mark.parametrize("place", FORKING)
@pytest.mark.usefixtures("late_caller")
def test_failure_of_the_caller_is_told_before_its_neighbours_see_it(place: str, name: str, ask: Any) -> None:
    ask(f"receive@{name}=#2")
    endless = Pipeline(source(made_for_ever), on=on(place))
    with pytest.raises(RunError, match=could_not("receive", "sink", name)):
        list(endless) if name == "iteration" else endless.into(sink(tally), name=name, on=Inline()).run()


@pytest.mark.parametrize("place", FORKING)
@pytest.mark.usefixtures("late_caller")
def test_caller_that_stops_early_has_told_so_before_its_neighbours_see_it(place: str) -> None:
    assert list(Pipeline(source(made_for_ever), on=on(place)).take(3, on=Inline())) == list(made())[:3]


@pytest.mark.parametrize("place", FORKING)
def test_stage_that_stops_early_has_told_so_before_its_neighbours_see_it(place: str, ask: Any) -> None:
    ask("control@few=#1:delay")
    assert list(Pipeline(source(made_for_ever), on=on(place)).take(3, on=on(place), name="few")) == list(made())[:3]


@pytest.mark.parametrize("place", FORKING)
def test_who_was_cut_off_is_heard_after_who_has_done_that(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the supervisor has looked at that one before it had anything to say."""
    wait = Supervisor._wait

    def wait_for_the_source(supervisor: Supervisor) -> Sequence[WorkerSlot]:
        return [slot for slot in wait(supervisor) if slot.group_index == 0 or supervisor.state.superfluous]

    monkeypatch.setattr(Supervisor, "_wait", wait_for_the_source)
    assert list(Pipeline(source(made_for_ever), on=on(place)).take(3, on=on(place))) == list(made())[:3]


@pytest.mark.parametrize("place", places("fork"))
def test_failure_of_the_flusher_does_not_mix_with_a_dead_letter(
    place: str, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Item 1 is left to the flusher, which fails of it while the worker is in the middle of the letter of item 2."""
    monkeypatch.setattr(Output, "frame_items", 10)
    monkeypatch.setattr(process_run, "send_report", tell_in_halves)
    ask("send@third_fails=#2")
    numbers = Pipeline(source(iter, [[0, 1, 2]]), on=on(place))
    pipeline = numbers.unbatch(on=Inline()).map(third_fails, on=on(place), on_error=DeadLetter(ValueError), in_flight=9)
    with pytest.raises(RunError) as caught:
        list(pipeline)
    assert re.search(could_not("send", "stage", "third_fails"), str(caught.value))


def third_fails(item: int) -> int:
    if item == 2:
        raise ValueError(item)
    return item


def tell_in_halves(report_pipe: Descriptor, message: Any) -> None:
    """In place of `process_run.send_report`: a write to a pipe that is full comes to this."""
    data = pickle.dumps(message, 5)
    data = LENGTH.pack(len(data)) + data
    os.write(report_pipe.fileno(), data[:20])
    time.sleep(DELAY)
    os.write(report_pipe.fileno(), data[20:])


@pytest.mark.parametrize("place", places("fork"))
def test_letter_in_which_its_worker_is_cancelled_arrives_whole(
    place: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def announced(report_pipe: Descriptor, message: Any) -> None:
        if isinstance(message, PackedDeadItem):
            gate.announce()
        tell_in_halves(report_pipe, message)

    monkeypatch.setattr(process_run, "send_report", announced)
    numbers = Pipeline(source(range, 5), on=on(place))
    with numbers.map(third_fails, on=on(place), on_error=DeadLetter(ValueError)).open() as run:
        gate.wait_held()
    assert run._supervisor.defect is None
    assert [letter.index for letter in run.dead_letters] == [2]


def test_pipeline_without_channels_meets_nothing(ask: Any) -> None:
    ask("send=1,receive=1,slab=1,control=1")
    assert_whole(Pipeline(made()).map(first_byte, on=Inline()).inline())
