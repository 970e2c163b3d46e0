"""`Staff`: a test decides how many workers auto stages have, or leaves that to chance; nothing is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

import pytest

from chainpump.engine import autoscaler
from chainpump.plan import placement
from chainpump.progress.scaling_rule import Crew

__all__ = ["MOST", "Staff"]

MOST = 4  # processors that there seem to be: workers that each auto stage may have
Changes: TypeAlias = dict[int, tuple[int, str]]


class Staff:
    """In place of the figures. It looks every few milliseconds, and whoever is asked for is given at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wanted: dict[str, int] = {}  # workers by stage; what is not in it stays as it is
        self.seen: dict[str, int] = {}  # workers that each stage had when it was looked at last
        self._choose: Callable[[Crew], int] = lambda crew: self.wanted.get(crew.name, crew.workers)
        monkeypatch.setattr(placement, "processors", lambda: MOST)
        times = {"SHORT": 0.002, "LONG": 0.002, "IDLE": 0, "HOLD": 0, "PATIENCE": 0, "COUNTED": float("inf")}
        for name, value in times.items():
            monkeypatch.setattr(autoscaler, name, value)
        monkeypatch.setattr(autoscaler, "allot", self._allot)

    def shuffle(self, seed: int) -> None:
        """From now on, workers come and go by chance."""
        random = Random(seed)
        self._choose = lambda crew: random.randint(crew.least, crew.most)

    def _allot(self, crews: Sequence[Crew], processors: int, asked: float) -> tuple[float, Changes]:
        self.seen = {crew.name: crew.workers for crew in crews}
        chosen = [min(max(self._choose(crew), crew.least), crew.most) for crew in crews]
        changes = {
            place: (workers, "the test wants it")
            for place, (crew, workers) in enumerate(zip(crews, chosen, strict=True))
            if workers != crew.workers
        }
        return 1.0, changes
