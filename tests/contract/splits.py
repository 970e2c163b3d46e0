"""Functions of batches in which some items are bad. Workers import them from here."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# Tests say `splits.lengths`.
__all__: list[str] = []

BAD = frozenset((3, 8, 9, 10, 11))


def refuse(batch: Iterable[int]) -> None:
    """Raise if an item of the batch is bad."""
    for item in batch:
        if int(item) in BAD:
            raise ValueError(f"cannot take {item}")


def doubled(batch: list[int]) -> list[int]:
    """For `map`."""
    refuse(batch)
    return [2 * item for item in batch]


async def awaited(batch: list[int]) -> list[int]:
    """For `map` on `Tasks`."""
    return doubled(batch)


def columns(batch: Any) -> Any:
    """For `map` of arrays: a dict of columns."""
    refuse(batch)
    return {"twice": 2 * batch, "names": tuple(map(str, batch.tolist()))}


def is_good(batch: list[int]) -> bool:
    """For `filter` and `tap`."""
    refuse(batch)
    return True


def each_twice(batch: list[int]) -> Iterator[int]:
    """For `flat_map`: fails behind some results."""
    for item in batch:
        yield item
        refuse([item])
        yield item


def with_locks(batch: list[int]) -> list[Any]:
    """For `map`: the results of bad items cannot be pickled."""
    return [threading.Lock() if item in BAD else 2 * item for item in batch]


def counted(batch: Sequence[int]) -> Any:
    """For `map`: no results that can be joined. It does not say so."""
    refuse(batch)
    return len(batch)


def endless(batch: list[int]) -> list[int]:
    """For `map`: never returns on a bad item."""
    if BAD.intersection(batch):
        threading.Event().wait()
    return doubled(batch)


async def endless_task(batch: list[int]) -> list[int]:
    """The same on `Tasks`."""
    if BAD.intersection(batch):
        await asyncio.Event().wait()
    return doubled(batch)


def deadly(batch: list[int]) -> list[int]:
    """For `map`: the worker dies in a bad item."""
    if BAD.intersection(batch):
        os.kill(os.getpid(), 9)
    return doubled(batch)
