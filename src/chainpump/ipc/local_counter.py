"""A counter of threads in one process. A counter in the kernel costs a system call each time, which lets go the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .descriptors import Descriptor
from .wakeups import Wakeup

__all__ = ["LocalCounter"]


class LocalCounter:
    """A count that several threads share: a `Counter` without descriptors. `give` may be called in a signal handler.

    It has no lock that an interrupted thread could keep: each step that changes the count is atomic.
    one_by_one: as in `counters.counter`.
    """

    descriptors: Sequence[Descriptor] = ()

    def __init__(self, count: int, *, one_by_one: bool) -> None:
        self._one_by_one = one_by_one
        # The free units, in portions. A thread that removes one has all of its units.
        self._portions: deque[int] = deque([count] if count else [])
        self._waiting: set[Wakeup] = set()

    def take(self) -> int:
        """Take one unit or all units, as chosen when the counter was made. Raises BlockingIOError if it is 0."""
        portions = self._portions
        if not portions:
            raise BlockingIOError
        try:
            taken = portions.popleft()
        except IndexError:
            # Another thread has taken it.
            raise BlockingIOError from None
        if self._one_by_one:
            if taken > 1:
                portions.appendleft(taken - 1)
                # Another thread may have found none in the meantime.
                self._wake()
            return 1
        while portions:
            taken += portions.popleft()
        return taken

    def give(self, count: int) -> None:
        """Add units to the count."""
        self._portions.append(count)
        if self._waiting:
            self._wake()

    def wait(self) -> None:
        """Wait until there may be a unit to take."""
        wakeup = Wakeup()
        # `give` changes the count before it reads the set, so the unit is seen here, or the wake-up there.
        self._waiting.add(wakeup)
        try:
            if not self._portions:
                wakeup.wait()
        finally:
            self._waiting.discard(wakeup)

    def _wake(self) -> None:
        for wakeup in self._waiting.copy():
            wakeup.set()

    def dup(self) -> LocalCounter:
        """Return the same counter."""
        return self

    def close(self) -> None:
        """Do nothing: it has no descriptor."""
