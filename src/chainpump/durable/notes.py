"""What a worker tells the journal of a durable run while it works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..lazy_dataclass import dataclass
from .content import Checkpoint, Sample

__all__ = ["Notes", "unheard"]


@dataclass(frozen=True, slots=True)
class Notes:
    """One message of a worker that numbers items, or of one at the end. It may be lost if the program dies.

    samples: of items of the source. checkpoints: of a generator stage. differs: why the input is not that of the
    earlier attempts, as a text; empty if it is. The worker fails right after that. waits: the worker sends its next
    item after the next write of the journal.
    done: spans of items that are done, as plain tuples: see `transport.frames.Span`. uncommitted: how many items a sink
    has taken in the end and not committed. stopped: it has ended before its input, as it may.
    """

    samples: Sequence[Sample] = ()
    checkpoints: Sequence[Checkpoint] = ()
    differs: str = ""
    waits: bool = False
    done: Sequence[tuple[Any, ...]] = ()
    uncommitted: int = 0
    stopped: bool = False


def unheard(notes: Notes) -> None:
    """Do nothing with the notes: there is no journal."""
