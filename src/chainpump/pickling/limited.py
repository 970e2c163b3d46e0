"""Items whose bytes are limited: the size comes from the pickle that travels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .items import ItemFault, Large, Pickling

__all__ = ["LimitedPickling", "TooManyBytesError"]


class TooManyBytesError(ValueError):
    """The pickle of an item has `size` bytes, and may have `most`."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(size, most)
        self.size, self.most = size, most

    def __str__(self) -> str:
        return f"the item has {self.size} bytes as a pickle, but may have {self.most}"


class LimitedPickling(Pickling):
    """Pickles items of limited size. Raises ItemFault from TooManyBytesError for an item with more bytes.

    Many items of a frame together are no smaller than each of them alone: what an item refers to is in the pickle of
    the frame, too. So the items of a frame within the limit need not be measured.
    """

    def __init__(self, most: int, *, main_by_value: bool = False) -> None:
        super().__init__(main_by_value=main_by_value)
        self._most = most

    def snapshot(self, item: object) -> bytes | Large:
        """Pickle one item as it is now."""
        data = super().snapshot(item)
        size = _size_of(data)
        if size > self._most:
            error = TooManyBytesError(size, self._most)
            raise ItemFault(str(error)) from error
        return data

    def frame(self, entries: Sequence[Any]) -> bytes | Large:
        """Pickle the entries of a frame together."""
        data = super().frame(entries)
        if _size_of(data) > self._most:
            for index, entry in enumerate(entries):
                try:
                    self.snapshot(entry)
                except ItemFault as fault:
                    fault.index = index
                    raise
        return data


def _size_of(data: bytes | Large) -> int:
    return data.size if isinstance(data, Large) else len(data)
