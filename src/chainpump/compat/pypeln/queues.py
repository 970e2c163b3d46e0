"""Queues that are the source of a stage while a program fills them."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ...building.checks import check_count
from ...errors import Cancelled

__all__ = ["Mark", "ThreadQueue"]

T = TypeVar("T")


class Mark:
    """A message in a queue that is no item."""

    def __init__(self, error: BaseException | None = None, stops: bool = False, wakes: bool = False) -> None:
        self.error = error
        self.stops = stops
        self.wakes = wakes


class _Items(Iterator[T], Generic[T]):
    """The items of a queue until all sources are done. `cancel` ends the wait for the next item."""

    def __init__(self, source: _Sources[T]) -> None:
        self._source = source
        self._is_cancelled = False

    def __next__(self) -> T:
        while True:
            if self._is_cancelled:
                raise Cancelled("the run was cancelled")
            if self._source.is_stopped:
                raise StopIteration
            try:
                item = self._source.get_message(block=not self._source.is_done())
            except queue.Empty:
                raise StopIteration from None
            if not isinstance(item, Mark):
                found: T = item
                return found
            if not item.wakes:
                self._source.note(item)

    def cancel(self) -> None:
        """End the wait. Any thread may call it."""
        self._is_cancelled = True
        # A full queue has an item, for which nobody waits.
        with suppress(queue.Full):
            self._source.put_message(Mark(wakes=True), block=False)


class _Sources(Generic[T]):
    """What both kinds of queues have in common: their end, when every source is done.

    get_message, put_message: of the queue itself, of items and marks.
    """

    get_message: Callable[..., Any]
    put_message: Callable[..., None]
    _left: int
    is_stopped = False

    def __iter__(self) -> Iterator[T]:
        return _Items(self)

    def is_done(self) -> bool:
        """Whether the end of every source has been read."""
        return self._left <= 0

    def worker_done(self) -> None:
        """Say that one source puts no more items. The items end when all sources have said so."""
        self.put_message(Mark())

    def stop(self) -> None:
        """End the items now, and drop those that nobody has read."""
        self._left, self.is_stopped = 0, True
        self.clear()
        # It wakes an iterator that waits.
        with suppress(queue.Full):
            self.put_message(Mark(stops=True), block=False)

    kill = stop

    def raise_exception(self, exception: BaseException) -> None:
        """Let the iterator raise an exception, behind the items that were put before."""
        self.put_message(Mark(exception))

    def clear(self) -> None:
        """Drop all items that nobody has read."""
        with suppress(queue.Empty):
            while True:
                item = self.get_message(block=False)
                if isinstance(item, Mark):
                    self.note(item)

    def note(self, mark: Mark) -> None:
        """Count the end of a source. Raises the exception that was put."""
        if mark.error is not None:
            raise mark.error
        self._left = 0 if mark.stops else self._left - 1
        self.is_stopped = self.is_stopped or mark.stops

    def _next(self, block: bool, timeout: float | None) -> Any:
        """Return the next item. Raises queue.Empty if there is none, or no more."""
        while True:
            if self.is_stopped:
                raise queue.Empty
            item = self.get_message(block and not self.is_done(), timeout)
            if not isinstance(item, Mark):
                return item
            if not item.wakes:
                self.note(item)


class ThreadQueue(_Sources[T], queue.Queue[T]):
    """A queue of a program's threads, as a source: its items arrive while the stage runs.

    >>> numbers = ThreadQueue()
    >>> numbers.put(1)
    >>> numbers.worker_done()
    >>> list(numbers)
    [1]

    maxsize: how many items may wait; 0 for no limit. total_sources: how often `worker_done` is called.
    """

    def __init__(self, maxsize: int = 0, total_sources: int = 1) -> None:
        self._left = check_count(total_sources, "IterableQueue", "total_sources")
        super().__init__(check_count(maxsize, "IterableQueue", "maxsize", least=0))
        self.get_message, self.put_message = super().get, super().put

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Return the next item. Raises queue.Empty if there is none, or no more."""
        item: T = self._next(block, timeout)
        return item
