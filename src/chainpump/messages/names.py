"""Stages, workers, items and exceptions, as messages name them."""

from __future__ import annotations

from enum import Enum

from ..errors import Failure, RunError
from ..lazy_dataclass import dataclass
from .printable import printable, printable_lines

__all__ = ["Item", "Role", "WorkerName", "text_of"]


class Role(Enum):
    """What a stage is in its pipeline."""

    SOURCE = "source"
    STAGE = "stage"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class WorkerName:
    """A worker, as messages name it.

    number: counted from 1. where: where the function is defined, `file:line`. host: the name of the machine on which it
    runs; empty for that of the main process.
    """

    role: Role
    stage: str
    number: int
    of: int
    where: str | None = None
    host: str = ""

    @property
    def label(self) -> str:
        """The stage alone: `stage 'decode'`."""
        return f"{self.role.value} '{printable(self.stage)}'"

    def placed(self, pid: int | None) -> str:
        """The stage and the worker: `stage 'decode' (worker 3 of 8, pid 41207)`."""
        process = f", {self.process(pid)}" if pid is not None else ""
        return f"{self.label} (worker {self.number} of {self.of}{process})"

    def lost(self, pid: int) -> str:
        """The stage and the lost worker: `stage 'decode' lost worker 3 of 8 (pid 41207)`."""
        return f"{self.label} lost worker {self.number} of {self.of} ({self.process(pid)})"

    def process(self, pid: int) -> str:
        """Its process: `pid 41207`, and on another machine `pid 41207 on n1`. The id is 0 until it is known."""
        on = f"on {printable(self.host)}" if self.host else ""
        return " ".join(filter(None, (f"pid {pid}" if pid or not on else "", on)))

    def failure(
        self,
        error: type[RunError],
        pid: int | None,
        headline: str,
        *details: str,
        item: Item | None = None,
        exit_code: int | None = None,
        traceback: str = "",
    ) -> Failure:
        """Make the record of a failure of this worker. Control characters are escaped, and empty details left out."""
        return Failure(
            error,
            self.role.value,
            self.stage,
            self.number,
            pid,
            printable_lines(headline),
            tuple(map(printable_lines, filter(None, details))),
            item.index if item else None,
            printable(item.text) if item and item.text else None,
            exit_code,
            printable_lines(traceback),
        )

    def definition(self) -> str:
        """Where the function is defined, as a sentence; empty if that is not known."""
        return f"{self.stage} is defined at {self.where}." if self.where else ""


@dataclass(frozen=True, slots=True)
class Item:
    """An item: its number, its maker where there are several, and a short repr where it is known."""

    index: int
    maker: str = ""
    text: str | None = None

    def __str__(self) -> str:
        return f"item {self.index}{self.maker}"


def text_of(error: BaseException) -> str:
    """The text of an exception, whatever its `__str__` does."""
    try:
        return str(error) or repr(error)
    except Exception as bad:
        # A user's __str__ must not hide the failure that the text describes.
        return f"<its str raised {type(bad).__name__}>"
