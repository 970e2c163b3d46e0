"""The meter reads the board of a run while the run goes on, and keeps the last reading after its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import TypeVar

from ..messages.names import Role
from ..plan.bound import Bound
from ..plan.operators import Operator
from ..progress.latency import Counts, counted
from ..progress.reading import Reading, Rows, StageFacts, WorkerReading, count_items, read_worker
from .groups import Group
from .wiring import Wiring

__all__ = ["Meter"]

T = TypeVar("T")


class Meter:
    """Reads the board for any thread. No lock is needed: `close` sets the last reading before it drops the board."""

    def __init__(self, wiring: Wiring) -> None:
        self._opened = time.monotonic_ns()
        # Seconds, as of `time.time`.
        self.started = time.time()
        self._began = 0
        self._cpu = time.process_time_ns()
        self.stage_facts: Sequence[StageFacts] = [
            facts for number, group in enumerate(wiring.groups) for facts in _stage_facts(number, group)
        ]
        # The rows, by stage and worker.
        self._rows: Sequence[Sequence[Rows]] | None = [
            [Rows(slot.rows[stage], slot.rows[0], slot.rows[-1]) for slot in slots]
            for slots in wiring.slots
            for stage in range(len(slots[0].rows))
        ]
        self._hosts = wiring.elsewhere.hosts
        self._source_point = wiring.source_point
        self._last = Reading(0, 0, [[WorkerReading()] * len(workers) for workers in self._rows])
        first = wiring.groups[0].stages[0].call
        self._source = first
        # An iterator knows its length only before the run. Other iterables may count for long, so they are asked later.
        self._length = _length_of(first) if first.args and isinstance(first.args[0], Iterator) else None
        # The value at the end of the run.
        self._interpreter: int | None = None

    @property
    def interpreter(self) -> int:
        """The processor time of this process since the run was opened, and until its end, in nanoseconds."""
        return time.process_time_ns() - self._cpu if self._interpreter is None else self._interpreter

    @property
    def done_before(self) -> int:
        """How many items of the source this run leaves out, because they are done."""
        return self._source_point.done_before

    @property
    def length(self) -> int | None:
        """How many items of the source this run has to do; None if it is unknown."""
        if self._length is None:
            self._length = _length_of(self._source)
        return None if self._length is None else self._source_point.left_of(self._length)

    def read(self) -> Reading:
        """The current reading; after the end, the last one."""
        return self._while_open(lambda rows: self._read(rows, is_over=False), lambda: self._last)

    def counts(self) -> Sequence[Counts]:
        """The numbers of items of each stage so far. This costs an eighth of `read`."""
        return self._while_open(
            lambda rows: [Counts(*count_items(workers)) for workers in rows],
            lambda: [counted(workers) for workers in self._last.stages],
        )

    def _while_open(self, read: Callable[[Sequence[Sequence[Rows]]], T], afterwards: Callable[[], T]) -> T:
        """Read the rows. After the end, call `afterwards`."""
        rows = self._rows
        if rows is not None:
            try:
                return read(rows)
            except ValueError:
                # The run may have ended during the reading, and released the memory of the board.
                if self._rows is not None:
                    raise
        return afterwards()

    def _read(self, rows: Sequence[Sequence[Rows]], is_over: bool) -> Reading:
        now = time.monotonic_ns()
        stages = [
            [read_worker(each, now, facts.slots, self._hosts) for each in workers]
            for facts, workers in zip(self.stage_facts, rows, strict=True)
        ]
        started = (each.started for workers in stages for each in workers)
        # A replacement overwrites the start time of its predecessor, so the earliest one is kept here.
        self._began = min(filter(None, (self._began, *started)), default=0)
        return Reading(now - self._opened, (self._began or now) - self._opened, stages, is_over, now)

    def close(self) -> None:
        """Keep the last reading, after all workers have ended."""
        rows = self._rows
        if rows is not None:
            self._last = self._read(rows, is_over=True)
            self._interpreter = self.interpreter
            self._rows = None


def _stage_facts(number: int, group: Group) -> Iterator[StageFacts]:
    executor = group.executor
    able = executor.capabilities
    workers = "" if able.shares_thread else executor.workers
    for index, (role, name, _) in enumerate(group.names):
        call = group.stages[index].call if index < len(group.stages) else None
        is_operator = isinstance(call, Operator)
        yield StageFacts(
            name,
            role,
            "caller" if call is None else f"{type(executor).__name__}({workers})",
            group.at_once,
            number,
            slots=group.at_once if able.runs_async and is_operator else None,
            grows=role is not Role.SOURCE and not able.shares_thread and (is_operator or group.at_once > 1),
            is_auto=group.is_auto,
            on_processes=group.has_own_interpreter,
        )


def _length_of(call: Bound) -> int | None:
    """The length of an iterable that knows it. The number of items from a function is unknown in advance."""
    if call.function is not iter or len(call.args) != 1:
        return None
    try:
        length = length_hint(call.args[0], -1)
    except Exception:
        # The `__len__` of a user's class may raise. The run goes on without a length.
        return None
    return length if length >= 0 else None
