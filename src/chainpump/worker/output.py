"""The sending side of a worker: it collects items into frames and sends them early.

A frame is sent when it holds the requested number of items, or 64 KB. The flusher sends it 2 ms after its first item.
It is sent before each wait of the worker, and at once if no frame was sent for 0.5 ms: a single item never waits.

    worker thread:   item -> [pending] -- full, or about to wait --> send
    flusher thread:          [pending] -- 2 ms old ----------------> send
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, islice
from sys import maxsize
from typing import Any

from ..errors import Cancelled
from ..ipc.board import Cell
from ..ipc.wait_times import UNCOUNTED, Wait
from ..pickling.copies import COPY_BYTES
from ..pickling.items import ItemFault, Large
from ..pickling.sizes import SCALARS, STRINGS, Weigher
from ..transport.channel import Sender
from ..transport.flow import FLUSH_NS, FRAME_BYTES, LONE_NS, MAX_HINT
from ..transport.flusher import Flusher
from ..transport.frames import Span
from ..transport.order import Numbering, Piece, SpanSplitter
from ..transport.room import SendRoom
from .channel_errors import Refusal, record_channel_error, records_channel_errors
from .entries import COPIES_PER_WEIGHING, SCALAR_BYTES, check_all, ending, lasting_entry, steps_of
from .metered_output import MeteredOutput
from .numbers_in_a_row import IN_A_ROW, take_numbers

__all__ = ["Output"]


class Output(MeteredOutput):
    """Takes the results of a worker. Only the worker's own thread calls it. The flusher is a second thread.

    `_pending` grows only by `append`, which is atomic, and shrinks only under `_lock`, which also orders the sends. So
    an item needs no lock. Element-wise stages call `open_span` and `close_span` around the results of each input frame.

    room: bounds the items if a later worker restores their order. origin: the number of this worker, if several workers
    number items. whole: send all results of an item in one frame: a replacement may make them again. failed: receives
    the error of the flusher, in its thread.
    """

    def __init__(
        self,
        sender: Sender,
        row: memoryview,
        hint: memoryview,
        cancelled: memoryview,
        room: SendRoom | None = None,
        origin: int = 0,
        whole: bool = False,
        failed: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._whole, self._sender = whole, sender
        bounds = tuple(room.credits) if room is not None else ()
        # The worker takes one credit of each of these before it makes an item, so it cannot make more items together.
        self._bounds = (*bounds, sender.credits) if sender.credits else bounds
        self._most_together = min((each.number for each in self._bounds), default=MAX_HINT)
        self._room, self._row, self._hint, self._cancelled = room, row, hint, cancelled
        self._blocked: AbstractContextManager[None] = Wait(row, Cell.BLOCKED)
        self._lock = threading.Lock()
        # The second one: see `take_numbers`.
        self._pending: list[Any] = []
        self._places: list[Any] = []
        # Whether `_pending` holds snapshots. It changes under `_lock`, or while `_pending` is empty.
        self._snapshots = False
        self._numbering = Numbering(origin)
        self._number: Callable[[], int] | None = None
        # A predecessor may have sent items.
        self._sent = int(row[Cell.SENT])
        self._bytes_each = 0.0
        # The second one is for copies that are not yet pending: the flusher does not use it.
        self._weigher, self._copied = Weigher(), Weigher()
        self._last_sent_ns = self._first_pending_ns = 0
        self._flusher = Flusher(self.flush_old, failed)
        self.cancelled = self._holds_credits = False
        self.refused: Refusal | None = None
        # Replaces a result that cannot be pickled. It needs a single sending thread, and at most one result per item.
        self.instead: Callable[[int, Exception, int], Sequence[Any]] | None = None
        self._replaces = False

    @property
    def is_bounded(self) -> bool:
        """Whether the worker needs a credit before it makes an item."""
        return bool(self._bounds)

    @property
    def made(self) -> int | None:
        """How many items the stage has given, sent or not; None while the flusher sends."""
        sent, waiting = self._sent, len(self._pending)
        # In between the flusher may have moved items from the one to the other.
        return None if self._lock.locked() or sent != self._sent else sent + waiting

    @property
    def blocked_ns(self) -> int:
        """Nanoseconds for which the worker's thread has waited to send. Callers must not be in such a wait."""
        return int(self._row[Cell.BLOCKED])

    def number_by(self, number: Callable[[], int]) -> None:
        """For element-wise stages: this function returns the number of each new item."""
        self._number = number

    def open_span(self, span: Span, distinct: bool) -> None:
        """Results from now on belong to this span. distinct: at most one result per input item."""
        with self._lock:
            self._numbering = Numbering(span.origin, SpanSplitter(span), distinct)

    def close_span(self, stop: int) -> None:
        """All items of the span up to this number have been processed, and there are no more."""
        self.flush_below(stop, end=True)

    def flush_below(self, done: int, end: bool = False) -> None:
        """Send the pending results, and report all items below this number as processed."""
        self._send_pending(self._blocked, done=done, end=end)
        self._flusher.raise_error()

    def pump(self, items: Iterable[Any]) -> None:
        """Send all items. Raises Cancelled, ItemFault, and exceptions of `items`."""
        steps = steps_of(items)
        is_free = self._number is None and not self._bounds
        if steps is not None and is_free:
            self._pump_at_once(steps)
            return
        rest = iterator = self._metered(items) if self._bounds else ending(items)
        ways = self._pending, self._places, self._numbers_in_frame, self.flush, self._first_pending
        while self._pump_each(rest, IN_A_ROW if is_free else maxsize):
            rest = chain(take_numbers(iterator, *ways), iterator)

    def _pump_each(self, items: Iterator[Any], many: int) -> bool:
        """Send items. Returns False at their end, True if so many numbers have come."""
        pending, append, number = self._pending, self._pending.append, self._number
        limit, most = self.frame_items, self._sender.flush_bytes
        # The type of an earlier item of which others may be copied, and how.
        copied_kind, copy, copied_bytes = None, None, COPY_BYTES
        size, waiting, numbers = len(pending) * SCALAR_BYTES, 0, 0
        for item in items:
            kind = type(item)
            if kind is copied_kind and copy is not None and (copied := copy(item)) is not None:
                item = copied  # noqa: PLW2901  # the entry replaces the item
                # One of a few is weighed. The size of a copy is limited, so that the others cannot take much more.
                if not waiting % COPIES_PER_WEIGHING:
                    copied_bytes = self._copied.weigh(item) * most // FRAME_BYTES + 1
                nbytes = copied_bytes
            elif kind in SCALARS and not self._snapshots:
                nbytes = SCALAR_BYTES
                numbers += 1
            elif kind in STRINGS and not self._snapshots:
                nbytes = len(item)
            else:
                # Behind a snapshot, numbers are snapshots too until the frame is sent.
                numbers = 0
                item, nbytes = self._admit(item, kind)  # noqa: PLW2901
                copied_kind, copy = (None, None) if self._snapshots else (kind, self._sender.copies.get(kind))
            if number is not None:
                # Add the number first, because the flusher counts the pending items.
                self._numbering.numbers.append(number())
            append(item)
            waiting = len(pending)
            # The flusher may have sent the earlier items.
            size = nbytes if waiting == 1 else size + nbytes
            if waiting >= limit or size >= most:
                self.flush()
                limit = self.frame_items
            elif waiting == 1:
                self._first_pending()
            elif numbers >= many:
                return True
        return False

    def _numbers_in_frame(self) -> int:
        return min(self.frame_items, max(1, self._sender.flush_bytes // SCALAR_BYTES))

    def _pump_at_once(self, items: Iterator[Any]) -> None:
        """Send the items of a container: no user code changes them meanwhile."""
        while found := list(islice(items, self.frame_items)):
            self._pending += found
            while self._pending:
                self.flush()

    def extend(self, made: Iterable[Any], numbers: Callable[[int], Iterable[int]] | None = None) -> int:
        """Add results of element-wise functions, which do not change any more. Returns their number.

        numbers: returns the numbers of this many results. None if the numbers are consecutive.
        """
        pending, before = self._pending, len(self._pending)
        try:
            pending.extend(made)
        finally:
            # Results before an exception count.
            if numbers is not None:
                self._numbering.numbers.extend(numbers(len(pending) - before))
        return len(pending) - before

    def check(self, results: Iterable[Any]) -> None:
        """Raise the error that pickling these results would raise. It locks: the flusher pickles, too."""
        with nullcontext() if self._replaces else self._lock:
            check_all(results, self._sender.admit)

    def skip(self) -> None:
        """An item has no result. From now on, `extend` needs numbers."""
        self._numbering.spell_out(len(self._pending))

    @property
    def holds_scalars(self) -> bool:
        """Whether the last result is a number or another small value."""
        return bool(self._pending) and type(self._pending[-1]) in SCALARS

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a frame."""
        return len(self._pending) >= self.frame_items

    def flush_full(self) -> None:
        """Send all full frames, and the rest if the last result is large, because sizes may have jumped."""
        waiting = 0
        while len(self._pending) >= (limit := self.frame_items) and len(self._pending) != waiting:
            # If no result could be sent, all of them belong to one item, which may have more results.
            waiting = len(self._pending)
            self.flush(limit)
        count = len(self._pending)
        if count and not self.holds_scalars and self._weigher.weigh(self._pending[-1]) * count >= FRAME_BYTES:
            self.flush()

    @property
    def frame_items(self) -> int:
        """The number of results for one frame."""
        limit, most = min(self._hint[0] or 1, self._most_together), self._sender.flush_bytes
        if limit * self._bytes_each > most:
            limit = max(1, int(most / self._bytes_each))
        # Otherwise a full frame would be divided, and a small frame would follow it.
        each = self._weigher.each
        return limit if limit * each <= FRAME_BYTES else max(1, int(FRAME_BYTES / each))

    def _admit(self, item: Any, kind: type) -> tuple[Any, int]:
        """The entry of an item that may change later, or that joins a frame of snapshots."""
        if not self._pending:
            self._snapshots = False
        if not self._snapshots and (lasting := lasting_entry(item, kind, self._sender.copies)) is not None:
            return lasting
        try:
            entry, nbytes = self._sender.admit(item)
        except ItemFault as fault:
            with self._lock:
                number = self._number
                fault.index = self._numbering.index(number()) if number else self._sent + len(self._pending)
            raise
        if isinstance(entry, Large):
            # A large item is sent in a frame of its own.
            self.flush()
        if not self._snapshots:
            with self._lock:
                self._pending[:] = [self._sender.admit(earlier)[0] for earlier in self._pending]
                self._snapshots = True
        return entry, nbytes

    def _first_pending(self) -> None:
        now = time.monotonic_ns()
        if now - self._last_sent_ns >= LONE_NS:
            self.flush()
        else:
            self._first_pending_ns = now
            try:
                self._flusher.arm()
            except OSError as error:
                record_channel_error(self, error)

    def flush(self, most: int | None = None) -> None:
        """Send the pending results, or the first ones. Raises Cancelled and ItemFault."""
        if self._pending or self._flusher.error:
            self._send_pending(self._blocked, most=most)
            self._flusher.raise_error()

    def flush_old(self) -> int:
        """For the flusher: send the pending results if they are old. Returns the ns until the next call, or 0."""
        if not self._pending:
            return 0
        left = self._first_pending_ns + FLUSH_NS - time.monotonic_ns()
        if left > 0:
            return left
        self._send_pending(UNCOUNTED)
        # A result that arrived in the meantime was not the first, so it has not armed the flusher.
        return FLUSH_NS if self._pending else 0

    @records_channel_errors
    def _send_pending(
        self, waits: AbstractContextManager[None], most: int | None = None, done: int | None = None, end: bool = False
    ) -> None:
        """Send the pending results, or the first ones. waits: counts waiting time. done, end: see `Numbering`."""
        # The other thread sends, and may wait for room.
        if self._lock.locked():
            with waits, self._lock:
                pass
        with self._lock:
            count = len(self._pending) if most is None else most
            if self._whole and done is None:
                count = self._numbering.whole(count)
            if not count and done is None:
                return
            fit = self._weigher.portion
            while not (self._whole or self._snapshots) and (part := fit(self._pending[:count], FRAME_BYTES)) < count:
                self._send_first(part, waits, None, False)
                count -= part
            self._send_first(count, waits, done, end)

    def _send_first(self, count: int, waits: AbstractContextManager[None], done: int | None, end: bool) -> None:
        self._check_cancelled()
        entries = self._pending[:count]
        # Read it before the deletion: it may change when `_pending` is empty.
        snapshots = self._snapshots
        del self._pending[:count]
        self._places.clear()
        self._row[Cell.SENDING] = count or 1
        for piece in self._numbering.pieces(entries, self._sent, done, end):
            self._send(piece, snapshots, waits)
        self._last_sent_ns = time.monotonic_ns()
        self._row[Cell.SENT] = self._row[Cell.NUMBERED] = self._sent
        self._row[Cell.SENDING] = 0
        if entries:
            self._row[Cell.MOVED] = self._last_sent_ns

    def _send(self, piece: Piece, snapshots: bool, waits: AbstractContextManager[None]) -> None:
        while self._room is not None and not self._room.may_send(piece.span):
            self._check_cancelled()
            with waits:
                self._room.wait()
            self._check_cancelled()
        piece, nbytes = self._sent_piece(piece, snapshots, waits)
        if count := len(piece.entries):
            self._sent += count
            self._bytes_each = (self._bytes_each + nbytes / count) / 2 if self._bytes_each else nbytes / count

    def _sent_piece(self, piece: Piece, snapshots: bool, waits: AbstractContextManager[None]) -> tuple[Piece, int]:
        """Send a piece. The policy replaces results that cannot be pickled. Returns the sent piece and its bytes."""
        # A `Counter` would take a tenth of the time in which a single item is sent.
        tries: dict[int, int] = {}
        while True:
            try:
                return piece, self._sender.send(piece.entries, snapshots, piece.span, piece.numbers, waits)
            except ItemFault as fault:
                if self.instead is None:
                    fault.index = piece.item_index(fault.index)
                    raise
                number = piece.number(fault.index)
                tries[number] = tries.get(number, 0) + 1
                self._replaces = True
                piece = piece.replaced(fault.index, self.instead(number, fault.error, tries[number]))
                self._replaces = False

    def _check_cancelled(self) -> None:
        if self._cancelled[0]:
            raise Cancelled("the run was cancelled")

    def finish(self, made: int | None = None) -> None:
        """Send all remaining results. made: the number of items, if this worker numbers them. Raises Cancelled."""
        with self._blocked:
            self._flusher.stop()
        if made is not None:
            self.close_span(made)
            self._row[Cell.NUMBERED] = made
        self.flush()

    def close(self) -> None:
        """Stop the flusher without sending, and close this end."""
        self._flusher.stop()
        self._sender.close()
