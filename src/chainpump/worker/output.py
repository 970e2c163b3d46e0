"""The sending side of a worker: collects items into frames, and lets none wait.

A frame leaves when it holds as many items as the consumer asked for, or 64 KB; 2 ms after its first item, by the
flusher; before the worker waits for anything; and at once if nothing has left for 2 ms: a lone item never waits.

    worker thread:   item -> [pending] -- full, or about to wait --> send
    flusher thread:          [pending] -- 2 ms old ----------------> send
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from ..errors import Cancelled
from ..ipc.board import Cell
from ..ipc.wait_times import UNCOUNTED, Wait
from ..pickling.items import ItemFault, Large
from ..pickling.sizes import SCALARS, STRINGS, Weigher
from ..transport.channel import Sender
from ..transport.flow import FLUSH_NS, FRAME_BYTES
from ..transport.flusher import Flusher
from ..transport.frames import Span
from ..transport.order import Numbering, Piece, SpanSplitter
from ..transport.room import SendRoom
from .channel_errors import CHANNEL_ERRORS, Refusal, record_channel_error, records_channel_errors

__all__ = ["Output"]

SCALAR_BYTES = 8  # about what an int takes in a pickle
# What takes no time to iterate, and runs no code of the user's between two items that could change the one before.
CONTAINERS = frozenset((range, list, tuple))
STEPS: frozenset[type] = frozenset(type(iter(kind())) for kind in (list, tuple, dict, set)) | {type(iter(range(0)))}


class Output:
    """What a worker yields goes in here. Only the worker's own thread calls it; the flusher is its second thread.

    `_pending` grows by `append` alone, which is atomic, and shrinks only under `_lock`, which also orders the
    sends. So an item costs no lock, and a frame costs one.

    room: bounds the items, if they are put in order further on. origin: the number of this worker, where it numbers its
    items itself and is not the only one to do so. whole: what is made of one item leaves in one frame, since it may be
    made twice. failed: is given what the flusher has failed of, in its thread.

    A worker of element-wise stages says between `open_span` and `close_span` which items of its input it is in; the
    frames that leave meanwhile carry their numbers.
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
        self._whole = whole
        self._sender = sender
        bounds = tuple(room.credits) if room is not None else ()
        # Of these, one is taken before each item is made.
        self._bounds = (*bounds, sender.credits) if sender.credits else bounds
        self._room = room
        self._row = row
        self._blocked = Wait(row, Cell.BLOCKED)
        self._hint = hint
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._pending: list[Any] = []
        self._snapshots = False  # whether `_pending` holds snapshots; changes under `_lock`, or while it is empty
        self._numbering = Numbering(origin)
        self._number: Callable[[], int] | None = None
        self._sent = int(row[Cell.SENT])  # by predecessors
        self._bytes = 0.0  # per item, lately
        self._weigher = Weigher()
        self._last_sent = 0  # ns
        self._since = 0  # ns; when the first pending item came
        self._holds_slots = False
        self._flusher = Flusher(self.flush_old, failed)
        self.cancelled = False
        self.refused: Refusal | None = None
        # What to send instead of what was made of an item: its number, why that cannot be pickled, and how many times
        # it could not. Only for who sends in the worker's own thread, and makes one result of an item at most.
        self.instead: Callable[[int, Exception, int], Sequence[Any]] | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether a slot is to be taken before each item is made."""
        return bool(self._bounds)

    @property
    def blocked_ns(self) -> int:
        """Nanoseconds that the worker's thread has waited until it could send; asked while it does not."""
        return int(self._row[Cell.BLOCKED])

    def number_by(self, number: Callable[[], int]) -> None:
        """Element-wise: an item belongs to the number that this tells when it comes."""
        self._number = number

    def open_span(self, span: Span, distinct: bool) -> None:
        """What comes from here on is made of these items. distinct: no two of them of the same one."""
        with self._lock:
            self._numbering = Numbering(span.origin, SpanSplitter(span), distinct)

    def close_span(self, stop: int) -> None:
        """All of them up to this number have been dealt with, and these are all."""
        self.flush_below(stop, end=True)

    def flush_below(self, done: int, end: bool = False) -> None:
        """Send what is pending, and say that all items below this number have been dealt with."""
        self._send_pending(self._blocked, done=done, end=end)
        self._flusher.raise_error()

    def pump(self, items: Iterable[Any]) -> None:
        """Send all items. Raises Cancelled, ItemFault, or what `items` raises."""
        if type(items) in CONTAINERS:
            items = iter(items)
        if type(items) in STEPS and not self._bounds and self._number is None:
            self._pump_at_once(items)
            return
        pending = self._pending
        append = pending.append
        number = self._number
        limit, most = self._limit(), self._sender.flush_bytes
        size = 0
        for item in self._metered(items) if self._bounds else items:
            kind = type(item)
            if kind in SCALARS and not self._snapshots:
                nbytes = SCALAR_BYTES
            elif kind in STRINGS and not self._snapshots:
                nbytes = len(item)
            else:
                item, nbytes = self._admit(item, kind)  # noqa: PLW2901  # from here on its entry stands for it
            if number is not None:
                self._numbering.numbers.append(number())  # first: the flusher counts what is pending
            append(item)
            waiting = len(pending)
            size = nbytes if waiting == 1 else size + nbytes  # the flusher may have taken what was there before
            if waiting >= limit or size >= most:
                self.flush()
                limit = self._limit()
            elif waiting == 1:
                self._first_pending()

    def _pump_at_once(self, items: Iterable[Any]) -> None:
        """Send items that are all there, and that no code changes while they go."""
        while found := list(islice(items, self._limit())):
            self._pending += found
            while self._pending:
                self.flush()

    def extend(self, made: Iterable[Any], numbers: Callable[[int], Iterable[int]] | None = None) -> int:
        """Add the results of element-wise functions, which nobody changes any more; raises what making them raises.

        Returns how many there were.

        numbers: of as many results as there are; None where each has the number next to the one before.
        """
        pending = self._pending
        before = len(pending)
        try:
            pending.extend(made)
        finally:  # those before an exception count
            if numbers is not None:
                self._numbering.numbers.extend(numbers(len(pending) - before))
        return len(pending) - before

    def check(self, results: Iterable[Any]) -> None:
        """Raise what pickling these would raise."""
        for each in results:
            if type(each) not in SCALARS and type(each) not in STRINGS:
                try:
                    with self._lock:  # the flusher pickles as well
                        self._sender.admit(each)
                except ItemFault as fault:
                    raise fault.error from None

    def skip(self) -> None:
        """An item comes to nothing: from here on, `extend` needs numbers."""
        self._numbering.spell_out(len(self._pending))

    @property
    def holds_scalars(self) -> bool:
        """Whether the result that came last is a number or the like."""
        return bool(self._pending) and type(self._pending[-1]) in SCALARS

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a frame."""
        return len(self._pending) >= self._limit()

    def flush_full(self) -> None:
        """Send as many frames as are full; all, if the result that came last is large: sizes may have jumped."""
        waiting = 0
        while len(self._pending) >= (limit := self._limit()) and len(self._pending) != waiting:
            waiting = len(self._pending)  # the same again: all of it belongs to one item, of which more may come
            self.flush(limit)
        count = len(self._pending)
        if count and not self.holds_scalars and self._weigher.weigh(self._pending[-1]) * count >= FRAME_BYTES:
            self.flush()

    def _limit(self) -> int:
        limit, most = self._hint[0] or 1, self._sender.flush_bytes
        if limit * self._bytes > most:
            limit = max(1, int(most / self._bytes))
        # Else a full frame would be cut, and leave a small one behind it.
        each = self._weigher.each
        return limit if limit * each <= FRAME_BYTES else max(1, int(FRAME_BYTES / each))

    def _admit(self, item: Any, kind: type) -> tuple[Any, int]:
        """The entry of an item that may be changed later, or that joins a frame of snapshots."""
        if not self._pending:
            self._snapshots = False
            if kind in SCALARS or kind in STRINGS:
                return item, SCALAR_BYTES if kind in SCALARS else len(item)
        try:
            entry, nbytes = self._sender.admit(item)
        except ItemFault as fault:
            with self._lock:
                number = self._number
                fault.index = self._numbering.index(number()) if number else self._sent + len(self._pending)
            raise
        if isinstance(entry, Large):
            self.flush()  # it travels alone
        if not self._snapshots:
            with self._lock:
                self._pending[:] = [self._sender.admit(earlier)[0] for earlier in self._pending]
                self._snapshots = True
        return entry, nbytes

    def _first_pending(self) -> None:
        now = time.monotonic_ns()
        if now - self._last_sent >= FLUSH_NS:
            self.flush()
        else:
            self._since = now
            try:
                self._flusher.arm()
            except OSError as error:
                record_channel_error(self, error)

    def _metered(self, items: Iterable[Any]) -> Iterator[Any]:
        """Take a slot before each item is made: `in_flight=` is exact."""
        iterator = iter(items)
        while True:
            self.take_slots()
            try:
                item = next(iterator)
            except StopIteration:
                self._give_slots()
                return
            self._holds_slots = False  # they travel with the item
            yield item

    def take_slots(self) -> None:
        """Take a slot for the next item, unless there is one already. Raises Cancelled."""
        if self._holds_slots:
            return
        try:
            for credits in self._bounds:
                while not credits.take():
                    self.flush()
                    with self._blocked:
                        credits.wait()
                    self._check_cancelled()
        except CHANNEL_ERRORS as error:
            record_channel_error(self, error)
        self._holds_slots = True

    @records_channel_errors
    def _give_slots(self) -> None:
        if self._holds_slots:
            self._holds_slots = False
            for credits in self._bounds:
                credits.give()

    def before_wait(self) -> bool:
        """The worker is about to wait for input: send what is pending, and let another worker use the slot.

        Without the latter, a worker that waits for input with a slot could starve one that has input and no slot.
        Returns whether there was a slot, which `after_wait` takes again.
        """
        self.flush()
        held = self._holds_slots
        self._give_slots()
        return held

    def after_wait(self, held: bool) -> None:
        """Input has come: take the slot again, if there was one."""
        if held:
            self.take_slots()

    def flush(self, most: int | None = None) -> None:
        """Send what is pending, or so much of it. Raises Cancelled and ItemFault."""
        if self._pending or self._flusher.error:
            self._send_pending(self._blocked, most=most)
            self._flusher.raise_error()

    def flush_old(self) -> int:
        """For the flusher: send what is pending if it is old enough; returns ns to wait for the next look, or 0."""
        if not self._pending:
            return 0
        left = self._since + FLUSH_NS - time.monotonic_ns()
        if left > 0:
            return left
        self._send_pending(UNCOUNTED)
        return FLUSH_NS if self._pending else 0  # one that came meanwhile was not the first, and has armed nobody

    @records_channel_errors
    def _send_pending(
        self,
        waits: AbstractContextManager[None],
        *,
        most: int | None = None,
        done: int | None = None,
        end: bool = False,
    ) -> None:
        """Send the pending items, or the first of them. waits: what a wait is told to. done, end: see `Numbering`."""
        if self._lock.locked():  # the other thread sends, and may have to wait
            with waits, self._lock:
                pass
        with self._lock:
            count = len(self._pending) if most is None else most
            if self._whole and done is None:
                count = self._numbering.whole(count)
            if not count and done is None:
                return
            while not (self._whole or self._snapshots) and (part := self._portion(count)) < count:
                self._send_first(part, waits, None, False)
                count -= part
            self._send_first(count, waits, done, end)

    def _portion(self, most: int) -> int:
        return self._weigher.portion(self._pending[:most], FRAME_BYTES)

    def _send_first(self, count: int, waits: AbstractContextManager[None], done: int | None, end: bool) -> None:
        self._check_cancelled()
        entries = self._pending[:count]
        snapshots = self._snapshots  # read before the deletion: it may change once nothing is pending
        del self._pending[:count]
        self._row[Cell.SENDING] = 1
        for piece in self._numbering.pieces(entries, self._sent, done, end):
            self._send(piece, snapshots, waits)
        self._last_sent = time.monotonic_ns()
        self._row[Cell.SENT] = self._row[Cell.NUMBERED] = self._sent
        self._row[Cell.SENDING] = 0
        if entries:
            self._row[Cell.MOVED] = self._last_sent

    def _send(self, piece: Piece, snapshots: bool, waits: AbstractContextManager[None]) -> None:
        while self._room is not None and not self._room.may_send(piece.span):
            self._check_cancelled()
            with waits:
                self._room.wait()
            self._check_cancelled()
        piece, nbytes = self._sent_piece(piece, snapshots, waits)
        count = len(piece.entries)
        self._sent += count
        if count:
            self._bytes = (self._bytes + nbytes / count) / 2 if self._bytes else nbytes / count

    def _sent_piece(self, piece: Piece, snapshots: bool, waits: AbstractContextManager[None]) -> tuple[Piece, int]:
        """What has been sent, and its bytes: instead of items that cannot be pickled, what a policy makes of them."""
        tries: Counter[int] = Counter()
        while True:
            try:
                return piece, self._sender.send(piece.entries, snapshots, piece.span, piece.numbers, waits)
            except ItemFault as fault:
                if self.instead is None:
                    fault.index = piece.item_index(fault.index)
                    raise
                number = piece.number(fault.index)
                tries[number] += 1
                piece = piece.replaced(fault.index, self.instead(number, fault.error, tries[number]))

    def _check_cancelled(self) -> None:
        if self._cancelled[0]:
            raise Cancelled("the run was cancelled")

    def finish(self, made: int | None = None) -> None:
        """Send all that is left. made: of how many items, where they were numbered here. Raises Cancelled."""
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
