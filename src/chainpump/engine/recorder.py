"""The recorder of a durable run: it learns what is done, and a thread writes that to the journal.

caller's loop, or the stage behind `each` ── spans ──┐
stages with DeadLetter ── dead letters ──────────────┤
source ── samples of its items ──────────────────────┴──► recorder's thread ──► journal, one transaction a second
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..durable.checkpoints import Checkpoints
from ..durable.content import COMPLETE, Change, Checkpoint
from ..durable.journal_file import JournalFile
from ..durable.notes import Notes
from ..durable.ranges import Ranges
from ..durable.reserve import Reserve
from ..durable.resume_points import ResumePoint
from ..errors import DeadItem, JournalError
from ..lazy_dataclass import replace
from ..progress.run_record import Status
from ..transport.allowance import Supply
from ..transport.frames import Span
from ..worker.recorded_input import RecordedInput
from ..worker.stage_run import ChannelInput
from .finished_items import FinishedItems
from .no_recorder import NoRecorder, Taker

__all__ = ["Recorder"]


# The status of a run that has given all items, and was not told that all of them are done.
UNCOMMITTED = "uncommitted"


class Recorder(NoRecorder):
    """Writes to a journal what is done. It owns the file.

    points: where each origin goes on. every: seconds between two writes. items: it also writes when so many items wait
    for that. autocommit: the request of the next item says that the one before it is done, until the first `commit`.
    """

    limits_items = True

    def __init__(
        self,
        file: JournalFile,
        points: Mapping[int, ResumePoint],
        every: float,
        items: int | None,
        autocommit: bool,
    ) -> None:
        self.done = file.content.done
        self.points = points
        self.error = None
        self._file = file
        self._is_open = True
        self._every = every
        self._most = items
        self._autocommits = autocommit
        self._input: RecordedInput | None = None
        # What is done and not yet written, and what waits for a commit. Only the thread of the input adds to them;
        # the recorder's thread takes from the first one, and both calls are atomic.
        self._settled: deque[Span] = deque()
        self._uncommitted: list[Span] = []
        # A whole span that is done already because of a commit.
        self._early: Span | None = None
        self._waiting = 0
        # Dead letters, and one entry for each call that brings one. Any thread adds to them.
        self._letters: deque[DeadItem] = deque()
        self._arrived: deque[None] = deque()
        # What workers tell. Any thread adds to them.
        self._notes: deque[Notes] = deque()
        # The file could not be written, and is not used any more.
        self._is_broken = False
        self._finished = FinishedItems()
        # All that is done. `_fresh` is the part of it that is not yet written.
        self._now = file.content.done.copy()
        self._fresh = Ranges()
        self._checkpoints = Checkpoints(points, file.content.checkpoints)
        self._written: Sequence[Checkpoint] = file.content.checkpoints
        self._due = threading.Event()
        self._status: Callable[[], Status] | None = None
        self._refused: Callable[[], None] = lambda: None
        self._dead_letters: Callable[[], int] = lambda: 0
        self._thread: threading.Thread | None = None
        self._may_repeat = file.content.again_at_most
        # What the stage that numbers the items has sent, and may send. None before the start.
        self._supply: Supply | None = None
        self._reserve = Reserve(every, time.monotonic())
        # The last one that was written.
        self._reserved: int | None = None
        # Whether that stage waits for a write.
        self._is_awaited = False

    def inputs(self, last: int) -> Mapping[int, Callable[..., ChannelInput]]:
        """As above: the last group tells this recorder what is done."""
        return {last: partial(RecordedInput, self)}

    def reads(self, source: RecordedInput) -> None:
        """The input at the end has begun."""
        self._input = source

    def settled(self, span: Span) -> None:
        """The next item after all of this span was requested."""
        if span == self._early:
            return
        if not self._autocommits:
            self._uncommitted.append(span)
            return
        self._settled.append(span)
        self._count(span)

    def _count(self, span: Span) -> None:
        if self._most is not None:
            self._waiting += span.ended
            if self._waiting >= self._most:
                self._waiting = 0
                self._due.set()

    def commit(self) -> None:
        """All items that were given so far are done. The thread that takes the items calls it."""
        self._autocommits = False
        begun = self._input.begun(with_last=True) if self._input is not None else None
        if begun == self._early:
            begun = None
        else:
            self._early = begun
        for span in (*self._uncommitted, *((begun,) if begun is not None else ())):
            self._settled.append(span)
            self._count(span)
        self._uncommitted.clear()
        # The loop has ended, and the thread, too.
        if self._status is not None and self._is_open:
            self._write_last()
            self.release()

    def leave(self, lock: threading.RLock) -> None:
        """The run is left. What was taken before the last item is done, unless only commits say so.

        lock: held by a thread that takes items.
        """
        if self._autocommits and self._input is not None and lock.acquire(blocking=False):
            begun = self._input.begun(with_last=False)
            lock.release()
            if begun is not None:
                self._settled.append(begun)

    def recording(self, taker: Taker) -> Taker:
        """The same taker, which also records each dead letter. Any thread may call it."""

        def taking(letter: DeadItem) -> None:
            taker(letter)
            self._letters.append(letter)

        return taking

    def counting(self, taker: Taker) -> Taker:
        """The same taker, with a count of its calls. A letter that comes again counts, too."""

        def taking(letter: DeadItem) -> None:
            taker(letter)
            self._arrived.append(None)

        return taking

    def note(self, notes: Notes) -> None:
        """Keep what a worker tells, for the next write. Any thread may call it."""
        if notes.waits:
            self._is_awaited = True
            self._due.set()
            return
        self._notes.append(notes)
        if notes.differs and self.error is None:
            self.error = self._file.differing(notes.differs)

    @property
    def again_at_most(self) -> int:
        """As in `NoRecorder`. They are among those that the journal does not call done, and that were sent so far."""
        return min(self._may_repeat, self._sent)

    @property
    def _sent(self) -> int:
        return self._supply.sent if self._supply is not None else 0

    def supplies(self, supply: Supply) -> None:
        """As in `NoRecorder`."""
        self._supply = supply

    def start(self, refused: Callable[[], None], dead_letters: Callable[[], int]) -> None:
        """Start the thread. refused: called once if the journal cannot be written. dead_letters: how many there are."""
        self._refused, self._dead_letters = refused, dead_letters
        self._thread = threading.Thread(target=self._write_until_end, name="chainpump journal", daemon=True)
        self._thread.start()

    def end(self, status: Callable[[], Status], *, waits: bool = True) -> None:
        """The run is over: write all that is left, and close the file. A later call does nothing but wait.

        status: how the run has ended. waits: until this is done.
        """
        is_first = self._status is None
        self._status = self._status or status
        self._due.set()
        if self._thread is None:
            if is_first:
                self._finish()
        elif waits and self._thread is not threading.current_thread():
            self._thread.join()

    def _write_until_end(self) -> None:
        while self._status is None:
            self._due.wait(self._every)
            self._due.clear()
            if self._status is None:
                self._try(self._write)
        self._finish()

    def _finish(self) -> None:
        if self._supply is not None:
            self._supply.close()
        self._try(self._write_last)
        # A commit may follow the end of the loop.
        if not self._uncommitted:
            self.release()

    def _write_last(self) -> None:
        assert self._status is not None
        self._write(is_last=True)
        status = self._status()
        if status == "completed":
            self._file.finish(UNCOMMITTED if self._uncommitted else COMPLETE)
        else:
            self._file.finish(status)

    def release(self) -> None:
        """Close the file, so that another run can have it."""
        self._is_open = False
        self._file.close()

    def _try(self, write: Callable[[], None]) -> None:
        """Write. An error ends the run; after the end of the run, it is the error of the run."""
        if self._is_broken:
            return
        try:
            write()
        except JournalError as error:
            self._is_broken = True
            self.error = self.error or error
            self._refused()

    def _write(self, is_last: bool = False) -> None:
        # Of another input, the numbers say nothing.
        if self.error is not None:
            return
        while self._settled:
            finished = self._finished.add(self._settled.popleft())
            if finished is not None:
                first, stop = finished
                self._fresh.add(self.done.original(first), self.done.original(stop - 1) + 1)
        change = Change()
        # A dead letter may arrive later than the span of its item. Each was counted before its item was finished.
        if is_last or len(self._arrived) >= self._dead_letters():
            change = self._gathered()
        is_awaited, self._is_awaited = self._is_awaited, False
        limit = self._sent if is_last else self._reserve.move(self._sent, time.monotonic(), waits=is_awaited)
        reserved = self.done.original(limit)
        if change != Change() or reserved != self._reserved:
            self._file.write(replace(change, reserved=reserved))
            self._reserved = reserved
        if self._supply is not None and not is_last:
            self._supply.allow(limit)

    def _gathered(self) -> Change:
        """What is done since the last write, and belongs to it."""
        letters = tuple(self._letters.popleft() for _ in range(len(self._letters)))
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        for each in (each for told in notes for each in told.checkpoints):
            self._checkpoints.add(each)
        done, self._fresh = tuple(self._fresh), Ranges()
        self._now.update(done)
        before, self._written = self._written, self._checkpoints.at(self._now.watermark)
        checkpoints = tuple(each for each in self._written if each not in before)
        return Change(done, letters, checkpoints, tuple(each for told in notes for each in told.samples))
