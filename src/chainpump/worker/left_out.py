"""Items that a policy leaves out: they are counted, and dead letters are sent to the main process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import DeadItem
from ..ipc.board import Cell
from ..lazy_dataclass import dataclass
from ..messages import failure_texts, item_texts
from ..messages.call_stacks import user_traceback
from ..messages.stand_ins import error_line
from ..policies import Action, Verdict
from .outcome import Failed
from .receipts import Receipts
from .stage_run import StageFailed
from .work import Assignment

__all__ = ["FailedItem", "LeftOut", "Tools"]

# The cells that count what a policy leaves out: whole items, and single items of split batches.
COUNTERS: Mapping[Action, tuple[int, int]] = {
    Action.SKIP: (Cell.SKIPPED, Cell.SKIPPED_PARTS),
    Action.DEAD_LETTER: (Cell.DEAD, Cell.DEAD_PARTS),
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What an element-wise stage needs besides its function.

    rows: the board rows of all workers of the stage. pause: waits for some seconds, or raises Cancelled.
    send_dead_letter: sends a dead letter to the main process. is_over: whether the run was cancelled.
    receipts: None if no letter can be lost on its way.
    """

    rows: Sequence[memoryview]
    pause: Callable[[float], None]
    send_dead_letter: Callable[[DeadItem], object]
    is_over: Callable[[], bool]
    receipts: Receipts | None = None


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item on which a function raises. Any: it may be any object.

    index: its number at the source. part: which of the items with this number it is. position: its place in the batch
    that is split, whose number this is; None if it is no item of such a batch.
    """

    item: Any
    index: int
    part: int
    position: int | None

    def __str__(self) -> str:
        return f"item {self.index}" if self.position is None else f"item {self.index}[{self.position}]"


class LeftOut:
    """The items of one stage in one worker that its policy leaves out."""

    def __init__(self, assignment: Assignment, row: memoryview, tools: Tools) -> None:
        self._who = assignment.who
        self._row = row
        self._tools = tools
        self._latest: deque[str] = deque(maxlen=item_texts.LATEST)
        # The dead letters of the batch that is split now.
        self._held: list[DeadItem] | None = None

    @property
    def dead_letters(self) -> int:
        """How many dead letters there are."""
        return int(self._row[Cell.DEAD] + self._row[Cell.DEAD_PARTS])

    def add(self, failed: FailedItem, error: Exception, verdict: Verdict) -> None:
        """Count an item, and send it as a dead letter if it is one. Raises StageFailed if these are too many."""
        whole, parts = COUNTERS[verdict.action]
        self._row[whole if failed.position is None else parts] += 1
        self._latest.append(f"{failed}: {error_line(error)}")
        if verdict.limit is not None and sum(row[whole] + row[parts] for row in self._tools.rows) > verdict.limit:
            failure = item_texts.too_many(self._who, os.getpid(), verdict.limit, tuple(self._latest))
            raise StageFailed(Failed(failure)) from error
        if verdict.action is Action.DEAD_LETTER:
            traceback = user_traceback(error)
            letter = DeadItem(
                self._who.stage, failed.index, failed.item, error, traceback, failed.part, failed.position
            )
            if self._held is None:
                self._send(letter)
            else:
                self._held.append(letter)

    @contextmanager
    def held(self) -> Generator[None]:
        """Send the dead letters of the block at its end: if a replacement repeats the block, each comes once."""
        self._held = letters = list[DeadItem]()
        try:
            yield
        finally:
            self._held = None
            for letter in letters:
                self._send(letter)

    def wait_until_taken(self) -> None:
        """Wait until the main process has all dead letters, if they could be lost. Raises Cancelled: see `Receipts`."""
        if self._tools.receipts is not None:
            self._tools.receipts.wait(self._tools.is_over)

    def _send(self, letter: DeadItem) -> None:
        if self._tools.receipts is not None:
            if self._tools.receipts.are_too_many:
                self.wait_until_taken()
            self._tools.receipts.expect()
        try:
            self._tools.send_dead_letter(letter)
        except OSError as refused:
            what = "put a dead letter aside"
            failure = failure_texts.channel_failed(self._who, os.getpid(), refused, what)
            raise StageFailed(Failed(failure, refused)) from refused
