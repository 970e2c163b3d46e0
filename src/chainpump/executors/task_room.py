"""The limit on items that were started and not sent yet, by their number and the bytes of their results."""

from __future__ import annotations

from ..transport.flow import has_room

__all__ = ["TaskRoom"]


class TaskRoom:
    """Bounds the items that were started and not sent. Only the event loop's thread uses it.

    least, most: as for `has_room`. Each unfinished task counts with the bytes of the latest result.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        # The number of items that were started and not sent.
        self._started = 0
        # The number of those items that are finished.
        self._finished = 0
        # The bytes of the results of the finished items.
        self._finished_bytes = 0
        # The bytes of the latest result.
        self._latest_bytes = 0

    @property
    def is_free(self) -> bool:
        """Whether one more item may start."""
        expected = self._finished_bytes + (self._started - self._finished) * self._latest_bytes
        return has_room(self._started, expected, self._least, self._most)

    def enter(self) -> None:
        """One more item starts."""
        self._started += 1

    def weigh(self, nbytes: int) -> None:
        """Record the bytes of the results of one item."""
        self._finished += 1
        self._finished_bytes += nbytes
        self._latest_bytes = nbytes

    def leave(self, count: int, nbytes: int) -> None:
        """Record that the results of some items were sent. nbytes: the bytes of these results."""
        self._started -= count
        self._finished -= count
        self._finished_bytes -= nbytes
