"""The items of a run as one iterator. Any number of threads may share it: each item goes to one of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Protocol, TypeVar

from ..errors import PipelineError

__all__ = ["items_of"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ItemRun(Protocol[T_co]):
    """The part of a run that is needed here."""

    def next_items(self) -> Iterable[T_co] | None:
        """The next items; None at the end. See `Run.next_items`."""
        ...

    def close(self) -> None:
        """Cancel the run if it still goes on."""
        ...


def items_of(opened: Callable[[], ItemRun[T]], *, owned: bool) -> Iterator[T]:
    """The items of a run. The first request for an item opens the run. owned: the iterator closes the run on errors.

    `chain` yields items at the speed of C. It is safe between threads under two conditions. First, iterables that two
    threads get at the same time must be the same object, or hold one item each: `Run.next_items` ensures this. Second,
    its source must raise only StopIteration: `chain` drops a source that raises another exception, and other threads
    would then see a normal end.
    """
    return chain.from_iterable(_Source(opened, owned))


class _Source:
    """The source of iterables for `chain`. Any thread may call it."""

    __slots__ = ("_open", "_open_lock", "_owned", "_process", "_run")

    def __init__(self, opened: Callable[[], ItemRun[Any]], owned: bool) -> None:
        self._open = opened
        self._owned = owned
        self._process = os.getpid()
        # Held by the thread that opens the run.
        self._open_lock = threading.RLock()
        self._run: ItemRun[Any] | None = None

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> Iterable[Any]:
        try:
            items = self._opened().next_items()
        except BaseException as error:
            # Ctrl-C may have come at any point, so that something may still keep the run alive.
            if self._owned and self._run is not None:
                self._run.close()
            return _Raised(error)
        if items is None:
            raise StopIteration
        return items

    def _opened(self) -> ItemRun[Any]:
        if os.getpid() != self._process:
            # In a forked process, the copy of the lock may be held by a thread that exists only in the parent.
            self._process, self._open_lock = os.getpid(), threading.RLock()
        with self._open_lock:
            if self._run is None:
                self._run = self._open()
            return self._run


class _Raised:
    """An iterator that raises an exception once. Each thread gets its own one."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error: BaseException | None = error

    def __iter__(self) -> _Raised:
        return self

    def __next__(self) -> Any:
        error, self._error = self._error, None
        if error is None:
            raise StopIteration
        try:
            raise error
        except PipelineError:
            # As in `user_call`: it ends at the loop of the program.
            error.__traceback__ = None
            raise
        finally:
            # The traceback refers to this frame. Without the reference back, there is no cycle that keeps the run.
            del error
