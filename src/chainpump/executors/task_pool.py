"""The tasks of one stage in an event loop. Each processes one item after the other, as long as items wait.

To start a task takes as long as ten calls of a function that does not wait. So few tasks start at first, and each takes
its next item itself. If functions wait, twice as many tasks start in each iteration of the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..ipc.board import Cell
from .task_timeouts import task_stack

if TYPE_CHECKING:
    import asyncio

__all__ = ["TaskPool"]

J = TypeVar("J")
BY_TASKS = int(Cell.BY_TASKS)

# The most tasks that a report lists. If there are more, the others usually wait at the same lines.
MOST_REPORTED = 20
# Nanoseconds for which the tasks process items before other work of the event loop has its turn.
TURN_NS = 500_000


class TaskPool(Generic[J]):
    """Processes items in at most `most` tasks of an event loop. Only its thread uses it, except for `tasks`.

    take: returns the next item to process, None if there is none now. has_more: whether `take` will return more items
    of the current frame, perhaps only later. process: processes an item. index: the number of an item for a report.
    row: the board row of the stage.
    """

    def __init__(
        self,
        most: int,
        take: Callable[[], J | None],
        has_more: Callable[[], bool],
        process: Callable[[J], Coroutine[Any, Any, None]],
        index: Callable[[J], int],
        row: memoryview,
    ) -> None:
        import asyncio

        self._most = most
        self._take = take
        self._has_more = has_more
        self._process = process
        self._index = index
        self._row = row
        # The current item of each task, and its start time in nanoseconds. Any thread may copy it.
        self._current: dict[asyncio.Task[Any], tuple[J, int]] = {}
        # Set if a task has ended, if there is more room, or if the last item of a frame was taken.
        self._changed = asyncio.Event()
        # When the current turn ends, if one has begun in this iteration of the event loop.
        self._turn_ends = 0
        self._is_in_turn = False
        # The number of tasks that have used their turn, and will take further items.
        self._paused = 0

    def wake(self) -> None:
        """There is more room, so `take` may return an item again."""
        self._changed.set()

    async def start_all(self, group: asyncio.TaskGroup) -> None:
        """Start all items of the current frame, in tasks of this group."""
        import asyncio

        at_once = 1
        while self._has_more():
            started = 0 if self._paused else self._start(group, at_once)
            if not self._has_more():
                return
            if started or self._paused:
                # The tasks run until each of them waits or has used its turn. If all of them wait, more are needed.
                at_once = min(2 * at_once, self._most) if started else 1
                await asyncio.sleep(0)
            else:
                at_once = 1
                await self._change()

    def _start(self, group: asyncio.TaskGroup, at_once: int) -> int:
        started = 0
        while started < at_once and len(self._current) < self._most and (item := self._take()) is not None:
            task = group.create_task(self._work(item))
            task.add_done_callback(self._on_task_end)
            self._current[task] = item, self._record_change(+1)
            started += 1
        return started

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def has_free(self) -> None:
        """Wait until one more task may start."""
        while len(self._current) >= self._most:
            await self._change()

    async def all_ended(self) -> None:
        """Wait until no item is in progress."""
        while self._current:
            await self._change()

    async def _work(self, item: J) -> None:
        """Process an item, and further ones."""
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        context = copy_context()
        count = self._count
        while True:
            await self._process(item)
            count()
            # Each item begins in the context of the stage, in a task that nothing has cancelled.
            if task.cancelling() or copy_context() != context:
                return
            if not self._is_in_turn:
                self._begin_turn()
            elif time.monotonic_ns() >= self._turn_ends and self._has_more():
                await self._until_next_turn()
            following = self._take()
            if not self._has_more():
                self._changed.set()
            if following is None:
                return
            item = following
            self._current[task] = item, time.monotonic_ns()
            del following

    def _begin_turn(self) -> None:
        """One turn of all tasks together begins in each iteration of the event loop."""
        import asyncio

        self._is_in_turn = True
        self._turn_ends = time.monotonic_ns() + TURN_NS
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_in_turn = False

    async def _until_next_turn(self) -> None:
        """Let the event loop do its other work."""
        import asyncio

        self._paused += 1
        try:
            await asyncio.sleep(0)
        finally:
            self._paused -= 1

    def _count(self) -> None:
        """Record on the board that one more item is dealt with."""
        # `suppress` and the member of an enumeration would take a microsecond.
        try:
            self._row[BY_TASKS] += 1
        except ValueError:
            # As in `_record_change`.
            return

    def _on_task_end(self, task: asyncio.Task[Any]) -> None:
        del self._current[task]
        self._record_change(-1)
        self._changed.set()

    def _record_change(self, change: int) -> int:
        """Update the number of current items on the board. Returns the time of the change."""
        row, now = self._row, time.monotonic_ns()
        # The board is unmapped when the run has ended, which may have left these tasks behind.
        with suppress(ValueError):
            row[Cell.OCCUPIED] += row[Cell.AT_ONCE] * (now - row[Cell.SINCE])
            row[Cell.AT_ONCE] += change
            row[Cell.SINCE] = now
        return now

    def tasks(self) -> Iterator[tuple[str, str]]:
        """The items in progress, the oldest first, and where each of them waits. Any thread may call this."""
        now = time.monotonic_ns()
        found = sorted(self._current.copy().items(), key=lambda each: each[1][1])
        for task, (item, since) in found[:MOST_REPORTED]:
            yield f"in item {self._index(item)} for {(now - since) / 1e9:.3g} s", task_stack(task)
