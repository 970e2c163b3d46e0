"""Samples of the items of a source: they show whether the next attempt of a durable run has the same input."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ..errors import JournalError
from ..messages.item_repr import short_repr
from .content import Sample
from .digest import digest_of
from .notes import Notes

__all__ = ["Sampler", "next_sample"]

# Beyond this number, each 1,024th item is sampled.
DENSE = 1_024
# How many samples there are at least below a power of two, beyond 4 million items: the journal stays small.
MOST = 4_096
# How many parts of an item are looked at.
PARTS = 2_000
# Nanoseconds between two messages with samples: a message for each would cost more than the samples.
EVERY_NS = 1_000_000_000


def next_sample(number: int) -> int:
    """The first number from this one on whose item is sampled.

    >>> [next_sample(number) for number in (0, 1, 3, 5, 1000, 1025, 5_000_000, 10_000_000)]
    [0, 1, 4, 8, 1024, 2048, 5000192, 10000384]
    """
    if number <= DENSE:
        return number and 1 << (number - 1).bit_length()
    step = max(DENSE, (1 << (number.bit_length() - 1)) // MOST)
    return -(-number // step) * step


class Sampler:
    """Compares the items of a source with those of earlier attempts, and takes samples of the others. For one thread.

    earlier: what the journal has. least: the number behind the last item that is done. note: takes new samples, and
    why the input differs.
    """

    def __init__(self, earlier: Iterable[Sample], least: int, note: Callable[[Notes], object]) -> None:
        self._earlier = {each.number: each for each in earlier}
        self._least = least
        self._note = note
        self._fresh: list[Sample] = []
        self._told_ns = 0

    def following(self, number: int) -> int:
        """The number of the next item to look at, from this one on. The last one that is done must be there."""
        sampled = next_sample(number)
        return min(sampled, self._least - 1) if number < self._least else sampled

    def look(self, number: int, item: object) -> None:
        """Look at an item. Raises JournalError if it is not the one of an earlier attempt."""
        earlier = self._earlier.get(number)
        if earlier is None and number != next_sample(number):
            return
        digest = digest_of(item, PARTS)
        if earlier is None:
            self._fresh.append(Sample(0, number, digest, short_repr(item)))
            if time.monotonic_ns() - self._told_ns >= EVERY_NS:
                self.tell()
        elif digest != earlier.digest:
            now = short_repr(item)
            hidden = "; what differs is not shown here" * (now == earlier.text)
            self._refuse(f"item {number} was {earlier.text}, and is {now}{hidden}")

    def end(self, number: int) -> None:
        """There is no item of this number. Raises JournalError if it is done."""
        if number < self._least:
            self._refuse(f"it ends before item {number}, which is done")

    def tell(self) -> None:
        """Pass on the samples that were taken."""
        if self._fresh:
            self._note(Notes(samples=self._fresh))
            self._fresh = []
            self._told_ns = time.monotonic_ns()

    def _refuse(self, differs: str) -> None:
        self._note(Notes(differs=differs))
        raise JournalError(differs)
