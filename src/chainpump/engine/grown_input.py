"""Finds that the input of a durable run has grown after a stage has made an item at its end, such as a short batch."""

from __future__ import annotations

__all__ = ["GrownInput"]


class GrownInput:
    """Compares the length of an input with that of earlier attempts.

    >>> known = GrownInput("a.journal", "stage 'batch(4)'", None)
    >>> known.news(6), known.growth(6)
    (6, '')
    >>> known.news(6), known.news(9)
    (None, 9)

    path: of the journal. stage: makes an item at the end that it would not make of a longer input. before: how many
    items the source had in an earlier attempt; None if nobody has seen its end.
    """

    def __init__(self, path: str, stage: str, before: int | None) -> None:
        self._path = path
        self._stage = stage
        self._known = before

    def growth(self, length: int) -> str:
        """Return the warning that the input has grown; empty if it has not."""
        if self._known is None or length <= self._known:
            return ""
        return (
            f"journal {self._path}: the input has {length} items, and had {self._known} in an earlier attempt. The "
            f"last item that {self._stage} had made of those may be made of more items now, and counts as done: some "
            "new items may be left out.\n  Give new items a journal of their own."
        )

    def news(self, length: int) -> int | None:
        """Return the length for the journal; None if it is known there. Later comparisons are with this one."""
        if length == self._known:
            return None
        self._known = length
        return length
