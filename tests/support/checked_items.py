"""Items that carry a number and a checksum, what chains of operators make of them, and what is missing at the end."""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    # Workers on other machines import this module, and need no pytest.
    from support.verdict import Verdict

__all__ = ["CHAINED", "DAMAGED", "KINDS", "checked", "made", "note_differences", "number_of", "numbers_behind"]

# In front of bytes: number and checksum.
HEAD = struct.Struct("<2I")
# What payloads are cut from, each elsewhere.
NOISE = random.Random(0).randbytes(1 << 21)
# In place of the number of an item that is not what its source has made.
DAMAGED = -1


def made(n: int, kind: str) -> Iterator[Any]:
    """n items of a kind."""
    yield from map(KINDS[kind], range(n))


def _content(number: int, nbytes: int) -> bytes:
    start = number * 4099 % (len(NOISE) - nbytes)
    return NOISE[start : start + nbytes]


def _checksum(number: int, content: bytes | memoryview) -> int:
    return zlib.crc32(content, number)


def _packed(number: int, nbytes: int) -> bytes:
    content = _content(number, nbytes)
    return HEAD.pack(number, _checksum(number, content)) + content


def _labelled(number: int) -> dict[str, Any]:
    text = _content(number, number % 100).hex()
    return {"number": number, "text": text, "checksum": _checksum(number, text.encode())}


KINDS: dict[str, Callable[[int], Any]] = {
    "int": lambda number: _checksum(number, b"") << 32 | number,
    "dict": _labelled,
    "64 KB": lambda number: _packed(number, 65_536),
    "300 KB": lambda number: _packed(number, 300_000),
    "1 MB array": lambda number: np.frombuffer(_packed(number, 1 << 20), np.uint8),
}


def number_of(value: Any) -> int:
    """The number that an item says it has."""
    if isinstance(value, int):
        return value & 0xFFFF_FFFF
    if isinstance(value, dict):
        return int(value["number"])
    return int(HEAD.unpack_from(value)[0])


def checked(value: Any) -> int:
    """The number of an item, or `DAMAGED`."""
    number = number_of(value)
    if isinstance(value, int):
        right = value >> 32 == _checksum(number, b"")
    elif isinstance(value, dict):
        right = value["checksum"] == _checksum(number, value["text"].encode())
    else:
        right = HEAD.unpack_from(value)[1] == _checksum(number, memoryview(value)[HEAD.size :])
    return number if right else DAMAGED


def worked(value: Any) -> Any:
    """For `map`: a new value of the same number. It takes some time, so that kills meet items, but no processor."""
    time.sleep(0.0005)
    return value.copy() if isinstance(value, (dict, np.ndarray)) else value


def is_no_third(value: Any) -> bool:
    """For `filter`."""
    return number_of(worked(value)) % 3 != 0


def several(value: Any) -> list[Any]:
    """For `flat_map`: 0 to 3 of each."""
    return [worked(value)] * (number_of(value) % 4)


# how to add it, how many come of one item, and what the stage is called
CHAINED: dict[str, tuple[Any, Any, str]] = {
    "map": (lambda pipeline, on, ordered: pipeline.map(worked, on=on, ordered=ordered), lambda _: 1, "worked"),
    "filter": (
        lambda pipeline, on, ordered: pipeline.filter(is_no_third, on=on, ordered=ordered),
        lambda number: int(number % 3 != 0),
        "is_no_third",
    ),
    "flat_map": (
        lambda pipeline, on, ordered: pipeline.flat_map(several, on=on, ordered=ordered),
        lambda number: number % 4,
        "several",
    ),
}


def numbers_behind(n: int, results: Iterable[Callable[[int], int]]) -> list[int]:
    """The numbers that a chain gives for the first n items. results: how many each operator makes of a number."""
    found = list(range(n))
    for count in results:
        found = [number for number in found for _ in range(count(number))]
    return found


def note_differences(name: Any, wanted: Sequence[int], seen: Sequence[int], verdict: Verdict) -> None:
    """Note what of the wanted numbers a run has lost, doubled, damaged or misplaced, and whether it was whole."""
    lost, doubled = Counter(wanted) - Counter(seen), Counter(seen) - Counter(wanted)
    damaged = doubled.pop(DAMAGED, 0)
    counts = {"lost": lost.total(), "doubled": doubled.total(), "damaged": damaged}
    counts["misplaced"] = int(list(seen) != list(wanted) and not any(counts.values()))
    verdict.outcomes["not whole" if any(counts.values()) else "whole"] += 1
    for kind, count in counts.items():
        if count:
            verdict.note(kind, f"{count} of {len(wanted)} items {kind}: {name}", count)
