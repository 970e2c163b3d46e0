"""The recorder of a durable run: it learns what is done, and a thread writes that to the journal.

caller's loop ── spans ──────────────────────────────┐
workers of a sink ── notes with spans ───────────────┤
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
from ..logs.records import warn
from ..plan.planned_stage import PlannedStage
from ..progress.run_record import Status
from ..transport.allowance import Supply
from ..transport.frames import Span
from ..worker.recorded_input import RecordedInput
from ..worker.stage_run import ChannelInput
from ..worker.taken_items import TakenItems
from .finished_items import FinishedItems
from .grown_input import GrownInput
from .no_recorder import Counts, NoRecorder, Taker

__all__ = ["Recorder"]


# The status of a run that has given all items, and was not told that all of them are done.
UNCOMMITTED = "uncommitted"


class Recorder(NoRecorder):
    """Writes to a journal what is done. It owns the file.

    points: where each origin goes on. every: seconds between two writes. items: it also writes when so many items wait
    for that. autocommit: see `TakenItems`. sink: the last stage, if its workers say what is done, and not a loop.
    grown: compares the length of the input with that of earlier attempts, if it matters.
    """

    limits_items = True

    def __init__(
        self,
        file: JournalFile,
        points: Mapping[int, ResumePoint],
        every: float,
        items: int | None,
        autocommit: bool,
        sink: PlannedStage | None = None,
        grown: GrownInput | None = None,
    ) -> None:
        self.done = file.content.done
        self.points = points
        self.path = str(file.path)
        self.error = None
        self._file = file
        self._is_open = True
        self._every = every
        self._most = items
        self._sink = sink
        self._grown = grown
        # What the loop has taken. Only the thread of the loop uses it.
        self._taken = TakenItems(self._settle, autocommits=autocommit)
        # What is done and not yet written. Any thread adds to it; the recorder's thread takes from it.
        self._settled: deque[Span] = deque()
        # Guards the next three attributes.
        self._counting = threading.Lock()
        # How many of them there are.
        self._waiting = 0
        # What the workers of the sink have said in the end.
        self._sink_left = 0
        self._sink_stopped = False
        # Dead letters, and one entry for each call that brings one. Any thread adds to them.
        self._letters: deque[DeadItem] = deque()
        self._arrived: deque[None] = deque()
        # What workers tell. Any thread adds to them.
        self._notes: deque[Notes] = deque()
        # Nobody waits for the thread any more.
        self._is_left = False
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
        self._skipped: Callable[[], Mapping[str, int]] = dict
        self._source_length: Callable[[], int | None] = lambda: None
        # What `_skipped` has said at the last write.
        self._skipped_before: Mapping[str, int] = {}
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
        """As above: the loop tells this recorder what is done."""
        return {} if self._sink is not None else {last: partial(RecordedInput, self._taken)}

    def _settle(self, span: Span) -> None:
        self._settled.append(span)
        if self._most is not None:
            with self._counting:
                self._waiting += span.ended
                is_due = self._waiting >= self._most
                self._waiting = 0 if is_due else self._waiting
            if is_due:
                self._due.set()

    def commit(self) -> None:
        """All items that were given so far are done. The thread that takes the items calls it."""
        self._taken.commit()
        # The loop has ended, and the thread, too.
        if self._status is not None and self._is_open:
            self._write_last()
            self.release()

    def leave(self, lock: threading.RLock) -> None:
        """The run is left. What was taken before the last item is done, unless only commits say so.

        lock: held by a thread that takes items.
        """
        if lock.acquire(blocking=False):
            self._taken.leave()
            lock.release()

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
        for span in notes.done:
            self._settle(Span(*span))
        if notes.uncommitted or notes.stopped:
            # Several workers may say so at the same time.
            with self._counting:
                self._sink_left += notes.uncommitted
                self._sink_stopped |= notes.stopped
        if notes.samples or notes.checkpoints:
            self._notes.append(notes)
        if notes.differs and self.error is None:
            self.error = self._file.differing(notes.differs)

    def left_of(self, length: int | None) -> int | None:
        """As in `NoRecorder`. length: of the source; what is done may be counted by the items of a later stage."""
        return None if length is None or len(self.points) > 1 else max(0, length - self.done_now)

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

    def start(self, refused: Callable[[], None], counts: Counts) -> None:
        """Start the thread. refused: called once if the journal cannot be written."""
        self._refused, self._dead_letters = refused, counts.dead_letters
        self._skipped, self._source_length = counts.skipped, counts.source_length
        self._thread = threading.Thread(target=self._write_until_end, name="chainpump journal", daemon=True)
        self._thread.start()

    def end(self, status: Callable[[], Status], *, waits: bool = True) -> None:
        """The run is over: write all that is left, and close the file. A later call does nothing but wait.

        status: how the run has ended. waits: until this is done.
        """
        is_first = self._status is None
        try:
            self._status = self._status or status
            self._due.set()
            if self._thread is None:
                if is_first:
                    self._finish()
            elif waits and not self._is_left and self._thread is not threading.current_thread():
                self._thread.join()
        except BaseException:
            # Ctrl-C, because the disk does not answer. The thread closes the file if it ever does.
            self._is_left = True
            raise
        if is_first and waits and self._sink is not None and self._sink_left and self._status() == "completed":
            warn(
                f"{self._sink.label} has taken {self._sink_left} items and not committed them: the next run with this "
                "journal gives them to it again.\n"
                "  Let it call chainpump.commit() when it has stored what it has taken: see docs/durable.md."
            )

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
        # A commit may write once more, when the counts are gone.
        skipped, length = self._skipped(), self._source_length()
        self._skipped, self._source_length = (lambda: skipped), (lambda: length)
        self._try(self._write_last)
        # A commit may follow the end of the loop.
        if not self._taken.uncommitted:
            self.release()

    def _write_last(self) -> None:
        assert self._status is not None
        status: str = self._status()
        if status == "completed":
            is_complete = not (self._taken.uncommitted or self._sink_left or self._sink_stopped)
            status = COMPLETE if is_complete else UNCOMMITTED
            # All items have come to the end. A worker that was replaced may have finished some and not told it.
            if self._sink is not None and self._sink.operator is not None and self._sent:
                self._add_finished(0, self._sent)
        self._write(is_last=True)
        self._file.finish(status)

    def release(self) -> None:
        """Close the file, so that another run can have it."""
        if self._is_left and threading.current_thread() is not self._thread:
            return
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
                self._add_finished(*finished)
        change = Change()
        # A dead letter may arrive later than the span of its item. Each was counted before its item was finished.
        if is_last or len(self._arrived) >= self._dead_letters():
            change = self._gathered()
        is_awaited, self._is_awaited = self._is_awaited, False
        limit = self._sent if is_last else self._reserve.move(self._sent, time.monotonic(), waits=is_awaited)
        reserved = self.done.original(limit) if self.limits_items else None
        if change != Change() or reserved != self._reserved:
            self._file.write(replace(change, reserved=reserved))
            self._reserved = reserved
            self.done_now += self._count_of(change)
        if self._supply is not None and self._status is None:
            self._supply.allow(limit)

    def _count_of(self, change: Change) -> int:
        """How many items a change adds to those that are done."""
        return self._now.count - self._file.content.done.count - self.done_now

    def _add_finished(self, first: int, stop: int) -> None:
        """These items of the run are done."""
        # Those between them are done, too.
        self._fresh.add(self.done.original(first), self.done.original(stop - 1) + 1)

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
        skipped = self._skipped()
        new = {stage: count - self._skipped_before.get(stage, 0) for stage, count in skipped.items()}
        self._skipped_before = skipped
        samples = tuple(each for told in notes for each in told.samples)
        of_stages = {stage: count for stage, count in new.items() if count}
        return Change(done, letters, checkpoints, samples, of_stages, self._length_of_input())

    def _length_of_input(self) -> int | None:
        """How many items the source had, if its end may have made an item that is done, and the journal does not know.

        A stage makes its last item when its input has ended, and what is done was read before.
        """
        sent = self._source_length()
        if self._grown is None or self._supply is None or sent is None:
            return None
        if self._now.end < self.done.original(self._supply.least_sent):
            return None
        length = self.points[0].left_out.original(sent)
        # Before the journal knows it: a run that is killed here warns the next time.
        if text := self._grown.growth(length):
            warn(text)
        return self._grown.news(length)
