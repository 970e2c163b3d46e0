"""`Staff`: a test decides how many workers auto stages have, or leaves that to chance; nothing is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

import pytest

from chainpump.engine import autoscaler
from chainpump.plan import placement
from chainpump.progress.scaling_rule import Pool

__all__ = ["MOST", "Staff"]

MOST = 4  # processors that there seem to be: workers that each auto stage may have
Changes: TypeAlias = dict[int, tuple[int, str]]


class Staff:
    """In place of the figures. It looks every few milliseconds, and whoever is asked for is given at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wanted: dict[str, int] = {}  # workers by stage; what is not in it stays as it is
        self.seen: dict[str, int] = {}  # workers that each stage had when it was looked at last
        self._choose: Callable[[Pool], int] = lambda pool: self.wanted.get(pool.name, pool.workers)
        monkeypatch.setattr(placement, "processors", lambda: MOST)
        times = {"SHORT": 0.002, "LONG": 0.002, "IDLE": 0, "HOLD": 0, "PATIENCE": 0, "COUNTED": float("inf")}
        for name, value in times.items():
            monkeypatch.setattr(autoscaler, name, value)
        monkeypatch.setattr(autoscaler, "scale", self._scale)

    def shuffle(self, seed: int) -> None:
        """From now on, workers come and go by chance."""
        random = Random(seed)
        self._choose = lambda pool: random.randint(pool.least, pool.most)

    def _scale(self, pools: Sequence[Pool], processors: int, asked: float) -> tuple[float, Changes]:
        self.seen = {pool.name: pool.workers for pool in pools}
        chosen = [min(max(self._choose(pool), pool.least), pool.most) for pool in pools]
        changes = {
            place: (workers, "the test wants it")
            for place, (pool, workers) in enumerate(zip(pools, chosen, strict=True))
            if workers != pool.workers
        }
        return 1.0, changes
