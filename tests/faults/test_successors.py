"""Workers of element-wise stages that die are replaced: every output comes exactly once, and in order."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest

from chainpump import (
    DeadLetter,
    Inline,
    ItemTimeoutError,
    Pipeline,
    Processes,
    Retry,
    RunError,
    Skip,
    StageError,
    WorkerLostError,
    source,
)
from chainpump.engine.lifecycle import Phase
from chainpump.executors.process_handle import ProcessHandle
from chainpump.executors.start_methods import StartMethod
from chainpump.transport.process_channel import PacketReceiver
from chainpump.worker.worker import Worker
from faults import deaths, stages
from faults.places import FORKING, PROCESSES
from support.cases import in_turns, pairwise
from support.gate import Gate, Journal
from support.processes import descendants, gone, signal_if_alive, until, wait_asleep, watching
from support.threads import meanwhile

N = 100

# What a test has put in the place of a method.
INHERITING = [place for place in FORKING if "fork" in place.values]

DEATHS = [stages.sigkill, stages.sigsegv, stages.exit_0, stages.exit_3]

# name -> what adds the stage, and what comes of 0 to N - 1
OPERATORS: dict[str, tuple[Callable[..., Any], list[int]]] = {
    "map": (lambda pipeline, die, on: pipeline.map(partial(deaths.doubled, *die), on=on), [2 * n for n in range(N)]),
    "filter": (lambda pipeline, die, on: pipeline.filter(partial(deaths.is_odd, *die), on=on), list(range(1, N, 2))),
    "flat_map": (
        lambda pipeline, die, on: pipeline.flat_map(partial(deaths.repeated, *die), on=on),
        [n for n in range(N) for _ in range(n % 5)],
    ),
}


def renewed(workers: int = 2, restarts: int = 1, place: StartMethod = "forkserver") -> Processes:
    return Processes(workers, start_method=place, restarts=restarts)


def pids(run: Any) -> list[int]:
    """The workers that are replaced when they die, as they are now."""
    workers = [slot.worker for slot in run._wiring.all_slots if slot.group.replaceable is not None]
    found = []
    for worker in workers:
        if worker is not None:
            # It is being replaced at this moment.
            with suppress(AssertionError, ValueError):
                found.append(worker.handle.pid)
    return found


def kill_and_wait_for_successor(run: Any, pid: int) -> int:
    """Returns the successor's process."""
    before = pids(run)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in pids(run) and len(pids(run)) == len(before), "a successor")
    return next(each for each in pids(run) if each not in before)


# ------------------------------------------------------------------------------------------ in the middle of an item


@pairwise
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("die", DEATHS, ids=lambda die: die.__name__)
@pytest.mark.parametrize("place", FORKING)
def test_every_output_comes_once_and_in_order_although_a_worker_died(
    place: StartMethod, die: deaths.Die, operator: str, journal: Journal
) -> None:
    add, wanted = OPERATORS[operator]
    assert list(add(Pipeline(range(N)), ([37], die, journal, 1), renewed(place=place))) == wanted
    assert journal.lines == ["died at 37"]


def test_spawned_workers_have_successors_too(journal: Journal) -> None:
    add, wanted = OPERATORS["map"]
    assert list(add(Pipeline(range(N)), ([37], stages.sigkill, journal, 1), renewed(place="spawn"))) == wanted


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("at", [0, N - 1], ids=["first", "last"])
def test_worker_may_die_at_the_first_item_and_at_the_last(at: int, operator: str, journal: Journal) -> None:
    add, wanted = OPERATORS[operator]
    assert list(add(Pipeline(range(N)), ([at], stages.sigkill, journal, 1), renewed())) == wanted
    assert journal.lines == [f"died at {at}"]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_worker_may_die_as_often_as_it_has_restarts(operator: str, journal: Journal) -> None:
    add, wanted = OPERATORS[operator]
    places = range(0, N, 29)
    assert list(add(Pipeline(range(N)), (places, stages.sigkill, journal, 2), renewed(restarts=2 * N))) == wanted
    assert sorted(journal.lines) == sorted(f"died at {n}" for n in [*places, *places])


