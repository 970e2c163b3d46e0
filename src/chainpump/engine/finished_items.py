"""Which items of the source are finished, as spans arrive in any order, also in parts of an item."""

from __future__ import annotations

from ..durable.ranges import Ranges
from ..transport.frames import Span

__all__ = ["FinishedItems"]


class FinishedItems:
    """Puts together the parts of items that `flat_map` has divided. A span may come again.

    >>> items = FinishedItems()
    >>> items.add(Span(0, 7)), items.add(Span(40, 60, prefix=(7,), last=True)), items.add(Span(0, 40, prefix=(7,)))
    ((0, 7), None, (7, 8))
    """

    def __init__(self) -> None:
        self._parts: dict[int, _Parts] = {}

    def add(self, span: Span) -> tuple[int, int] | None:
        """Add a span. Returns the range of items that are finished by it; None if there are none."""
        if not span.prefix:
            return (span.start, span.stop) if span.start < span.stop else None
        item, *path = span.prefix
        if not self._parts.setdefault(item, _Parts()).add(span._replace(prefix=tuple(path))):
            return None
        del self._parts[item]
        return item, item + 1


class _Parts:
    """The parts of one item: numbered from 0, and each may have parts itself."""

    def __init__(self) -> None:
        self._finished = Ranges()
        # The number of parts, once it is known.
        self._total: int | None = None
        self._within = FinishedItems()

    def add(self, span: Span) -> bool:
        """Add a span of parts. Returns whether the item is finished."""
        if not span.prefix and span.last:
            self._total = span.stop
        finished = self._within.add(span)
        if finished is not None:
            self._finished.add(*finished)
        return self._total is not None and self._finished.watermark >= self._total
