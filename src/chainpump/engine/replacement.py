"""Replacement: what becomes of an element-wise stage's worker that has died, or takes too long over an item.

Its replacement goes on with the frame that it had in hand. An item that has cost several workers, or too much time, is
not tried again for ever: the stage's policy decides about it, and may end the run.
These functions decide, by what the slot of the worker remembers and the board tells; the supervisor acts.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from ..executors.base import Lost
from ..ipc.board import Cell, State
from ..messages import failure_texts
from ..messages.names import Item, Role
from ..policies import Action, decide
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed, Finished, Interrupted, Outcome
from .started_worker import StartedWorker
from .worker_slot import WorkerSlot

__all__ = ["after", "due", "is_overdue", "kill_if_overdue", "outcome_of_loss"]

# Workers that an item has to cost until it is to blame: one or two may have died in it by chance.
POISONOUS = 3


def after(slot: WorkerSlot, exit_code: int | None) -> Mapping[int, Condemned] | Failed | None:
    """What the replacement of a worker that has died is told; or why the run has to end; None if it has none."""
    group, row, record = slot.group, slot.rows[0], slot.replacements
    if group.guarded is None or slot.checkpoint is None or slot.worker is None:
        return None
    if row[Cell.STATE] >= State.DONE and slot.who.role is not Role.SINK:
        # A sink's worker has to say so itself: its replacement will.
        return None
    overdue, record.overdue = record.overdue, None
    if overdue is None:
        if record.restarts == group.executor.capabilities.restarts:
            return None
        record.restarts += 1
    elif row[Cell.SENDING] and not group.executor.capabilities.restarts:
        # It was past the item, and nobody knows whether all of its results had left.
        return None
    frame = slot.checkpoint.position.received
    if frame != record.frame:
        record.frame, record.suspect, record.condemned = frame, None, {}
    failed = _blame(slot, slot.worker, exit_code, overdue) if row[Cell.ITEM] else None
    if failed is not None:
        return failed
    row[Cell.RESTARTS] += 1
    return record.condemned


def _blame(
    slot: WorkerSlot, worker: StartedWorker, exit_code: int | None, overdue: tuple[int, int] | None
) -> Failed | None:
    """What the policy makes of the item that the worker has died in, if it was for too long or has cost too many.

    Returns why the run has to end, if it has to; what replacements are to know is added to the record.
    """
    row, record, guarded = slot.rows[0], slot.replacements, slot.group.guarded
    position, item = row[Cell.ITEM] - 1, Item(row[Cell.INDEX])
    record.cost = record.cost + 1 if record.suspect == position else 1
    record.suspect = position
    if guarded is not None and overdue == (row[Cell.ITEM], row[Cell.SINCE]):
        stack = worker.handle.read_stack()
        failure = failure_texts.timed_out(slot.who, worker.pid, item, guarded.timeout or 0.0, stack)
        tries = record.cost
    elif record.cost >= POISONOUS:
        failure = failure_texts.poisonous(slot.who, worker.pid, exit_code, item, record.cost)
        tries = record.cost + 1 - POISONOUS
    else:
        return None
    error = failure.error(failure)
    try:
        ends_run = guarded is None or decide(guarded.policy, error, tries).action is Action.RAISE
    except Exception as own:
        # Of a policy of the user's.
        failure = failure_texts.raised(slot.who, os.getpid(), own, item)
        # Which would keep the run: it is in the failure as text.
        return Failed(failure, own.with_traceback(None))
    if ends_run:
        return Failed(failure)
    record.condemned[position] = Condemned(error, tries)
    return None


def due(slot: WorkerSlot) -> float | None:
    """When to look at its worker again, in seconds of the monotonic clock; None if that may take its time."""
    timeout = _timeout(slot)
    if timeout is None or slot.replacements.overdue is not None:
        return None
    row = slot.rows[0]
    return timeout + (row[Cell.SINCE] / 1e9 if row[Cell.ITEM] else time.monotonic())


def is_overdue(slot: WorkerSlot) -> bool:
    """Whether its worker has just been found to take too long; said once, and then it is to die."""
    timeout, row, record = _timeout(slot), slot.rows[0], slot.replacements
    # In this order: then no item is given the time of the one before.
    item, since = row[Cell.ITEM], row[Cell.SINCE]
    if timeout is None or record.overdue is not None or not item:
        return False
    if time.monotonic_ns() - since < timeout * 1e9:
        return False
    record.overdue = (item, since)
    return True


def kill_if_overdue(slot: WorkerSlot, worker: StartedWorker) -> None:
    """Kill a worker that exceeds its time limit, unless it has finished the item meanwhile."""
    row, record = slot.rows[0], slot.replacements
    if record.overdue != (row[Cell.ITEM], row[Cell.SINCE]):
        record.overdue = None
    if record.overdue is not None:
        worker.handle.strike()


def outcome_of_loss(slot: WorkerSlot, lost: Lost, is_ending: bool) -> Outcome:
    """The outcome of a worker that died without a report: lost, unless it was done according to the board.

    is_ending: the run ends early, so its workers may have received SIGTERM for that reason.
    """
    state = slot.rows[-1][Cell.STATE]
    if lost.exit_code == -signal.SIGTERM and is_ending:
        return Interrupted()
    if state >= State.DONE and slot.who.role is not Role.SINK:
        return Finished(early=state == State.STOPPED)
    return Failed(failure_texts.lost(slot.who, slot.pid, lost.exit_code, slot.in_hand, state != State.STARTING))


def _timeout(slot: WorkerSlot) -> float | None:
    return slot.group.guarded.timeout if slot.group.guarded is not None else None
