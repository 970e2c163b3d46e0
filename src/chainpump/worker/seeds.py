"""Random numbers of worker processes. Each worker has its own seed. A run with a given seed repeats its numbers."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..lazy_dataclass import dataclass

__all__ = ["Seed"]

# The bits of a seed of NumPy's legacy generator.
NUMPY_BITS = 32
# Modules with one generator for the whole process, and how to seed each of them.
GENERATORS: Mapping[str, Callable[[Any, int], object]] = {
    "random": lambda module, value: module.seed(value),
    "numpy.random": lambda module, value: module.seed(value % (1 << NUMPY_BITS)),
    "torch": lambda module, value: module.manual_seed(value),
}


@dataclass(frozen=True, slots=True)
class Seed:
    """The seed of a run, or of one of its workers. is_given: the user has chosen the seed of the run."""

    value: int
    is_given: bool

    @classmethod
    def of_run(cls, chosen: int | None) -> Seed:
        """The chosen seed, or a new random one."""
        return cls(int.from_bytes(os.urandom(8), "big"), False) if chosen is None else cls(chosen, True)

    def derived(self, *part: int) -> Seed:
        """The seed of a part of the run. part: identifies it."""
        text = "/".join(map(str, (self.value, *part)))
        return Seed(random.Random(text).getrandbits(63), self.is_given)  # noqa: S311  # no secret; text is hashed by SHA-512

    def sow(self) -> None:
        """Seed the generators of all imported modules in this process."""
        if self.is_given and "numpy" in sys.modules:
            # NumPy 2 and later import this module at the first access.
            _ = sys.modules["numpy"].random
        for name, seed in GENERATORS.items():
            module = sys.modules.get(name)
            if module is not None:
                seed(module, self.value)
