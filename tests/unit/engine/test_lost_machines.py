"""A worker that is lost with its machine is replaced elsewhere: no item is to blame, and what it had comes again."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chainpump.engine import replacement
from chainpump.engine.worker_slot import ReplacementRecord
from chainpump.errors import WorkerLostError
from chainpump.executors.base import LostWithMachine
from chainpump.ipc.board import Board, Cell, State
from chainpump.messages.names import Role, WorkerName
from chainpump.plan.placement import Capabilities
from chainpump.worker.operator_run import Condemned
from chainpump.worker.outcome import Failed

LOST = LostWithMachine(machine="n1 has died")


@pytest.fixture
def slot() -> Iterator[Any]:
    """What `replacement` looks at of a slot. Its worker is at an item of its frame, after others of it."""
    board = Board(1, 1, 1)
    row = board.row(0)
    row[Cell.STATE], row[Cell.ITEM], row[Cell.PID] = State.RUNNING, 3, 4711
    row[Cell.RECEIVED], row[Cell.FINISHED], row[Cell.SKIPPED], row[Cell.DEAD] = 120, 90, 8, 2
    group = SimpleNamespace(
        replaceable=SimpleNamespace(timeout=None, policy=None),
        executor=SimpleNamespace(capabilities=Capabilities(restarts=2)),
    )
    yield SimpleNamespace(
        group=group,
        rows=[row],
        replacements=ReplacementRecord(),
        checkpoint=SimpleNamespace(position=SimpleNamespace(received=0)),
        worker=SimpleNamespace(pid=4711),
        who=WorkerName(Role.STAGE, "f", 1, 2, host="n1"),
        pid=4711,
        ended_in_set_up=False,
    )
    board.release(with_views=True)


def test_it_has_received_what_was_dealt_with_and_costs_a_restart(slot: Any) -> None:
    assert replacement.after(slot, LOST) == {}
    assert slot.rows[0][Cell.RECEIVED] == 100
    assert (slot.rows[0][Cell.RESTARTS], slot.replacements.restarts) == (1, 1)


def test_the_item_at_which_a_machine_was_lost_is_not_suspect(slot: Any) -> None:
    slot.replacements.suspect, slot.replacements.cost = (2, 0), 2
    slot.replacements.condemned = {2: Condemned(ValueError(), 1)}
    assert replacement.after(slot, LOST) == {}
    assert (slot.replacements.suspect, slot.replacements.condemned) == (None, {})


def test_a_machine_that_is_lost_during_the_end_of_a_late_worker_costs_a_restart_as_well(slot: Any) -> None:
    slot.replacements.overdue = (3, 5)
    assert replacement.after(slot, LOST) == {}
    assert (slot.replacements.overdue, slot.replacements.restarts) == (None, 1)


def test_without_a_restart_left_the_failure_names_the_machine(slot: Any) -> None:
    slot.replacements.restarts = 2
    assert replacement.after(slot, LOST) is None
    failed = replacement.outcome_of_loss(slot, LOST, is_ending=False)
    assert isinstance(failed, Failed)
    assert failed.failure.error is WorkerLostError
    assert failed.failure.headline == "stage 'f' lost worker 1 of 2 (pid 4711 on n1): n1 has died."
