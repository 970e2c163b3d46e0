"""A slot keeps its state while one worker after another runs in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chainpump import Pipeline, Processes, Threads
from chainpump.engine.dead_letters import DeadLetters
from chainpump.engine.no_recorder import NoRecorder
from chainpump.engine.run_settings import RunSettings
from chainpump.engine.started_worker import StartedWorker
from chainpump.engine.wiring import Wiring
from chainpump.engine.worker_slot import WorkerSlot
from chainpump.ipc.board import Cell, State
from chainpump.ipc.wait_times import Wait
from chainpump.logs.receiver import Logs
from chainpump.worker.outcome import Finished, Interrupted


class Handle:
    """The handle of a worker. A test makes the worker die."""

    pid = 7
    dies_within = 0.0

    def __init__(self) -> None:
        self.waitables = [3]
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def started(slot: WorkerSlot) -> StartedWorker:
    # The handle has only the members that a slot needs.
    worker = StartedWorker(Handle(), slot.who, 0.5, print)  # type: ignore[arg-type]
    slot.fill(worker)
    return worker


def die(worker: StartedWorker) -> None:
    worker.handle.waitables = []  # type: ignore[misc]


@pytest.fixture
def wiring() -> Iterator[Wiring]:
    chain, logs = Pipeline(range(9)).map(abs, on=Processes(2, restarts=1), name="abs").into(sum, on=Threads()), Logs()
    made = Wiring(
        chain.plan().stages, RunSettings(iterated=False, grace=0.5), DeadLetters([], lambda: None, NoRecorder()), logs
    )
    yield made
    made.close()
    logs.close(went_well=True)
    made.board.release(with_views=True)


@pytest.fixture
def slot(wiring: Wiring) -> WorkerSlot:
    return wiring.slots[1][1]


def test_every_group_has_a_slot_for_each_of_its_workers_along_the_chain(wiring: Wiring) -> None:
    assert [slot.key for slot in wiring.all_slots] == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert [slot.who.placed(None) for slot in wiring.slots[1]] == [
        "stage 'abs' (worker 1 of 2)",
        "stage 'abs' (worker 2 of 2)",
    ]


def test_a_slot_is_occupied_until_its_worker_has_reported_and_its_processes_have_ended(
    slot: WorkerSlot,
) -> None:
    assert not slot.is_occupied
    worker = started(slot)
    assert (slot.is_occupied, slot.is_at_work) == (True, True)
    worker.outcome = Finished()
    assert (slot.is_occupied, slot.is_at_work) == (True, False)
    die(worker)
    assert not slot.is_occupied


def test_the_slot_of_a_dead_worker_is_occupied_until_the_worker_has_an_outcome(slot: WorkerSlot) -> None:
    """As one that somebody has sent SIGTERM, which counts as lost only after a while."""
    worker = started(slot)
    die(worker)
    assert (slot.is_occupied, slot.is_at_work) == (True, False)
    worker.outcome = Interrupted()
    assert not slot.is_occupied


def test_a_worker_that_has_left_processes_behind_stays_with_the_slot_until_they_have_ended(slot: WorkerSlot) -> None:
    first = started(slot)
    second = started(slot)
    assert (first.was_replaced, second.was_replaced) == (True, False)
    assert (slot.worker, list(slot.workers), slot.running) == (second, [second, first], [second, first])
    die(first)
    assert slot.running == [second]
    slot.release_ended()
    third = started(slot)
    assert list(slot.workers) == [third, second]
    assert [each.handle.is_closed for each in (first, second, third)] == [True, False, False]  # type: ignore[attr-defined]


def test_the_next_worker_continues_the_counts_and_the_checkpoint(wiring: Wiring, slot: WorkerSlot) -> None:
    wiring.worker(slot).hand_over()
    checkpoint, row = id(slot.checkpoint), slot.rows[0]
    row[Cell.STATE], row[Cell.STARTED], row[Cell.RECEIVED], row[Cell.ITEM] = State.RUNNING, 100, 7, 3
    slot.end()
    lived = row[Cell.ENDED] - 100
    slot.begin_again()
    wiring.worker(slot).hand_over()
    assert slot.checkpoint is not None
    assert id(slot.checkpoint) == checkpoint
    assert [row[cell] for cell in (Cell.STATE, Cell.STARTED, Cell.ENDED, Cell.ITEM)] == [State.STARTING, 0, 0, 0]
    assert (row[Cell.RECEIVED], row[Cell.LIVED]) == (7, lived)


def test_a_slot_knows_whether_its_last_worker_has_died_while_it_was_set_up(wiring: Wiring, slot: WorkerSlot) -> None:
    wiring.worker(slot).hand_over()
    with Wait(slot.rows[0], Cell.SET_UP):
        assert slot.read().sets_up
        slot.end()
        assert not slot.read().sets_up
        assert slot.read().set_up > 0
    assert slot.ended_in_set_up
    slot.begin_again()
    assert not slot.ended_in_set_up


def test_slots_whose_workers_are_not_replaced_have_no_checkpoint(wiring: Wiring) -> None:
    sink = wiring.slots[2][0]
    wiring.worker(sink).hand_over()
    assert sink.checkpoint is None


def test_a_worker_that_may_stay_no_longer_sees_the_request_to_retire(slot: WorkerSlot) -> None:
    slot.retire()
    assert (slot.read().retires, slot.is_retired) == (True, True)
    slot.keep()
    # It remains retired, because the worker may have seen the request already.
    assert (slot.read().retires, slot.is_retired) == (False, True)


def test_a_closed_slot_keeps_only_the_returned_value_of_its_worker(wiring: Wiring, slot: WorkerSlot) -> None:
    worker = started(slot)
    slot.finished = Finished(42)
    wiring.close()
    assert (slot.finished.value, slot.worker, slot.rows) == (42, None, ())
    assert worker.handle.is_closed  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "cells, in_hand",
    [
        ({Cell.ITEM: 1, Cell.INDEX: 12, Cell.FIRST: 10, Cell.RECEIVED: 8}, range(12, 13)),
        ({Cell.FIRST: 10, Cell.RECEIVED: 9, Cell.FINISHED: 4, Cell.SKIPPED: 1, Cell.DEAD: 1}, range(10, 13)),
        ({Cell.FIRST: 10, Cell.RECEIVED: 9, Cell.FINISHED: 9}, range(10, 10)),
    ],
    ids=["in an item", "in one of several", "between two frames"],
)
def test_the_unfinished_items_of_a_worker_are_known_from_its_row(
    slot: WorkerSlot, cells: dict[int, int], in_hand: range
) -> None:
    for cell, value in cells.items():
        slot.rows[0][cell] = value
    assert slot.in_hand == in_hand
