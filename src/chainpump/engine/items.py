"""The items of a run as one iterator, which any number of threads may share: each item goes to one of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Protocol, TypeVar

__all__ = ["items_of"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ItemRun(Protocol[T_co]):
    """What this needs of a run."""

    def next_items(self) -> Iterable[T_co] | None:
        """The items to go on with; None at the end. See `Run.next_items`."""
        ...

    def close(self) -> None:
        """Cancel what has not ended."""
        ...


def items_of(opened: Callable[[], ItemRun[T]], *, owned: bool) -> Iterator[T]:
    """The items of the run that this opens when the first item is asked for. owned: nobody else closes it.

    `chain` gives items at the speed of C, and needs two things of what it chains to be safe between threads. Whatever
    two threads are given at once must be one iterable, or hold one item: `Run.next_items` sees to that. And its source
    must raise nothing but StopIteration: `chain` drops a source that raises, and would then end normally for others.
    """
    return chain.from_iterable(_Source(opened, owned))


class _Source:
    """The iterables that `chain` asks for, whichever thread does."""

    __slots__ = ("_open", "_opening", "_owned", "_process", "_run")

    def __init__(self, opened: Callable[[], ItemRun[Any]], owned: bool) -> None:
        self._open = opened
        self._owned = owned
        self._process = os.getpid()
        # Taken by the thread that opens the run.
        self._opening = threading.RLock()
        self._run: ItemRun[Any] | None = None

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> Iterable[Any]:
        try:
            items = self._opened().next_items()
        except BaseException as error:
            # Ctrl-C may have come anywhere, and left what keeps the run alive.
            if self._owned and self._run is not None:
                self._run.close()
            return _Raised(error)
        if items is None:
            raise StopIteration
        return items

    def _opened(self) -> ItemRun[Any]:
        if os.getpid() != self._process:
            # In a process that was forked off nobody can have taken the lock, whoever had it at the fork.
            self._process, self._opening = os.getpid(), threading.RLock()
        with self._opening:
            if self._run is None:
                self._run = self._open()
            return self._run


class _Raised:
    """An iterator that raises an exception, once: each thread gets one of its own."""

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
        finally:
            # The traceback leads to this frame: no cycle keeps the run.
            del error
