"""What a journal holds, and one change of it, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import DeadItem
from ..lazy_dataclass import dataclass, field
from .ranges import Ranges

__all__ = ["COMPLETE", "Attempt", "Change", "Checkpoint", "Content", "Sample"]

# The status of an attempt that has done all items.
COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stage that numbers its own items has made all items below `made` from the items below `taken`, and holds none.

    origin: the number of the stage in the chain; the source is 0.
    """

    origin: int
    made: int
    taken: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The digest of one item of an origin, and its short text."""

    origin: int
    number: int
    digest: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run with a journal. Times are in seconds since 1970; `ended` and `status` are None if it has recorded no end.

    done_before: how many items were done when it began. done: how many are done since. reserved: it has begun no item
    with this number or a higher one.
    """

    number: int
    began: float
    ended: float | None
    status: str | None
    pid: int
    host: str
    done_before: int
    done: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction adds to a journal: items that are done, and all that belongs to them.

    checkpoints: at most one for each origin. It takes the place of the earlier one.
    skipped: how many items each stage has skipped since the last change.
    reserved: the run begins no item with this number or a higher one before its next change; None: as before.
    """

    done: Iterable[tuple[int, int]] = ()
    letters: Sequence[DeadItem] = ()
    checkpoints: Sequence[Checkpoint] = ()
    samples: Sequence[Sample] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """All that a journal holds, except for the dead letters themselves.

    letters, skipped: how many dead letters each stage has, and how many items it has skipped.
    """

    done: Ranges
    letters: Mapping[str, int] = field(default_factory=dict)
    checkpoints: Sequence[Checkpoint] = ()
    samples: Sequence[Sample] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    attempts: Sequence[Attempt] = ()

    @property
    def complete(self) -> bool:
        """Whether the last attempt has done all items."""
        return bool(self.attempts) and self.attempts[-1].status == COMPLETE

    @property
    def again_at_most(self) -> int:
        """How many items at most are done without a record of it, and so may be done again by the next attempt."""
        reserved = 0
        for attempt in self.attempts:
            # Once all items were done, there was none without a record.
            reserved = 0 if attempt.status == COMPLETE else max(reserved, attempt.reserved)
        return max(0, reserved - self.done.count)
