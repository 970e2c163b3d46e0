"""Where each origin of a chain goes on: the stages that number their own items, from the last one to the source.

source ──► map ──► batch ──► unbatch ──► map ──► each        done: the numbers of the items of unbatch
0                  1         2                               each origin leaves out what the next one does not need
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..lazy_dataclass import dataclass, field
from .content import Checkpoint, Sample
from .ranges import Ranges

__all__ = ["WHOLE", "ResumePoint", "resume_points"]


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where an origin goes on.

    first: the number of the first item that it makes again. left_out: the numbers of the items that no later stage
    needs. It contains all numbers below `first`. samples: what items of the source were like in earlier attempts; None
    if nothing looks at its items.
    """

    first: int = 0
    left_out: Ranges = field(default_factory=Ranges)
    samples: Sequence[Sample] | None = None


# An origin that begins at its first item.
WHOLE = ResumePoint()


def resume_points(
    done: Ranges, origins: Sequence[int], checkpoints: Iterable[Checkpoint] = ()
) -> Mapping[int, ResumePoint]:
    """Where each origin goes on, by its place in the chain. done: the items of the last origin that are done.

    >>> points = resume_points(Ranges([(0, 7), (9, 10)]), [0, 2], [Checkpoint(2, 5, 50), Checkpoint(2, 8, 80)])
    >>> points[2]
    ResumePoint(first=5, left_out=Ranges([(0, 7), (9, 10)]), samples=None)
    >>> points[0]
    ResumePoint(first=0, left_out=Ranges([(0, 50)]), samples=None)

    origins: their places in order; that of the source is 0. An origin without a checkpoint makes all of its items
    again, and leaves out those that are done.
    """
    points: dict[int, ResumePoint] = {}
    known = tuple(checkpoints)
    left_out = done
    for origin in reversed(origins):
        point = last_before(left_out.watermark, origin, known)
        points[origin] = ResumePoint(point.made, left_out)
        left_out = Ranges([(0, point.taken)])
    return points


def last_before(watermark: int, origin: int, checkpoints: Iterable[Checkpoint]) -> Checkpoint:
    """The last checkpoint of an origin at which it had made no item from this number on."""
    usable = (each for each in checkpoints if each.origin == origin and each.made <= watermark)
    return max(usable, key=lambda each: each.made, default=Checkpoint(origin, 0, 0))
