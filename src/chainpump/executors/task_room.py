"""How many items tasks may deal with before their results are sent: by count and by bytes."""

from __future__ import annotations

from ..transport.flow import has_room

__all__ = ["TaskRoom"]


class TaskRoom:
    """Bounds the items that have been begun and not been sent. Belongs to the event loop's thread.

    least, most: as for `has_room`. Tasks that have not ended count with what the last one has made.
    """

    def __init__(self, least: int, most: int) -> None:
        import asyncio

        self._least = least
        self._most = most
        # And not sent.
        self._started = 0
        # Of these, ended.
        self._finished = 0
        # Of what those have made.
        self._finished_bytes = 0
        # Bytes; of what was made last.
        self._latest_bytes = 0
        self._changed = asyncio.Event()

    async def enter(self) -> None:
        """Begin with one more, as soon as there is room."""
        while not has_room(self._started, self._expected, self._least, self._most):
            self._changed.clear()
            await self._changed.wait()
        self._started += 1

    @property
    def _expected(self) -> int:
        return self._finished_bytes + (self._started - self._finished) * self._latest_bytes

    def weigh(self, nbytes: int) -> None:
        """So much was made of one of them."""
        self._finished += 1
        self._finished_bytes += nbytes
        self._latest_bytes = nbytes

    def leave(self, count: int, nbytes: int) -> None:
        """So many were sent, and what was made of them."""
        self._started -= count
        self._finished -= count
        self._finished_bytes -= nbytes
        self._changed.set()
