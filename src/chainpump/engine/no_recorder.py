"""A run without a journal: what the engine asks of a recorder, and does nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeAlias

from ..durable.notes import Notes
from ..durable.ranges import Ranges
from ..durable.resume_points import ResumePoint
from ..errors import DeadItem, JournalError
from ..progress.run_record import Status
from ..transport.allowance import Supply
from ..worker.stage_run import ChannelInput

__all__ = ["Counts", "NoRecorder", "Taker"]

Taker: TypeAlias = Callable[[DeadItem], object]


class Counts(Protocol):
    """What a recorder asks of the run."""

    def dead_letters(self) -> int:
        """How many there are."""
        ...

    def skipped(self) -> Mapping[str, int]:
        """How many items each stage has skipped, by its name."""
        ...

    def source_length(self) -> int | None:
        """How many items the source has sent, once it has ended by itself; None before."""
        ...


class NoRecorder:
    """A run without a journal."""

    done = Ranges()
    # Where each origin goes on, by its place in the chain.
    points: Mapping[int, ResumePoint] = MappingProxyType({})
    error: JournalError | None = None
    # Of the journal.
    path = ""
    # How many items this run has done, by the journal.
    done_now = 0
    # Whether its last origin sends its items up to a limit.
    limits_items = False

    @property
    def done_before(self) -> int:
        """How many items earlier attempts have done."""
        return self.done.count

    def left_of(self, length: int | None) -> int | None:
        """How many items this run has not done, of so many that it was to do. None if that is not known."""
        return None

    @property
    def again_at_most(self) -> int:
        """How many items that were done before this run are done again in it, at most."""
        return 0

    def inputs(self, last: int) -> Mapping[int, Callable[..., ChannelInput]]:
        """By group, what makes the inputs of its workers. last: the number of the last group."""
        return {}

    def start(self, refused: Callable[[], None], counts: Counts) -> None:
        """Start nothing."""

    def recording(self, taker: Taker) -> Taker:
        """The taker of dead letters as it is."""
        return taker

    def counting(self, taker: Taker) -> Taker:
        """The taker of dead letters as it is."""
        return taker

    def supplies(self, supply: Supply) -> None:
        """Take what moves the limit of the last origin, and close it in the end. Never called here."""

    def note(self, notes: Notes) -> None:
        """Do nothing. Any thread may call it."""

    def commit(self) -> None:
        """Do nothing: code with commits also runs without a journal."""

    def leave(self, lock: threading.RLock) -> None:
        """Do nothing."""

    def end(self, status: Callable[[], Status], *, waits: bool = True) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""

    def position(self) -> str:
        """Raise JournalError."""
        raise JournalError(
            "this run keeps no position.\n"
            '  Open it with start=: pipeline.open(start="") for the first time, and start=position later.'
        )
