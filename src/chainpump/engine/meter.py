"""The meter: reads the board of a run while it goes, and keeps the last reading when it is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from operator import length_hint

from ..messages.names import Role
from ..plan.bound import Bound
from ..plan.operators import Operator
from ..progress.latency import Counts, counted
from ..progress.reading import Place, Reading, Rows, WorkerReading, count_items, read_worker
from .groups import Group
from .wiring import Wiring

__all__ = ["Meter"]


class Meter:
    """Any thread may read it. `close` keeps the last reading before it lets go of the board, so no lock is needed."""

    def __init__(self, wiring: Wiring) -> None:
        self._opened = time.monotonic_ns()
        self._began = 0
        self._cpu = time.process_time_ns()
        self.places: Sequence[Place] = [
            place for number, group in enumerate(wiring.groups) for place in _of(number, group)
        ]
        # By stage and worker.
        self._rows: Sequence[Sequence[Rows]] | None = [
            [Rows(slot.rows[stage], slot.rows[0], slot.rows[-1]) for slot in slots]
            for slots in wiring.slots
            for stage in range(len(slots[0].rows))
        ]
        self._last = Reading(0, 0, [[WorkerReading()] * len(workers) for workers in self._rows])
        first = wiring.groups[0].stages[0].call
        self._source = first
        # An iterator knows what is left of it; who is no iterator may count for long, and is asked when somebody asks.
        self._length = _length_of(first) if first.args and isinstance(first.args[0], Iterator) else None
        # As it was at the end.
        self._interpreter: int | None = None

    @property
    def interpreter(self) -> int:
        """Nanoseconds of processors that this process has taken, since the run was opened and until its end."""
        return time.process_time_ns() - self._cpu if self._interpreter is None else self._interpreter

    @property
    def length(self) -> int | None:
        """How many items the source makes, if it says so."""
        if self._length is None:
            self._length = _length_of(self._source)
        return self._length

    def read(self) -> Reading:
        """The workers as they are, or as they were at the end."""
        rows = self._rows
        return self._last if rows is None else self._read(rows, is_over=False)

    def counts(self) -> Sequence[Counts]:
        """The items of each stage so far: an eighth of what `read` costs."""
        if (rows := self._rows) is None:
            return [counted(workers) for workers in self._last.stages]
        return [Counts(*count_items(workers)) for workers in rows]

    def _read(self, rows: Sequence[Sequence[Rows]], is_over: bool) -> Reading:
        now = time.monotonic_ns()
        stages = [
            [read_worker(each, now, place.slots) for each in workers]
            for place, workers in zip(self.places, rows, strict=True)
        ]
        started = (each.started for workers in stages for each in workers)
        # A replacement starts anew.
        self._began = min(filter(None, (self._began, *started)), default=0)
        return Reading(now - self._opened, (self._began or now) - self._opened, stages, is_over, now)

    def close(self) -> None:
        """All workers have ended."""
        rows = self._rows
        if rows is not None:
            self._last = self._read(rows, is_over=True)
            self._interpreter = self.interpreter
            self._rows = None


def _of(number: int, group: Group) -> Iterator[Place]:
    executor = group.executor
    able = executor.capabilities
    workers = "" if able.shares_thread else executor.workers
    for index, (role, name, _) in enumerate(group.names):
        call = group.stages[index].call if index < len(group.stages) else None
        is_operator = isinstance(call, Operator)
        yield Place(
            name,
            role,
            "caller" if call is None else f"{type(executor).__name__}({workers})",
            group.at_once,
            number,
            slots=group.at_once if able.runs_async and is_operator else None,
            grows=role is not Role.SOURCE and not able.shares_thread and (is_operator or group.at_once > 1),
            is_auto=group.is_auto,
            on_processes=group.own_process,
        )


def _length_of(call: Bound) -> int | None:
    """Of an iterable that says it; what comes of a function is not known before it is there."""
    if call.function is not iter or len(call.args) != 1:
        return None
    try:
        length = length_hint(call.args[0], -1)
    except Exception:
        # The user's own `__len__`: a figure is not worth a run.
        return None
    return length if length >= 0 else None
