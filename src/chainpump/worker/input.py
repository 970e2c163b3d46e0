"""The receiving side of a worker: turns frames into one plain iterator, and tells its producers how much to send."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import length_hint
from typing import Any, NoReturn

from ..errors import Cancelled
from ..ipc.board import Board, Cell
from ..ipc.checkpoint import Position
from ..ipc.wait_times import Wait
from ..messages.item_repr import short_repr
from ..pickling.items import ItemFault
from ..transport.channel import Receiver
from ..transport.flow import next_hint, next_service_ns
from ..transport.frames import Frame
from ..transport.reorder_buffer import ReorderBuffer
from .channel_errors import CHANNEL_ERRORS, Refusal, record_channel_error, records_channel_errors
from .output import Output

__all__ = ["Input"]


class Input:
    """Iterates over what arrives. It ends only if every producer said that it is done, or if its worker is asked to
    retire; else it raises Cancelled.

    Each `iter()` goes on where the one before stopped. Only the worker's own thread uses it.
    output: the sending side of the same worker. It is flushed before any wait, and the time it is blocked does not
    count as this worker's own work.
    reorder_buffer: restores the order of the items, where that is to be done here.
    watched: says on the board which item the stage has been given, and when: item by item, not frame by frame.
    passes_on: the worker's stages are element-wise: what it sends carries the numbers of what it receives. several:
    one of them may make several items of one.
    """

    def __init__(
        self,
        receiver: Receiver,
        board: Board,
        worker: int,
        group: int,
        producers: Sequence[int],
        output: Output | None,
        reorder_buffer: ReorderBuffer | None = None,
        passes_on: bool = False,
        several: bool = False,
        watched: bool = False,
    ) -> None:
        self._receiver = receiver
        self._credits = receiver.credits
        self._reorder_buffer = reorder_buffer
        self._board = board
        self._row = board.row(worker)
        self._starved = Wait(self._row, Cell.STARVED)
        self._cancel_flag = board.flag(group)
        self._hint = board.hint(group - 1)
        self._producers = producers
        self._output = output
        self._passes_on = passes_on
        self._next_output = output if passes_on else None
        self._several = several
        self._watched = watched
        self._frame: Frame | None = None
        self._cursor: Iterator[Any] = iter([])  # over the entries of the frame in hand
        self._delivered_at = 0  # ns; when the frame in hand was handed over
        self._blocked = 0  # ns; time blocked up to then
        self._service = 0.0  # ns per item
        self._owes_slot = False
        self._paid = 0  # position in the frame in hand before which slots have gone back, for those with successors
        self._early: Frame | None = None  # the next one, where it was waited for
        self._is_over = False  # what comes next is the end
        self._may_retire = True
        self._has_retired = False  # the end was its own: others go on with what its producers send
        self._unread: ItemFault | None = None  # an item that cannot be rebuilt, next in the frame in hand
        self.ended = False
        self.cancelled = False
        self.refused: Refusal | None = None
        self.fault: ItemFault | None = None  # why it cancelled itself: an item that could not be rebuilt

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.chunks())

    @property
    def is_metered(self) -> bool:
        """Whether each item gives a slot back as soon as the next one is asked for."""
        return self._credits is not None or (self._reorder_buffer is not None and self._reorder_buffer.is_exact)

    @property
    def by_items(self) -> bool:
        """Whether there is something to do for each item, besides giving it to the stage."""
        return self._watched or self.is_metered

    @property
    def ready(self) -> int:
        """How many items are left of the frame in hand."""
        return length_hint(self._cursor)

    @property
    def delivered(self) -> int:
        """How many items the stage has been given."""
        return self._row[Cell.RECEIVED] - length_hint(self._cursor)

    def more(self) -> bool:
        """Whether one more item comes: asked after a stage has returned. Raises Cancelled."""
        self._may_retire = False  # a stage that has returned without being asked to is told from one that was
        for _ in self:
            return True
        return False

    @records_channel_errors
    def wait(self, seconds: float) -> bool:
        """Wait until an item or the end is there; False if that takes longer. Raises Cancelled."""
        if length_hint(self._cursor) or self.ended or self._early is not None:
            return True
        self._pay()
        self._settle()
        held = self._before_wait()
        until = time.monotonic() + seconds
        with self._starved:
            while (frame := self._ready_within(until - time.monotonic())) is not None and not frame.entries:
                pass
        self._after_wait(held)
        self._early = frame
        return frame is not None or self._is_over

    def _ready_within(self, seconds: float) -> Frame | None:
        """The next frame in its turn, which may have no items; None if that takes longer, or at the end."""
        until = time.monotonic() + seconds
        while True:
            if self._reorder_buffer is not None:
                self._reorder_buffer.release()
                if (frame := self._reorder_buffer.next()) is not None:
                    return frame
            if not self._receiver.wait(max(0.0, until - time.monotonic())):
                return None
            try:
                arrived = self._arrived(wait=False)
            except BlockingIOError:  # another worker has taken it
                continue
            self._is_over = arrived is None
            if arrived is None or self._reorder_buffer is None:
                return arrived
            self._reorder_buffer.push(arrived)

    def in_hand(self) -> tuple[int, int, str] | None:
        """Origin, number and short repr of the item given last; None if the frame after it was asked for."""
        frame = self._frame
        position = self._position()
        if frame is None or position < 0:
            return None
        return frame.span.origin, frame.item_index(position), short_repr(frame.entries[position])

    def number(self) -> int:
        """The number, within the span of the frame in hand, of the item given last."""
        assert self._frame is not None
        return self._frame.number(self._position())

    def _position(self) -> int:
        return len(self._frame.entries) - length_hint(self._cursor) - 1 if self._frame else -1

    def frames(self) -> Iterator[tuple[Frame, Iterator[Any]]]:
        """Frame by frame, each with an iterator over its items, which is to be used up."""
        while self._next_frame():
            assert self._frame is not None
            yield self._frame, self._cursor

    def chunks(self) -> Iterator[Iterable[Any]]:
        """What gives all items one after the other: for `chain.from_iterable`, which goes at the speed of C.

        Whatever is raised is raised here, not by the iterables.
        """
        if self.by_items:
            for item in self._metered_items() if self.is_metered else self._items():
                if self._watched:
                    self._tell_item()
                yield (item,)
                del item  # a worker that waits holds nothing of the item before
            return
        while length_hint(self._cursor) or self._next_frame():
            yield self._cursor

    def _decoded(self, frame: Frame) -> Frame:
        """The frame with its items rebuilt; those before one that cannot be come first."""
        if frame.decode is None:
            return frame
        entries: list[Any] = []
        try:
            entries.extend(map(frame.decode, frame.entries))
        except Exception as error:
            index = frame.item_index(len(entries))
            self._unread = ItemFault(f"{type(error).__name__}: {error}", frame.span.origin, index)
        return frame._replace(entries=entries, decode=None)

    def _tell_item(self) -> None:
        """Say on the board which item the stage is given, and when."""
        assert self._frame is not None
        position = self._position()
        self._row[Cell.INDEX], self._row[Cell.SINCE] = self._frame.item_index(position), time.monotonic_ns()
        self._row[Cell.ITEM] = position + 1

    def _items(self) -> Iterator[Any]:
        while length_hint(self._cursor) or self._next_frame():
            yield from self._cursor

    def _metered_items(self) -> Iterator[Any]:
        self._pay()  # for what an iterator before this one was given
        for item in self._items():
            self._owes_slot = True
            yield item
            del item  # a worker that waits holds nothing of the item before
            self._pay()

    def pay_for_one(self) -> None:
        """Give back the slot of an item that was taken from `frames`."""
        self._owes_slot = True
        self._pay()

    def _pay(self) -> None:
        """The next item is asked for: give back the slot of the one before, whichever iterator it came from."""
        if not self._owes_slot:
            return
        self._owes_slot = False
        try:
            if self._credits is not None:
                self._credits.give()
            if self._reorder_buffer is not None and self._frame is not None:
                position = self._position() + 1
                if position < len(self._frame.entries):
                    self._reorder_buffer.release(self._frame.item_index(position))
                else:
                    self._reorder_buffer.release()
        except CHANNEL_ERRORS as error:
            record_channel_error(self, error)

    @records_channel_errors
    def _next_frame(self) -> bool:
        """Take the next frame in hand; False at the end. Raises Cancelled."""
        if self.ended:
            return False
        if self._unread is not None:
            self.fault = self._unread
            self._cancel()
        self._settle()
        frame = self._receive()
        if frame is None:
            if self._cancel_flag[0] or not (self._has_retired or self._board.all_done(self._producers)):
                self._cancel()
            self.ended = True
            return False
        self._row[Cell.RECEIVED] += len(frame.entries)
        self._frame = frame = self._decoded(frame)
        self._cursor = iter(frame.entries)
        self._paid = self.marked
        self._row[Cell.FIRST] = frame.item_index(0) if frame.entries else frame.span.start
        if self._next_output is not None:
            distinct = frame.numbers is None or len(set(frame.numbers)) == len(frame.numbers)
            self._next_output.open_span(frame.span, distinct and not self._several)
        self._delivered_at = self._row[Cell.MOVED] = time.monotonic_ns()
        self._blocked = self._output.blocked_ns if self._output else 0
        return True

    def _receive(self) -> Frame | None:
        """The next frame in its turn. One without items goes no further than to who passes on that there are none."""
        if self._early is not None:
            early, self._early = self._early, None
            return early
        while True:
            frame = self._arrived() if self._reorder_buffer is None else self._in_turn(self._reorder_buffer)
            if frame is None or frame.entries or self._passes_on:
                return frame

    def _in_turn(self, reorder_buffer: ReorderBuffer) -> Frame | None:
        reorder_buffer.release()
        while True:
            frame = reorder_buffer.next()
            if frame is not None:
                return frame
            frame = self._arrived()
            if frame is None:
                self._row[Cell.PASSED] = reorder_buffer.passed
                return None
            reorder_buffer.push(frame)
            if reorder_buffer.waiting > 1:  # one that may go at once moves no limit; before a wait it is moved anyway
                reorder_buffer.release()

    @property
    def _goes_on(self) -> bool:
        """Whether the next frame is what a predecessor had in hand: nobody else has it."""
        return self._receiver.checkpoint is not None and not self._receiver.checkpoint.is_empty

    def _arrived(self, wait: bool = True) -> Frame | None:
        if self.cancelled or self._cancel_flag[0]:
            self._cancel()
        if self._may_retire and self._row[Cell.RETIRES] and not self._goes_on:
            self._has_retired = True
            return None
        try:
            return self._received(wait=False)
        except BlockingIOError:
            if not wait:
                raise
        held = self._before_wait()  # nothing is there: send what this worker holds
        with self._starved:
            frame = self._received(wait=True)
        self._after_wait(held)
        return frame

    def _received(self, wait: bool) -> Frame | None:
        try:
            return self._receiver.receive(wait)
        except ItemFault as fault:
            self.fault = fault
            self._cancel()

    def _before_wait(self) -> bool:
        held = self._output.before_wait() if self._output else False
        if self._reorder_buffer is not None:
            self._row[Cell.PASSED] = self._reorder_buffer.passed
            self._reorder_buffer.release()  # once more: who has begun to wait since the last time must not be missed
        return held

    def _after_wait(self, held: bool) -> None:
        if self._output:
            self._output.after_wait(held)

    def _settle(self) -> None:
        """The frame in hand is finished: publish how many items of its kind take this consumer about 1 ms."""
        frame = self._frame
        if frame is None:
            return
        if self._watched:
            self._row[Cell.ITEM] = 0
        if self._next_output is not None:
            self._next_output.close_span(frame.span.stop)
        self.put_position(len(frame.entries))
        self._receiver.settle()
        if frame.entries:
            blocked = (self._output.blocked_ns if self._output else 0) - self._blocked
            elapsed = time.monotonic_ns() - self._delivered_at - blocked
            self._service = next_service_ns(self._service, elapsed, len(frame.entries))
            self._hint[0] = next_hint(self._hint[0] or 1, self._service)
        self.count()
        self._frame = None  # a worker that waits holds nothing of the frame before: its slab can go back
        self.put_position(0)

    def put_position(self, position: int) -> None:
        """What was made of the entries before this position has been sent: a successor begins there."""
        if self._receiver.checkpoint is not None:
            self._pay_below(position)  # first: a slot that is given twice does less harm than one that is lost
            row = self._row
            received = row[Cell.RECEIVED] - (len(self._frame.entries) if self._frame else 0)
            self._receiver.checkpoint.put_position(
                Position(position, received, row[Cell.SENT], row[Cell.SKIPPED], row[Cell.DEAD])
            )

    def _pay_below(self, position: int) -> None:
        """Give back the slots of the entries before this position, where a successor may have to go on."""
        if self._credits is not None and position > self._paid:
            self._credits.give(position - self._paid)
        self._paid = position

    @property
    def marked(self) -> int:
        """Where in the frame in hand to begin."""
        return self._receiver.checkpoint.position.entry if self._receiver.checkpoint is not None else 0

    def count(self) -> None:
        """Every item that has been received has been dealt with."""
        row = self._row
        row[Cell.FINISHED] = row[Cell.RECEIVED] - row[Cell.SKIPPED] - row[Cell.DEAD]

    def _cancel(self) -> NoReturn:
        raise Cancelled("the run was cancelled")

    def close(self) -> None:
        """Close this end."""
        self._receiver.close()
        if self._reorder_buffer is not None:
            self._reorder_buffer.close()
