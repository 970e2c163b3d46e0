"""Succession: what becomes of an element-wise stage's worker that has died, or takes too long over an item.

Its successor goes on with the frame that it had in hand. An item that has cost several workers, or too much time, is
not tried again for ever: the stage's policy decides about it, and may end the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TypeAlias

from ..errors import ItemTimeoutError, RunError, WorkerLostError
from ..ipc.board import Cell, State
from ..lazy_dataclass import dataclass, field
from ..messages import failure_texts
from ..messages.names import Item
from ..policies import Action, decide
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed
from .wiring import Wiring

__all__ = ["Succession"]

POISONOUS = 3  # workers that an item has to cost until it is to blame: one or two may have died in it by chance

Place: TypeAlias = tuple[int, int]  # group and number of a worker


@dataclass(slots=True)
class _Line:
    """The workers that have had one place.

    restarts: how many of them have died by themselves. overdue: the item that the present one is to die for, and when
    its call began. frame: the one in hand, told apart by how many items came before it. suspect: the position in it
    that the last one was in; cost: how many have died there, one after the other. condemned: what successors are told
    of items in it, by position: each of them may come to all of these again.
    """

    restarts: int = 0
    overdue: tuple[int, int] | None = None
    frame: int = 0
    suspect: int | None = None
    cost: int = 0
    condemned: dict[int, Condemned] = field(default_factory=dict)


class Succession:
    """Decides; belongs to the supervisor's thread."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._lines: dict[Place, _Line] = {}

    def after(
        self, place: Place, pid: int, exit_code: int | None, stack: str
    ) -> Mapping[int, Condemned] | Failed | None:
        """What the successor of a worker that has died is told; or why the run has to end; None if it has none.

        stack: where it was, if it was asked before it died.
        """
        group = self._wiring.groups[place[0]]
        row, line = self._row(place), self._line(place)
        is_sink = group.who(0, place[1]).role == "sink"
        if group.guarded is None or (row[Cell.STATE] >= State.DONE and not is_sink):
            return None  # a sink's worker has to say so itself: its successor will
        overdue, line.overdue = line.overdue, None
        if overdue is None:
            if line.restarts == group.executor.capabilities.restarts:
                return None
            line.restarts += 1
        elif row[Cell.SENDING] and not group.executor.capabilities.restarts:
            return None  # it was past the item, and nobody knows whether all of its results had left
        frame = self._wiring.hands[place].mark.received
        if frame != line.frame:
            line.frame, line.suspect, line.condemned = frame, None, {}
        if row[Cell.ITEM]:
            position = row[Cell.ITEM] - 1
            line.cost = line.cost + 1 if line.suspect == position else 1
            line.suspect = position
            is_late = overdue == (row[Cell.ITEM], row[Cell.SINCE])
            if is_late or line.cost >= POISONOUS:
                error = self._too_late(place, pid, stack) if is_late else self._poisonous(place, pid, exit_code)
                tries = line.cost if is_late else line.cost + 1 - POISONOUS
                failed = self._refused(place, error, tries)
                if failed is not None:
                    return failed
                line.condemned[position] = Condemned(error, tries)
        row[Cell.RESTARTS] += 1
        return line.condemned

    def _refused(self, place: Place, error: RunError, tries: int) -> Failed | None:
        """Why the run has to end: the policy of the stage decides so, or has failed itself."""
        group = self._wiring.groups[place[0]]
        assert group.guarded is not None
        try:
            action = decide(group.guarded.policy, error, tries).action
        except Exception as own:  # of a policy of the user's
            who, item = group.who(0, place[1]), Item(self._row(place)[Cell.INDEX])
            failure = failure_texts.raised(who, os.getpid(), own, item)
            return Failed(failure, own.with_traceback(None))  # which would keep the run: it is in the failure as text
        return Failed(error.failures[0]) if action is Action.RAISE else None

    def _too_late(self, place: Place, pid: int, stack: str) -> RunError:
        group = self._wiring.groups[place[0]]
        assert group.guarded is not None
        timeout = group.guarded.timeout or 0.0
        item = Item(self._row(place)[Cell.INDEX])
        return ItemTimeoutError(failure_texts.timed_out(group.who(0, place[1]), pid, item, timeout, stack))

    def _poisonous(self, place: Place, pid: int, exit_code: int | None) -> RunError:
        who = self._wiring.groups[place[0]].who(0, place[1])
        item = Item(self._row(place)[Cell.INDEX])
        return WorkerLostError(failure_texts.poisonous(who, pid, exit_code, item, self._line(place).cost))

    def due(self, place: Place) -> float | None:
        """When to look at a worker again, in seconds of the monotonic clock; None if it may take its time."""
        timeout = self._timeout(place)
        if timeout is None or self._line(place).overdue is not None:
            return None
        row = self._row(place)
        return timeout + (row[Cell.SINCE] / 1e9 if row[Cell.ITEM] else time.monotonic())

    def is_overdue(self, place: Place) -> bool:
        """Whether a worker has just been found to take too long; said once, and then it is to die."""
        timeout, row, line = self._timeout(place), self._row(place), self._line(place)
        item, since = row[Cell.ITEM], row[Cell.SINCE]  # in this order: then no item is given the time of the one before
        if timeout is None or line.overdue is not None or not item:
            return False
        if time.monotonic_ns() - since < timeout * 1e9:
            return False
        line.overdue = (item, since)
        return True

    def is_still_overdue(self, place: Place) -> bool:
        """Whether it is still in that item; if not, it may live."""
        row, line = self._row(place), self._line(place)
        if line.overdue != (row[Cell.ITEM], row[Cell.SINCE]):
            line.overdue = None
        return line.overdue is not None

    def _timeout(self, place: Place) -> float | None:
        guarded = self._wiring.groups[place[0]].guarded
        return guarded.timeout if guarded is not None else None

    def _row(self, place: Place) -> memoryview:
        return self._wiring.board.row(self._wiring.groups[place[0]].rows[0][place[1]])

    def _line(self, place: Place) -> _Line:
        return self._lines.setdefault(place, _Line())