def test_order_is_kept_where_workers_are_replaced_even_if_nobody_asked_for_it(journal: Journal) -> None:
    """Only by its number is an item known that comes twice."""
    dying = partial(deaths.doubled, [37], stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=renewed(), ordered=False)
    assert list(pipeline) == [2 * n for n in range(N)]


# ------------------------------------------------------------------------------------------------- between two items


@pytest.mark.parametrize("place", FORKING)
def test_worker_that_dies_while_it_waits_for_items_is_replaced(place: StartMethod, gate: Gate) -> None:
    numbers = Pipeline(gate.hold_at(iter(range(N)), 10)).map(deaths.same, on=renewed(1, 3, place))
    with numbers.open() as run:
        items = iter(run)
        assert [next(items) for _ in range(10)] == list(range(10))
        gate.wait_held()
        for _ in range(3):
            (pid,) = pids(run)
            wait_asleep(pid)
            kill_and_wait_for_successor(run, pid)
        gate.release()
        assert list(items) == list(range(10, N))


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_dies_while_it_starts_is_replaced(place: StartMethod, gate: Gate) -> None:
    """A fork loads nothing: it is held by the function that it has inherited."""
    held = (
        partial(deaths.held_at, gate, [0])
        if place == "fork"
        else partial(deaths.same_with, deaths.HeldAsItIsLoaded(gate))
    )
    with Pipeline(range(N)).map(held, on=renewed(1, 2, place)).open() as run:
        for _ in range(2):
            os.kill(gate.wait_held(), signal.SIGKILL)
        gate.wait_held()
        gate.release()
        assert list(run) == list(range(N))


def test_worker_that_dies_as_its_results_are_sent_is_replaced(journal: Journal) -> None:
    places = [0, 13, 50, N - 1]
    dying = partial(deaths.dying_result, places, stages.sigkill, journal)
    assert list(Pipeline(range(N)).map(dying, on=renewed(2, 4))) == list(range(N))
    assert sorted(journal.lines) == sorted(f"died at {n}" for n in places)


