"""Replacement of workers of element-wise stages that have died or exceed the time limit of an item.

The replacement goes on with the frame of its predecessor. If an item has cost several workers or too much time, it is
not tried again without limit: the policy of the stage decides about it, and may end the run.

These functions decide, by the history in the slot and the board. The supervisor acts.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from ..executors.base import Lost, LostWithMachine
from ..ipc.board import Cell, State
from ..lazy_dataclass import replace
from ..messages import failure_texts, host_texts, item_texts
from ..messages.names import Item, Role
from ..policies import Action, decide
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed, Finished, Interrupted, Outcome
from .started_worker import StartedWorker
from .worker_slot import WorkerSlot

__all__ = ["after", "due", "is_overdue", "kill_if_overdue", "outcome_of_loss"]

# How many workers must die in an item before it counts as the cause. One or two may have died in it by chance.
POISONOUS = 3
NOT_CONDEMNED = Condemned(None, 0)


def after(slot: WorkerSlot, lost: Lost) -> Mapping[int, Condemned] | Failed | None:
    """The condemned items for the replacement of a dead worker, or the failure that ends the run; None if neither."""
    group, row, record = slot.group, slot.rows[0], slot.replacements
    if group.replaceable is None or slot.checkpoint is None or slot.worker is None:
        return None
    if row[Cell.STATE] >= State.DONE and slot.who.role is not Role.SINK:
        # Only workers of a sink must report their end themselves, so only they are replaced after all their work.
        return None
    overdue, record.overdue = record.overdue, None
    is_alone = not isinstance(lost, LostWithMachine)
    found = _after_death(slot, lost.exit_code, overdue) if is_alone else _after_machine(slot)
    if isinstance(found, Mapping):
        row[Cell.RESTARTS] += 1
    return found


def _after_machine(slot: WorkerSlot) -> Mapping[int, Condemned] | None:
    """No item is to blame. The frame comes again, to any worker: the next one here has received what was dealt with."""
    row, record = slot.rows[0], slot.replacements
    if not _takes_restart(slot):
        return None
    row[Cell.RECEIVED] = row[Cell.FINISHED] + row[Cell.SKIPPED] + row[Cell.DEAD]
    record.suspect, record.condemned = None, {}
    return record.condemned


def _after_death(
    slot: WorkerSlot, exit_code: int | None, overdue: tuple[int, int] | None
) -> Mapping[int, Condemned] | Failed | None:
    """The next worker goes on with the frame. overdue: the item for which the worker was killed, if it was."""
    row, record = slot.rows[0], slot.replacements
    assert slot.checkpoint is not None
    assert slot.worker is not None
    if overdue is None:
        if not _takes_restart(slot):
            return None
    elif row[Cell.SENDING] and not slot.group.executor.capabilities.restarts:
        # The worker was sending the results of the item, and may have sent some of them.
        return None
    frame = slot.checkpoint.position.received
    if frame != record.frame:
        record.frame, record.suspect, record.condemned = frame, None, {}
    failed = _judge_item(slot, slot.worker, exit_code, overdue) if row[Cell.ITEM] else None
    return record.condemned if failed is None else failed


def _takes_restart(slot: WorkerSlot) -> bool:
    """Count a restart, if there is one left."""
    record = slot.replacements
    if record.restarts == slot.group.executor.capabilities.restarts:
        return False
    record.restarts += 1
    return True


def _judge_item(
    slot: WorkerSlot, worker: StartedWorker, exit_code: int | None, overdue: tuple[int, int] | None
) -> Failed | None:
    """Let the policy decide about the item in which the worker has died, if the item is the cause.

    Returns the failure that ends the run, if the policy wants that. Otherwise adds the item to the condemned ones.
    """
    row, record, replaceable = slot.rows[0], slot.replacements, slot.group.replaceable
    position, part, item = row[Cell.ITEM] - 1, row[Cell.PART], Item(row[Cell.INDEX])
    record.cost = record.cost + 1 if record.suspect == (position, part) else 1
    record.suspect = position, part
    earlier = record.condemned.get(position, NOT_CONDEMNED)
    # The batch of this part has cost several workers, so that one more is proof enough.
    deaths = 1 if part and earlier.error is not None else POISONOUS
    if replaceable is not None and overdue == (row[Cell.ITEM], row[Cell.SINCE]):
        stack = worker.handle.read_stack()
        failure = item_texts.timed_out(slot.who, worker.pid, item, replaceable.timeout or 0.0, stack)
        tries = record.cost
    elif record.cost >= deaths:
        failure = item_texts.poisonous(slot.who, worker.pid, exit_code, item, record.cost)
        tries = record.cost + 1 - deaths
    else:
        return None
    error = failure.error(item_texts.dealt_with(failure))
    try:
        ends_run = replaceable is None or decide(replaceable.policy, error, tries).action is Action.RAISE
    except Exception as own:
        # A policy of the user has raised an exception.
        failure = failure_texts.raised(slot.who, os.getpid(), own, item)
        # The traceback would keep the run alive. The failure contains it as text.
        return Failed(failure, own.with_traceback(None))
    if ends_run:
        return Failed(failure)
    found = Condemned(error, tries)
    if part:
        found = replace(earlier, parts={**earlier.parts, part - 1: found})
    record.condemned[position] = found
    return None


def due(slot: WorkerSlot) -> float | None:
    """When to check the time limit again, in seconds of the monotonic clock; None if there is no limit to check."""
    timeout = _timeout(slot)
    row = slot.rows[0]
    if timeout is None or slot.replacements.overdue == (row[Cell.ITEM], row[Cell.SINCE]):
        return None
    return timeout + (row[Cell.SINCE] / 1e9 if row[Cell.ITEM] else time.monotonic())


def is_overdue(slot: WorkerSlot) -> bool:
    """Whether its worker exceeds the time limit. True once for an item; the supervisor then kills the worker.

    A worker of another machine may have finished the item meanwhile. Then it is not killed, and goes on.
    """
    timeout, row, record = _timeout(slot), slot.rows[0], slot.replacements
    # The item is read first. In the other order, an item could get the earlier start time of the previous item.
    item, since = row[Cell.ITEM], row[Cell.SINCE]
    if timeout is None or record.overdue == (item, since) or not item:
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
        return Finished(early=state == State.STOPPED, retired=state == State.RETIRED)
    if isinstance(lost, LostWithMachine):
        return Failed(host_texts.lost_with_host(slot.who, slot.pid or None, lost.machine))
    if slot.ended_in_set_up:
        return Failed(failure_texts.lost_in_set_up(slot.who, slot.pid, lost.exit_code))
    return Failed(failure_texts.lost(slot.who, slot.pid, lost.exit_code, slot.in_hand, state != State.STARTING))


def _timeout(slot: WorkerSlot) -> float | None:
    return slot.group.replaceable.timeout if slot.group.replaceable is not None else None
