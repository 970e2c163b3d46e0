"""Where each origin of a chain goes on: the stages that number their own items, from the last one to the source.

source ──► map ──► batch ──► unbatch ──► map ──► each        done: the numbers of the items of unbatch
0                  1         2                               each origin leaves out what the next one does not need
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from ..lazy_dataclass import dataclass, field
from .checkpoints import Checkpoints
from .content import Checkpoint, Sample
from .ranges import Ranges

__all__ = ["WHOLE", "ResumePoint", "resume_points"]


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where an origin goes on.

    first: the number of the first item that it makes again. left_out: the numbers of the items that no later stage
    needs. It contains all numbers below `first`. tells: whether the origin tells its checkpoints. samples: what items
    of the source were like in earlier attempts; None if nothing looks at its items. is_limited: it sends only items
    below the limit on the board. stop: it makes no item from this number on; None if it makes all.
    """

    first: int = 0
    left_out: Ranges = field(default_factory=Ranges)
    tells: bool = False
    samples: Sequence[Sample] | None = None
    is_limited: bool = False
    stop: int | None = None

    @property
    def done_before(self) -> int:
        """How many items were done before, and need not be made. Those between dead letters are not looked at."""
        return self.left_out.count if self.stop is None else 0

    def left_of(self, length: int) -> int:
        """How many items of so many it gives."""
        return max(0, (length if self.stop is None else min(length, self.stop)) - self.left_out.count)


# An origin that begins at its first item.
WHOLE = ResumePoint()


def resume_points(
    done: Ranges, origins: Sequence[int], checkpoints: Iterable[Checkpoint] = (), telling: Container[int] = ()
) -> Mapping[int, ResumePoint]:
    """Where each origin goes on, by its place in the chain. done: the items of the last origin that are done.

    >>> points = resume_points(Ranges([(0, 7), (9, 10)]), [0, 2], [Checkpoint(2, 5, 50), Checkpoint(2, 8, 80)])
    >>> points[2]
    ResumePoint(first=5, left_out=Ranges([(0, 7), (9, 10)]), tells=False, samples=None, is_limited=False, stop=None)
    >>> points[0]
    ResumePoint(first=0, left_out=Ranges([(0, 50)]), tells=False, samples=None, is_limited=False, stop=None)

    origins: their places in order; that of the source is 0. telling: those that tell checkpoints. An origin without
    a checkpoint makes all of its items again, and leaves out those that are done.
    """
    found = {each.origin: each for each in Checkpoints(origins, checkpoints).at(done.watermark)}
    points: dict[int, ResumePoint] = {}
    left_out = done
    for origin in reversed(origins):
        point = found.get(origin, Checkpoint(origin, 0, 0))
        points[origin] = ResumePoint(point.made, left_out, origin in telling)
        left_out = Ranges([(0, point.taken)])
    return points