@in_turns
@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize(
    "moment", deaths.MOMENTS, ids=lambda it: f"{'before' if it[2] else 'after'}-{it[0].__name__}.{it[1]}"
)
@pytest.mark.parametrize("place", INHERITING)
def test_worker_may_die_at_any_step_between_two_calls(
    place: StartMethod, moment: deaths.Moment, call: int, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages, one after the other: what the first says twice, or in two ways, must not confuse the second."""
    monkeypatch.setattr(moment[0], moment[1], deaths.dying_at(moment, call, journal))
    pipeline = Pipeline(range(N)).flat_map(deaths.twice, on=renewed(2, 1, place))
    pipeline = pipeline.map(deaths.same, on=renewed(2, 1, place))
    assert list(pipeline) == [n for n in range(N) for _ in range(2)]


@pytest.mark.parametrize("place", INHERITING)
def test_frame_that_was_finished_as_its_worker_died_is_not_said_to_have_come_to_nothing(
    place: StartMethod, gate: Gate, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results are held by one worker of the next stage, as the other one hears the news of the successor."""
    monkeypatch.setattr(PacketReceiver, "settle", deaths.dying_at((PacketReceiver, "settle", True), 1, journal))
    pipeline = Pipeline(range(1)).map(deaths.same, on=renewed(1, 1, place))
    with pipeline.map(partial(deaths.held_at, gate, [0]), on=Processes(2)).open() as run:
        gate.wait_held()
        until(lambda: run._supervisor.state.running[2] == 1, "the other worker to have heard all there is")
        gate.release()
        assert list(run) == [0]
    assert journal.lines == ["died"]


# --------------------------------------------------------------------------------------------------- what items are


@pytest.mark.parametrize("place", FORKING)
def test_successor_sees_a_large_array_as_it_was_before_its_predecessor_changed_it(
    place: StartMethod, journal: Journal
) -> None:
    dying = partial(deaths.changed_array, [0, 7, 19], stages.sigkill, journal, 2)
    arrays = Pipeline(source(stages.arrays, 20)).map(dying, on=renewed(2, 6, place))
    assert list(arrays) == [2 * (n + 1) for n in range(20)]
    assert len(journal.lines) == 6


def test_successor_sees_an_item_of_a_shared_frame_as_it_was(journal: Journal) -> None:
    items = [{"number": n, "list": [n]} for n in range(N)]
    dying = partial(deaths.changed_dict, [0, 37, N - 1], stages.sigkill, journal, 2)
    assert list(Pipeline(items).map(dying, on=renewed(2, 6))) == [[n, -1] for n in range(N)]


def test_large_results_come_once_from_workers_that_died(journal: Journal) -> None:
    """More of them than there is room for: what the dead had lent has to come back to their successors."""
    dying = partial(deaths.made_array, range(0, 60, 6), stages.sigkill, journal, 1)
    arrays = Pipeline(range(60)).map(dying, on=renewed(2, 10))
    assert list(arrays.map(deaths.number_of_array, on=Processes(2))) == list(range(60))


# ------------------------------------------------------------------------------------------------------ with others


@pytest.mark.parametrize("last", [Processes(2), Inline()], ids=repr)
def test_two_stages_may_lose_workers_one_after_the_other(last: Any, journal: Journal) -> None:
    first = partial(deaths.doubled, range(0, N, 20), stages.sigkill, journal, 1)
    second = partial(deaths.doubled, range(0, 2 * N, 28), stages.exit_3, journal, 2)
    pipeline = Pipeline(range(N)).map(first, on=renewed(2, 100)).map(second, on=renewed(3, 100))
    assert list(pipeline.map(deaths.same, on=last)) == [4 * n for n in range(N)]


def test_worker_lost_before_a_flat_map_of_thousands_doubles_nothing(journal: Journal) -> None:
    first = partial(deaths.doubled, range(0, 20, 3), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(20)).map(first, on=renewed(2, 10)).flat_map(deaths.many, on=Processes(2))
    found = list(pipeline.map(deaths.same, on=Processes(3)))
    assert found == [number for n in range(20) for number in deaths.many(2 * n)]


def test_worker_lost_behind_a_flat_map_of_thousands_doubles_nothing(journal: Journal) -> None:
    """Each item travels in several frames; the worker dies in them."""
    pipeline = Pipeline(range(20)).flat_map(deaths.many, on=renewed(2, 10))
    last = partial(deaths.doubled, range(1_234, 100_000, 10_007), stages.sigkill, journal, 1)
    assert list(pipeline.map(last, on=renewed(2, 20))) == [2 * n for n in range(100_000)]
    assert len(journal.lines) == 10


@pytest.mark.parametrize("workers", [1, 2])
def test_generator_stage_behind_gets_every_item_once(workers: int, journal: Journal) -> None:
    dying = partial(deaths.doubled, [0, 37, N - 1], stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=renewed(workers, 3)).then(stages.same, on=Processes(1))
    assert list(pipeline) == [2 * n for n in range(N)]


# --------------------------------------------------------------------------------------------------- with policies


def test_items_left_out_are_counted_once_although_workers_died(journal: Journal) -> None:
    dying = partial(deaths.refusing_fours, range(1, N, 9), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=renewed(2, N), on_error=Skip(ValueError))
    report = pipeline.into(list, on=Inline()).run()
    assert report.value == [n for n in range(N) if n % 4]
    account = report.stages[1]
    assert (account.received, account.finished, account.skipped, account.dead, account.sent) == (N, 75, 25, 0, 75)


def test_limit_of_a_policy_counts_no_item_twice(journal: Journal) -> None:
    dying = partial(deaths.refusing_fours, range(1, N, 9), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=renewed(1, N), on_error=Skip(ValueError, limit=25))
    assert list(pipeline) == [n for n in range(N) if n % 4]


def test_another_try_succeeds_although_workers_died(journal: Journal) -> None:
    dying = partial(deaths.raising_once, range(0, N, 9), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=renewed(2, N), on_error=Retry(1, on=ValueError))
    report = pipeline.into(list, on=Inline()).run()
    assert report.value == list(range(N))
    assert (report.stages[1].skipped, report.stages[1].dead, report.stages[1].finished) == (0, 0, N)


def test_each_dead_letter_comes_once_although_workers_died_later(journal: Journal) -> None:
    n = 1_000
    dying = partial(deaths.refusing_fours, range(1, n, 97), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(n)).map(dying, on=renewed(2, n), on_error=DeadLetter(ValueError))
    report = pipeline.into(list, on=Inline()).run()
    assert report.value == [number for number in range(n) if number % 4]
    assert sorted(letter.index for letter in report.dead_letters) == list(range(0, n, 4))
    assert (report.stages[1].dead, report.stages[1].finished) == (n // 4, n - n // 4)


@pytest.mark.parametrize("ends", ["map", "each"])
def test_a_dead_letter_comes_once_although_its_worker_died_before_it_could_go_on(ends: str, journal: Journal) -> None:
    # The parts of an item are done again together, so the letter of the first one would be sent again.
    # A stage whose workers are replaced sends them together, too.
    parts = Pipeline(range(3)).flat_map(lambda number: (4 * number, 4 * number + 1), on=renewed(1, 1))
    dying = partial(deaths.refusing_fours, [5], stages.sigkill, journal, 1)
    made = getattr(parts, ends)(dying, on=renewed(1, 1), on_error=DeadLetter(ValueError))
    report = (made.into(list, on=Inline()) if ends == "map" else made).run()
    assert journal.lines == ["died at 5"]
    assert [letter.item for letter in report.dead_letters] == [0, 4, 8]
    assert report.stages[2].dead == 3


# ---------------------------------------------------------------------------------------------------------- `each`


@pytest.mark.parametrize("die", DEATHS, ids=lambda die: die.__name__)
def test_each_item_is_dealt_with_at_least_once_although_workers_died(die: deaths.Die, journal: Journal) -> None:
    report = Pipeline(range(N)).each(partial(deaths.noted, [0, 37, N - 1], die, journal, 1), on=renewed(2, 3)).run()
    assert {line for line in journal.lines if line.startswith("did")} == {f"did {n}" for n in range(N)}
    assert (report.stages[1].received, report.stages[1].finished) == (N, N)


@pytest.mark.parametrize("place", INHERITING)
def test_worker_of_each_that_dies_before_it_can_say_that_it_is_done_is_replaced(
    place: StartMethod, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its items are dealt with, and it has said so on the board alone."""
    monkeypatch.setattr("chainpump.executors.process_run.send_report", deaths.dying_tell(journal))
    Pipeline(range(N)).each(deaths.same, on=renewed(1, 1, place)).run()
    assert journal.lines == ["died"]


# -------------------------------------------------------------------------------------------------------- too often


@pytest.mark.parametrize(
    "die,how,exit_code,number",
    [
        pytest.param(stages.sigkill, "killed by SIGKILL", -9, signal.SIGKILL, id="SIGKILL"),
        pytest.param(stages.sigsegv, "killed by SIGSEGV", -11, signal.SIGSEGV, id="SIGSEGV"),
        pytest.param(stages.exit_0, "exited with code 0", 0, None, id="os._exit-0"),
        pytest.param(stages.exit_3, "exited with code 3", 3, None, id="os._exit-3"),
    ],
)
def test_more_deaths_than_restarts_are_told_as_a_lost_worker(
    die: deaths.Die, how: str, exit_code: int, number: signal.Signals | None, journal: Journal
) -> None:
    dying = partial(deaths.doubled, [11, 22, 33], die, journal, 1)
    message = rf"^stage 'score' lost worker 1 of 1 \(pid \d+\): {how}, 1 item in flight\.\n  It was in item 33\.\n"
    with pytest.raises(WorkerLostError, match=message) as caught:
        list(Pipeline(range(N)).map(dying, on=renewed(1, 2), name="score"))
    error = caught.value
    assert (error.stage, error.worker, error.exit_code, error.signal) == ("score", 1, exit_code, number)
    assert error.failures[0].index == 33
    assert journal.lines == ["died at 11", "died at 22", "died at 33"]


def test_successor_that_the_system_refuses_is_named(monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
    start, refusal = Processes.start, BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    starts = count()

    def refusing(executor: Processes, worker: Worker) -> ProcessHandle:
        if next(starts):
            raise refusal
        return start(executor, worker)

    monkeypatch.setattr(Processes, "start", refusing)
    doubled = partial(deaths.doubled, [5], partial(stages.die_of, signal.SIGKILL), journal, 1)
    pipeline = Pipeline(range(N)).map(doubled, on=renewed(1, restarts=3), name="doubled")
    with pytest.raises(RunError, match=r"^stage 'doubled' could not start worker 1 of 1: BlockingIOError: ") as caught:
        list(pipeline)
    assert caught.value.__cause__ is refusal


def test_each_worker_has_restarts_of_its_own(gate: Gate) -> None:
    held = partial(deaths.held_at, gate, range(4))
    with Pipeline(range(4)).map(held, on=renewed(2, 1), name="held").open() as run:
        gate.wait_held()
        # One death in each place.
        for pid in pids(run):
            kill_and_wait_for_successor(run, pid)
        alive = pids(run)
        until(lambda: {gate.wait_held()} & set(alive) != set(), "a successor at the gate")
        os.kill(alive[1], signal.SIGKILL)
        message = r"^stage 'held' lost worker 2 of 2 \(pid \d+\): killed by SIGKILL"
        with pytest.raises(WorkerLostError, match=message):
            list(run)


# --------------------------------------------------------------------------------------------------- poisonous items


def poisoned(journal: Journal, on_error: Any = None, restarts: int = 10) -> Pipeline[int]:
    dying = partial(deaths.doubled, [37], stages.sigsegv, journal, N)
    options = {} if on_error is None else {"on_error": on_error}
    return Pipeline(range(N)).map(dying, on=renewed(2, restarts), name="score", **options)


def test_item_that_costs_three_workers_ends_the_run(journal: Journal) -> None:
    with pytest.raises(WorkerLostError) as caught:
        list(poisoned(journal))
    error = caught.value
    assert (error.stage, error.exit_code, error.signal) == ("score", -11, signal.SIGSEGV)
    assert error.failures[0].index == 37
    first, advice, where = str(error).splitlines()
    assert first == (
        f"stage 'score' lost 3 workers, one after the other, on item 37: the last (pid {error.pid}) killed by SIGSEGV."
    )
    assert advice == "  Let a policy deal with such items: on_error=Skip(WorkerLostError)."
    assert where == f"  score is defined at {deaths.__file__}:{deaths.doubled.__code__.co_firstlineno}."
    assert journal.lines == ["died at 37"] * 3


def test_poisonous_item_can_be_left_out(journal: Journal) -> None:
    report = poisoned(journal, Skip(WorkerLostError)).into(list, on=Inline()).run()
    assert report.value == [2 * n for n in range(N) if n != 37]
    assert (report.stages[1].received, report.stages[1].skipped, report.stages[1].finished) == (N, 1, N - 1)
    assert journal.lines == ["died at 37"] * 3


def test_poisonous_items_of_one_number_cost_three_workers_each(journal: Journal) -> None:
    """In one frame or in two: what one of them has cost says nothing of the other."""
    numbers = Pipeline(range(3000)).flat_map(deaths.twice, on=Processes())
    dying = partial(deaths.doubled, [0, 2500], stages.sigkill, journal, 6)
    doubled = list(numbers.map(dying, on=renewed(1, 12), on_error=Skip(WorkerLostError)))
    assert doubled == [2 * n for n in range(3000) for _ in range(2) if n not in (0, 2500)]
    assert journal.lines == ["died at 0"] * 6 + ["died at 2500"] * 6


def test_poisonous_item_can_be_put_aside(journal: Journal) -> None:
    report = poisoned(journal, DeadLetter(WorkerLostError)).into(list, on=Inline()).run()
    assert report.value == [2 * n for n in range(N) if n != 37]
    (letter,) = report.dead_letters
    assert (letter.stage, letter.index, letter.item) == ("score", 37, 37)
    assert isinstance(letter.error, WorkerLostError)
    assert (letter.error.signal, letter.error.stage, letter.error.failures[0].index) == (signal.SIGSEGV, "score", 37)
    assert "stage 'score' lost 3 workers, one after the other, on item 37" in letter.traceback


def test_policy_for_other_errors_does_not_cover_a_poisonous_item(journal: Journal) -> None:
    with pytest.raises(WorkerLostError, match=r"^stage 'score' lost 3 workers, one after the other, on item 37: "):
        list(poisoned(journal, Skip(ValueError)))


def test_item_that_costs_two_workers_is_not_poisonous(journal: Journal) -> None:
    dying = partial(deaths.doubled, range(N), stages.sigkill, journal, 2)
    n = 10
    assert list(Pipeline(range(n)).map(dying, on=renewed(1, 2 * n))) == [2 * number for number in range(n)]


# ------------------------------------------------------------------------------------------------------- other ends


def test_worker_lost_while_its_run_is_cancelled_is_not_replaced(gate: Gate) -> None:
    held = partial(deaths.held_deaf_at, gate, [0])

    def kill_as_it_is_cancelled() -> None:
        until(lambda: run._supervisor.state.phase is not Phase.RUNNING, "the run to be cancelled")
        os.kill(pid, signal.SIGKILL)

    with Pipeline(range(N)).map(held, on=renewed(1, 100)).open(grace=20) as run:
        pid = gate.wait_held()
        with meanwhile(kill_as_it_is_cancelled):
            run.close()
    assert descendants() == set()


def test_worker_lost_beside_a_failure_is_not_replaced(gate: Gate, second_gate: Gate, journal: Journal) -> None:
    """The failure of the other stage is the one that is told."""
    failing = partial(deaths.refusing_at_gate, second_gate)
    held = partial(deaths.held_deaf_at, gate, [5])
    pipeline = Pipeline(range(N)).map(held, on=renewed(1, 100)).map(failing, on=Processes(1), name="culprit")
    with pipeline.open(grace=20) as run:
        pid = gate.wait_held()
        second_gate.wait_held()
        second_gate.release()

        def kill_as_it_is_cancelled() -> None:
            until(lambda: run._supervisor.state.phase is not Phase.RUNNING, "the run to be cancelled")
            os.kill(pid, signal.SIGKILL)

        message = r"^stage 'culprit' \(worker 1 of 1, pid \d+\) raised ValueError on item 0:\n"
        with meanwhile(kill_as_it_is_cancelled), pytest.raises(StageError, match=message):
            list(run)
    assert descendants() == set()


@pytest.mark.parametrize("leave", ["close", "break", "Ctrl-C"])
def test_run_can_be_left_while_its_workers_die(leave: str, gate: Gate) -> None:
    """All of them are killed just as the caller leaves."""
    held = partial(deaths.held_at, gate, range(10, N))
    with Pipeline(range(N)).map(held, on=renewed(3, 100)).open() as run:
        items = iter(run)
        assert next(items) == 0
        gate.wait_held()
        for pid in pids(run):
            signal_if_alive(pid, signal.SIGKILL)
        if leave == "close":
            run.close()
        elif leave == "Ctrl-C":
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert descendants() == set()


def test_successor_ends_with_the_run(gate: Gate) -> None:
    with Pipeline(range(N)).map(partial(deaths.held_at, gate, [0]), on=renewed(1, 100)).open() as run:
        successor = kill_and_wait_for_successor(run, gate.wait_held())
        assert gate.wait_held() == successor
        with watching([successor]) as ends:
            run.close()
            assert gone(ends, within=0)


def test_stage_that_may_stop_ends_a_run_whose_workers_die(journal: Journal) -> None:
    dying = partial(deaths.doubled, range(0, 40, 4), stages.sigkill, journal, 1)
    assert list(Pipeline(range(10_000)).map(dying, on=renewed(2, 100)).take(50)) == [2 * n for n in range(50)]


# ---------------------------------------------------------------------------------------------------------- timeouts

# Seconds that an item may take; the others take none, however busy the machine is.
SOON = 0.5


@pytest.mark.parametrize("place", PROCESSES)
def test_item_that_takes_too_long_ends_the_run_and_the_stack_says_where(place: StartMethod, gate: Gate) -> None:
    slow = partial(deaths.slow_at, [7], gate)
    on = Processes(2, start_method=place)
    message = r"^stage 'score' \(worker [12] of 2, pid \d+\) took longer than 0\.5 s over item 7\.\n"
    with pytest.raises(ItemTimeoutError, match=message) as caught:
        list(Pipeline(range(N)).map(slow, on=on, timeout=SOON, name="score"))
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert (error.stage, error.failures[0].index) == ("score", 7)
    assert str(error).splitlines()[1:] == [
        "  Raise timeout=, or let a policy deal with such items: on_error=Skip(ItemTimeoutError).",
        f"  score is defined at {deaths.__file__}:{deaths.slow_at.__code__.co_firstlineno}.",
    ]
    (note,) = error.__notes__
    assert note.startswith(f"The worker's traceback (pid {error.failures[0].pid}):\nStack (most recent call first):\n")
    line = deaths.wait_for_ever.__code__.co_firstlineno + 2
    assert f'deaths.py", line {line} in wait_for_ever\n' in note
    assert 'deaths.py", line' in note.splitlines()[-1]
    assert note.endswith(" in slow_at")


def test_item_that_takes_too_long_can_be_left_out_and_the_others_of_its_frame_come(gate: Gate) -> None:
    slow = partial(deaths.slow_at, [0, 55, N - 1], gate)
    pipeline = Pipeline(range(N)).map(slow, on=Processes(1), timeout=SOON, on_error=Skip(ItemTimeoutError))
    report = pipeline.into(list, on=Inline()).run()
    assert report.value == [n for n in range(N) if n not in (0, 55, N - 1)]
    assert (report.stages[1].received, report.stages[1].skipped, report.stages[1].finished) == (N, 3, N - 3)


def test_items_of_one_number_that_take_too_long_are_each_left_out_once(gate: Gate) -> None:
    """They travel in one frame, and nothing can be marked between them: a successor comes to both of them again."""
    slow = partial(deaths.slow_at, [2500], gate)
    numbers = Pipeline(range(3000)).flat_map(deaths.twice, on=Processes())
    pipeline = numbers.map(slow, on=Processes(), timeout=SOON, on_error=Skip(ItemTimeoutError))
    report = pipeline.into(list, on=Inline()).run()
    assert report.value == [n for n in range(3000) for _ in range(2) if n != 2500]
    assert (report.stages[2].received, report.stages[2].skipped, report.stages[2].finished) == (6000, 2, 5998)


def test_item_that_takes_too_long_can_be_put_aside(gate: Gate) -> None:
    slow = partial(deaths.slow_at, [55], gate)
    pipeline = Pipeline(range(N)).map(
        slow, on=Processes(2), timeout=SOON, on_error=DeadLetter(ItemTimeoutError), name="score"
    )
    report = pipeline.into(list, on=Inline()).run()
    assert report.value == [n for n in range(N) if n != 55]
    (letter,) = report.dead_letters
    assert (letter.stage, letter.index, letter.item) == ("score", 55, 55)
    assert isinstance(letter.error, ItemTimeoutError)
    assert " in wait_for_ever\n" in letter.error.failures[0].traceback


def test_another_try_may_be_in_time(gate: Gate, journal: Journal) -> None:
    slow = partial(deaths.slow_once_at, [3, 55], gate, journal)
    pipeline = Pipeline(range(N)).map(slow, on=Processes(2), timeout=SOON, on_error=Retry(1, on=ItemTimeoutError))
    assert list(pipeline) == list(range(N))
    assert sorted(journal.lines) == ["slow at 3", "slow at 55"]


def test_tries_that_all_take_too_long_end_as_the_policy_says(gate: Gate) -> None:
    policy = Retry(2, on=ItemTimeoutError, otherwise=Skip(ItemTimeoutError))
    slow = partial(deaths.slow_at, [3], gate)
    report = Pipeline(range(9)).map(slow, on=Processes(1), timeout=SOON, on_error=policy).into(list, on=Inline()).run()
    assert report.value == [0, 1, 2, 4, 5, 6, 7, 8]
    # Three workers were in it.
    assert [gate.wait_held() for _ in range(3)]
    assert report.stages[1].skipped == 1


def test_function_that_no_signal_reaches_is_ended_all_the_same(gate: Gate) -> None:
    """It cannot say where it is."""
    stuck = partial(deaths.stuck_at, [7], gate)
    pipeline = Pipeline(range(N)).map(stuck, on=Processes(1), timeout=SOON)
    message = r"^stage '\S+' \(worker 1 of 1, pid \d+\) took longer than 0\.5 s over item 7\.\n"
    with pytest.raises(ItemTimeoutError, match=message):
        list(pipeline)


def test_function_that_no_signal_reaches_can_be_left_out(gate: Gate) -> None:
    stuck = partial(deaths.stuck_at, [7, 70], gate)
    pipeline = Pipeline(range(N)).map(stuck, on=Processes(1), timeout=SOON, on_error=Skip(ItemTimeoutError))
    assert list(pipeline) == [n for n in range(N) if n not in (7, 70)]


def test_each_has_a_timeout_too(gate: Gate, journal: Journal) -> None:
    slow = partial(deaths.slow_for_each, [3, 8], gate, journal)
    pipeline = Pipeline(range(10)).each(slow, on=Processes(2), timeout=SOON, on_error=Skip(ItemTimeoutError))
    assert pipeline.run().stages[1].skipped == 2
    assert set(journal.lines) == {f"did {n}" for n in range(10) if n not in (3, 8)}


def test_results_made_before_an_item_took_too_long_do_not_come(gate: Gate) -> None:
    slow = partial(deaths.slow_several, [3], gate)
    pipeline = Pipeline(range(6)).flat_map(slow, on=Processes(1), timeout=SOON, on_error=Skip(ItemTimeoutError))
    assert list(pipeline) == [n for n in range(6) if n != 3 for _ in range(2)]


def test_timeouts_are_no_restarts_and_deaths_are(gate: Gate, journal: Journal) -> None:
    """Two items take too long and one worker dies, in one place with one restart."""
    slow = partial(deaths.slow_and_dying, [3, 60], gate, [30], stages.sigkill, journal)
    pipeline = Pipeline(range(N)).map(slow, on=renewed(1, 1), timeout=SOON, on_error=Skip(ItemTimeoutError))
    assert list(pipeline) == [n for n in range(N) if n not in (3, 60)]
    assert journal.lines == ["died at 30"]


def test_worker_that_waits_is_not_too_late(gate: Gate) -> None:
    pipeline = Pipeline(gate.hold_at(iter(range(N)), 50)).map(deaths.same, on=Processes(1), timeout=SOON)
    with pipeline.open() as run:
        items = iter(run)
        assert [next(items) for _ in range(50)] == list(range(50))
        gate.wait_held()
        (before,) = pids(run)
        wait_asleep(before)
        assert pids(run) == [before]
        gate.release()
        assert list(items) == list(range(50, N))


@pytest.mark.parametrize("in_flight", [1, 3])
def test_slots_of_what_a_dead_worker_had_in_hand_come_back(journal: Journal, in_flight: int) -> None:
    dying = partial(deaths.doubled, range(0, N, 7), stages.sigkill, journal, 1)
    pipeline = Pipeline(range(N)).map(dying, on=renewed(2, N), in_flight=in_flight)
    assert list(pipeline) == [2 * n for n in range(N)]
