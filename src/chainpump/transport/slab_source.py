"""The contract of what gives a producer its slabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNCOUNTED
from ..pickling.items import Large
from .wire import WireOut

__all__ = ["Reserved", "SlabAllocator", "SlabSource"]


class Reserved:
    """A slab that is lent to its own producer, who fills it, and then sends it or releases it.

    contents: the memory to fill. release: returns the slab, as a consumer does.
    """

    def __init__(
        self, contents: memoryview, location: Callable[[Sequence[int]], bytes], give_back: Callable[[bool], object]
    ) -> None:
        self.contents = contents
        # The location of these contents for a consumer. It takes the lengths of their parts.
        self.location = location
        self._give_back: Callable[[bool], object] | None = give_back

    def sent(self) -> None:
        """The location has been sent to a consumer, which returns the slab."""
        self._end(is_sent=True)

    def release(self) -> None:
        """The slab is not needed, unless it has been sent. A second call does nothing. Any thread may make it."""
        self._end(is_sent=False)

    def _end(self, *, is_sent: bool) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(is_sent)


class SlabAllocator(Protocol):
    """Allocates slabs for a producer."""

    def put(self, item: Large, waits: AbstractContextManager[None] = UNCOUNTED) -> bytes:
        """Copy an item to a slab and return its location for a consumer. Raises Cancelled, and OSError."""
        ...

    def reserve(self, nbytes: int) -> Reserved | None:
        """Reserve a slab for so many bytes. None if there is no room now. Never waits."""
        ...

    def free_idle(self) -> None:
        """A frame without a slab is sent: free slabs that have been idle for long."""
        ...

    def close(self) -> None:
        """Free all slabs that are not in use."""
        ...


class SlabSource(Protocol):
    """The source of a producer's slabs. It travels to the worker, which opens it with the first large item."""

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        ...

    def allocator(self, wire: WireOut) -> SlabAllocator:
        """Make the allocator. wire: reports a hang-up of the channel."""
        ...
