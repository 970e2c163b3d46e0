"""`ForcedScaling`: a test, or chance, decides how many workers "auto" stages have. Nothing is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

import pytest

from chainpump.engine import autoscaler
from chainpump.plan import placement
from chainpump.progress.scaling_rule import Pool

__all__ = ["MOST", "ForcedScaling"]

# How many processors the machine seems to have. Each "auto" stage may have as many workers.
MOST = 4
Changes: TypeAlias = dict[int, tuple[int, str]]


class ForcedScaling:
    """Replaces the scaling rule. The autoscaler calls it every few milliseconds, and changes workers at once.

    wanted: workers by stage; a stage that is not in it does not change. seen: the workers of each stage at the last
    call.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wanted: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self._choose: Callable[[Pool], int] = lambda pool: self.wanted.get(pool.name, pool.workers)
        monkeypatch.setattr(placement, "processors", lambda: MOST)
        times = {"SHORT": 0.002, "LONG": 0.002, "IDLE": 0, "HOLD": 0, "PATIENCE": 0, "COUNTED": float("inf")}
        for name, value in times.items():
            monkeypatch.setattr(autoscaler, name, value)
        monkeypatch.setattr(autoscaler, "scale", self._scale)

    def shuffle(self, seed: int) -> None:
        """From now on, chance decides how many workers a stage has."""
        random = Random(seed)
        self._choose = lambda pool: random.randint(pool.least, pool.most)

    def _scale(self, pools: Sequence[Pool], processors: int, demand: float) -> tuple[float, Changes]:
        self.seen = {pool.name: pool.workers for pool in pools}
        chosen = [min(max(self._choose(pool), pool.least), pool.most) for pool in pools]
        changes = {
            index: (workers, "the test wants it")
            for index, (pool, workers) in enumerate(zip(pools, chosen, strict=True))
            if workers != pool.workers
        }
        return 1.0, changes
