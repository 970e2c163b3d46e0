"""Random numbers of worker processes: each has its own, and a run with a given seed has the same again."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..lazy_dataclass import dataclass

__all__ = ["Seed"]

NUMPY_BITS = 32  # of a seed of its legacy generator
# What has one generator for the whole process, by the module in which it is, and how that is seeded.
GENERATORS: Mapping[str, Callable[[Any, int], object]] = {
    "random": lambda module, value: module.seed(value),
    "numpy.random": lambda module, value: module.seed(value % (1 << NUMPY_BITS)),
    "torch": lambda module, value: module.manual_seed(value),
}


@dataclass(frozen=True, slots=True)
class Seed:
    """Of a run, or of one worker in it. is_given: the user has chosen that of the run."""

    value: int
    is_given: bool

    @classmethod
    def of_run(cls, chosen: int | None) -> Seed:
        """The one that was chosen, or another one each time."""
        return cls(int.from_bytes(os.urandom(8), "big"), False) if chosen is None else cls(chosen, True)

    def derived(self, *place: int) -> Seed:
        """Of a part of what this is the seed of. place: tells it from the other parts."""
        text = "/".join(map(str, (self.value, *place)))
        return Seed(random.Random(text).getrandbits(63), self.is_given)  # noqa: S311  # no secret; text is hashed by SHA-512

    def sow(self) -> None:
        """Seed the generators of this process that have been imported."""
        if self.is_given and "numpy" in sys.modules:
            _ = sys.modules["numpy"].random  # imported as it is asked for, from NumPy 2 on
        for name, seed in GENERATORS.items():
            module = sys.modules.get(name)
            if module is not None:
                seed(module, self.value)
