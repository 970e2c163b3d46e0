"""Where the stages of a run have held nothing: which of these moments a later run goes on from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .content import Checkpoint

__all__ = ["Checkpoints"]


class Checkpoints:
    """The checkpoints of origins that may still be of use. One thread uses it.

    >>> points = Checkpoints([0, 2], [Checkpoint(2, 5, 50), Checkpoint(2, 8, 80)])
    >>> points.at(7), points.at(9)
    ((Checkpoint(origin=2, made=5, taken=50),), (Checkpoint(origin=2, made=8, taken=80),))

    origins: the places in the chain of all stages that number items. Others are no longer known.
    """

    def __init__(self, origins: Iterable[int], known: Iterable[Checkpoint] = ()) -> None:
        self._known: dict[int, deque[Checkpoint]] = {origin: deque() for origin in sorted(origins, reverse=True)}
        for each in sorted(known, key=lambda each: each.made):
            self.add(each)

    def add(self, checkpoint: Checkpoint) -> None:
        """Add a checkpoint behind those of the same origin."""
        if checkpoint.origin in self._known:
            self._known[checkpoint.origin].append(checkpoint)

    def at(self, watermark: int) -> tuple[Checkpoint, ...]:
        """The checkpoints from which a run goes on, from the last origin on; origins before them begin again.

        watermark: the first item of the last origin that is not done. It must not be less than before: checkpoints
        that are too early are forgotten.
        """
        found: list[Checkpoint] = []
        for known in self._known.values():
            while len(known) > 1 and known[1].made <= watermark:
                known.popleft()
            if not known or known[0].made > watermark:
                break
            found.append(known[0])
            # The origin before must give the items that this one had not taken.
            watermark = known[0].taken
        return tuple(found)
