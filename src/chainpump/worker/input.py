"""The receiving side of a worker. It converts frames to one iterator and publishes the best frame size."""

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
from .retirement import Retirement

__all__ = ["Input"]


class Input:
    """Iterates over the items that arrive. It ends only if all producers have finished, or if its worker retires.
    Otherwise it raises Cancelled.

    Each `iter()` continues where the previous one stopped. Only the worker's own thread uses it.

    output: the sending side of the same worker. It is flushed before each wait, and its blocked time does not count as
    work. reorder_buffer: restores the order of the items, if this worker does so. watched: publish the current item and
    its start time on the board for each item. passes_on: the stages are element-wise, so sent items keep the numbers of
    received ones. several: a stage may make several results from one item. retirement: decides when the worker retires.
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
        retirement: Retirement | None = None,
    ) -> None:
        self._receiver, self._credits = receiver, receiver.credits
        self._reorder_buffer = reorder_buffer
        self._board = board
        self._row = board.row(worker)
        if reorder_buffer is not None:
            reorder_buffer.show(self._row)
        self._starved = Wait(self._row, Cell.STARVED)
        self._cancel_flag = board.flag(group)
        self._hint = board.hint(group - 1)
        self._producers = producers
        self._output = output
        self._passes_on = passes_on
        self._next_output = output if passes_on else None
        self._several, self._watched = several, watched
        self._frame: Frame | None = None
        # Iterates over the entries of the current frame.
        self._cursor: Iterator[Any] = iter([])
        self._delivered_ns = 0
        # The blocked time of the output until then.
        self._blocked_before_ns = 0
        self._ns_per_item = 0.0
        # Nanoseconds that the items of the current frame took, if this is not the time until the next one is requested.
        self.spent_ns: int | None = None
        # How many items a frame should have, even if they take long: as many as the worker processes at once.
        self.least_hint = 1
        self._owes_credit = False
        # Credits of the entries before this one have been returned. Only workers that can be replaced use it.
        self._returned_below = 0
        # The next frame, if `wait` has received it.
        self._awaited: Frame | None = None
        # The channel has ended behind the current frame.
        self._at_end = False
        self._may_retire = True
        self.retirement = retirement
        # If this worker retires, other workers receive the remaining items.
        self.has_retired = self.ended = self.cancelled = False
        # The next item of the current frame, if it cannot be rebuilt.
        self._bad_item: ItemFault | None = None
        self.refused: Refusal | None = None
        # The item that could not be rebuilt and made this end raise Cancelled.
        self.fault: ItemFault | None = None

    def __iter__(self) -> Iterator[Any]:
        # A chunk of each single item would take as long as the item.
        return self._metered_items() if self.is_metered and not self._watched else chain.from_iterable(self.chunks())

    @property
    def is_metered(self) -> bool:
        """Whether each item returns a credit when the next item is requested."""
        return self._credits is not None or (self._reorder_buffer is not None and self._reorder_buffer.is_exact)

    @property
    def by_items(self) -> bool:
        """Whether each item needs more work than giving it to the stage."""
        return self._watched or self.is_metered

    @property
    def ready(self) -> int:
        """The number of items left in the current frame."""
        return length_hint(self._cursor)

    @property
    def delivered(self) -> int:
        """The number of items that the stage has got."""
        return self._row[Cell.RECEIVED] - length_hint(self._cursor)

    def more(self) -> bool:
        """Whether one more item comes. A worker calls it after the stage has returned. Raises Cancelled."""
        # An early return must be an error. It must not look like retiring, which is an end on request.
        self._may_retire = False
        for _ in self:
            return True
        return False

    @records_channel_errors
    def wait(self, seconds: float) -> bool:
        """Wait until there is an item or the end. Returns False after this many seconds. Raises Cancelled."""
        if length_hint(self._cursor) or self.ended or self._awaited is not None:
            return True
        self._return_credit()
        self._settle()
        held = self._before_wait()
        until = time.monotonic() + seconds
        with self._starved:
            while (frame := self._ready_within(until - time.monotonic())) is not None and not frame.entries:
                pass
        self._after_wait(held)
        self._awaited = frame
        return frame is not None or self._at_end

    def _ready_within(self, seconds: float) -> Frame | None:
        """The next frame in order, which may have no items. None after this many seconds and at the end."""
        until = time.monotonic() + seconds
        while True:
            if self._reorder_buffer is not None:
                self._reorder_buffer.release()
                if (frame := self._reorder_buffer.next()) is not None:
                    return frame
            if seconds and not self._receiver.wait(max(0.0, until - time.monotonic())):
                return None
            try:
                arrived = self._arrived(wait=False)
            except BlockingIOError:
                if not seconds:
                    return None
                # Another worker has received the frame.
                continue
            self._at_end = arrived is None
            if arrived is None or self._reorder_buffer is None:
                return arrived
            self._reorder_buffer.push(arrived)

    def current_item(self) -> tuple[int, int, str] | None:
        """Origin, number and short repr of the last item. None after the next frame was requested."""
        frame, position = self._frame, self._position()
        if frame is None or position < 0:
            return None
        return frame.span.origin, frame.item_index(position), short_repr(frame.entries[position])

    def number(self) -> int:
        """The number of the last item within the span of the current frame."""
        assert self._frame is not None
        return self._frame.number(self._position())

    def _position(self) -> int:
        return len(self._frame.entries) - length_hint(self._cursor) - 1 if self._frame else -1

    def frames(self) -> Iterator[tuple[Frame, Iterator[Any]]]:
        """Yield each frame with an iterator over its items. The caller must use up the iterator."""
        while self._next_frame():
            assert self._frame is not None
            yield self._frame, self._cursor

    def chunks(self) -> Iterator[Iterable[Any]]:
        """Yield iterables of all items, for `chain.from_iterable`, which runs at the speed of C.

        Exceptions are raised here, never by the iterables.
        """
        if self.by_items:
            for item in self._metered_items() if self.is_metered else self._items():
                if self._watched:
                    self._publish_item()
                yield (item,)
                # Delete it, so that a waiting worker does not keep the previous item alive.
                del item
            return
        while length_hint(self._cursor) or self._next_frame():
            yield self._cursor

    def _publish_item(self) -> None:
        """Publish the current item and its start time on the board."""
        assert self._frame is not None
        position = self._position()
        self._row[Cell.INDEX], self._row[Cell.SINCE] = self._frame.item_index(position), time.monotonic_ns()
        self._row[Cell.ITEM] = position + 1

    def _items(self) -> Iterator[Any]:
        while length_hint(self._cursor) or self._next_frame():
            yield from self._cursor

    def _metered_items(self) -> Iterator[Any]:
        # A previous iterator may have given an item.
        self._return_credit()
        for item in self._items():
            self._owes_credit = True
            yield item
            # Delete it, so that a waiting worker does not keep the previous item alive.
            del item
            self._return_credit()

    def return_one_credit(self) -> None:
        """Return the credit of an item from `frames`."""
        self._owes_credit = True
        self._return_credit()

    def _return_credit(self) -> None:
        """The next item is requested: return the credit of the previous one, also if another iterator gave it."""
        if not self._owes_credit:
            return
        self._owes_credit = False
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
        """Receive the next frame. False at the end. Raises Cancelled."""
        if self.ended:
            return False
        if self._bad_item is not None:
            self.fault = self._bad_item
            self._cancel()
        self._settle()
        frame = self._receive()
        if frame is None:
            if self._cancel_flag[0] or not (self.has_retired or self._board.all_done(self._producers)):
                self._cancel()
            self.ended = True
            return False
        self._row[Cell.RECEIVED] += len(frame.entries)
        frame, self._bad_item = frame.decoded()
        self._frame = frame
        self._cursor = iter(frame.entries)
        self._returned_below = self.first_entry
        self._row[Cell.FIRST] = frame.item_index(0) if frame.entries else frame.span.start
        if self._next_output is not None:
            distinct = frame.numbers is None or len(set(frame.numbers)) == len(frame.numbers)
            self._next_output.open_span(frame.span, distinct and not self._several)
        self._delivered_ns = self._row[Cell.MOVED] = time.monotonic_ns()
        self._blocked_before_ns = self._output.blocked_ns if self._output else 0
        return True

    def _receive(self) -> Frame | None:
        """The next frame in order. Frames without items are skipped, unless the worker passes their spans on."""
        if self._awaited is not None:
            early, self._awaited = self._awaited, None
            return early
        while True:
            frame = self._arrived() if self._reorder_buffer is None else self._in_turn(self._reorder_buffer)
            if frame is None or frame.entries or self._passes_on:
                return frame

    def _in_turn(self, reorder_buffer: ReorderBuffer) -> Frame | None:
        reorder_buffer.release()
        while True:
            if (frame := reorder_buffer.next()) is not None:
                return frame
            frame = self._arrived()
            if frame is None:
                return None
            reorder_buffer.push(frame)
            # A single frame can pass at once and does not change the limit. The limit is updated before a wait anyway.
            if reorder_buffer.waiting > 1:
                reorder_buffer.release()

    @property
    def _resumes(self) -> bool:
        """Whether the next frame comes from the checkpoint of a predecessor: no other worker has it."""
        return self._receiver.checkpoint is not None and not self._receiver.checkpoint.is_empty

    def _arrived(self, wait: bool = True) -> Frame | None:
        if self.cancelled or self._cancel_flag[0]:
            self._cancel()
        if self._may_retire and not self._resumes and self._retires():
            self.has_retired = True
            return None
        try:
            return self._received(wait=False)
        except BlockingIOError:
            if not wait:
                raise
        # There is no frame yet: send the pending results of this worker first.
        held = self._before_wait()
        with self._starved:
            frame = self._received(wait=True)
        self._after_wait(held)
        return frame

    def _retires(self) -> bool:
        """Whether the supervisor wants the worker to retire, or its share is done."""
        if self._row[Cell.RETIRES] or self.retirement is None:
            return bool(self._row[Cell.RETIRES])
        is_due = self.retirement.is_due(self._row[Cell.RECEIVED])
        if self.retirement.excess is not None:
            self._cancel()
        # A fresh worker cannot get the frames that the reorder buffer holds.
        return is_due and (self._reorder_buffer is None or self._reorder_buffer.drain())

    def _received(self, wait: bool) -> Frame | None:
        try:
            return self._receiver.receive(wait)
        except ItemFault as fault:
            self.fault = fault
            self._cancel()

    def _before_wait(self) -> bool:
        held = self._output.before_wait() if self._output else False
        if self._reorder_buffer is not None:
            # Update the limit once more, so that workers which began to wait in the meantime are woken.
            self._reorder_buffer.release()
        return held

    def _after_wait(self, held: bool) -> None:
        if self._output:
            self._output.after_wait(held)

    def _settle(self) -> None:
        """The current frame is finished: publish how many such items take this worker about 1 ms."""
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
            blocked = (self._output.blocked_ns if self._output else 0) - self._blocked_before_ns
            elapsed = time.monotonic_ns() - self._delivered_ns - blocked if self.spent_ns is None else self.spent_ns
            self._ns_per_item = next_service_ns(self._ns_per_item, elapsed, len(frame.entries))
            self._hint[0] = max(next_hint(self._hint[0] or 1, self._ns_per_item), self.least_hint)
        self.count()
        # Drop the frame, so that a waiting worker does not keep its slab in use.
        self._frame = None
        self.put_position(0)

    def put_position(self, position: int) -> None:
        """All results of the entries before this position have been sent: a replacement begins there."""
        if self._receiver.checkpoint is not None:
            # Return credits first: to return a credit twice does less harm than to lose it.
            self._return_credits_below(position)
            counts = Position.of(self._row, position)
            before = counts.received - (len(self._frame.entries) if self._frame else 0)
            self._receiver.checkpoint.put_position(counts._replace(received=before))

    def _return_credits_below(self, position: int) -> None:
        """Return the credits of the entries before this position."""
        if self._credits is not None and position > self._returned_below:
            self._credits.give(position - self._returned_below)
        self._returned_below = position

    @property
    def first_entry(self) -> int:
        """The entry of the current frame at which to begin."""
        return self._receiver.checkpoint.position.entry if self._receiver.checkpoint is not None else 0

    def count(self) -> None:
        """Record that all received items have been processed."""
        self._row[Cell.FINISHED] = self._row[Cell.RECEIVED] - self._row[Cell.SKIPPED] - self._row[Cell.DEAD]

    def _cancel(self) -> NoReturn:
        raise Cancelled("the run was cancelled")

    def close(self) -> None:
        """Close this end."""
        self._receiver.close()
        if self._reorder_buffer is not None:
            self._reorder_buffer.close()
