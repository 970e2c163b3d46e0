"""What a journal holds, and one change of it, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import DeadItem
from ..lazy_dataclass import dataclass, field
from .ranges import Ranges

__all__ = ["COMPLETE", "RETRY", "Attempt", "Change", "Checkpoint", "Content", "Sample"]

# The status of an attempt that has done all items.
COMPLETE = "complete"
# The status of an attempt that does the items of dead letters again; how it has ended follows.
RETRY = "retry"


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

    @property
    def is_retry(self) -> bool:
        """Whether it has only done the items of dead letters again."""
        return self.status is not None and self.status.startswith(RETRY)


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction adds to a journal: items that are done, and all that belongs to them.

    checkpoints: at most one for each origin. It takes the place of the earlier one.
    skipped: how many items each stage has skipped since the last change.
    length: how many items the source has, once it has ended; None: as before.
    reserved: the run begins no item with this number or a higher one before its next change; None: as before.
    retried: the numbers of items that are done again, so that their earlier dead letters are removed.
    """

    done: Iterable[tuple[int, int]] = ()
    letters: Sequence[DeadItem] = ()
    checkpoints: Sequence[Checkpoint] = ()
    samples: Sequence[Sample] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    length: int | None = None
    reserved: int | None = None
    retried: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """All that a journal holds, except for the dead letters themselves.

    letters, skipped: how many dead letters each stage has, and how many items it has skipped. An item that is done
    again may be skipped again. length: how many items the source had; None if its end was not seen, or did not matter.
    """

    done: Ranges
    letters: Mapping[str, int] = field(default_factory=dict)
    checkpoints: Sequence[Checkpoint] = ()
    samples: Sequence[Sample] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    length: int | None = None
    attempts: Sequence[Attempt] = ()

    @property
    def complete(self) -> bool:
        """Whether the last attempt, other than one for dead letters, has done all items."""
        last = next((each for each in reversed(self.attempts) if not each.is_retry), None)
        return last is not None and last.status == COMPLETE

    @property
    def again_at_most(self) -> int:
        """How many items at most are done without a record of it, and so may be done again by the next attempt."""
        reserved = 0
        for attempt in self.attempts:
            # Once all items were done, there was none without a record.
            reserved = 0 if attempt.status == COMPLETE else max(reserved, attempt.reserved)
        return max(0, reserved - self.done.count)
