"""The receiving side of a worker: turns frames into one plain iterator, and tells its producers how much to send."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import length_hint
from typing import Any, NoReturn

from ..errors import Cancelled
from .board import Board, Cell
from .channel import Receiver
from .codec import ItemFault
from .credits import Credits
from .flow import next_hint, next_service_ns
from .frames import Frame
from .outlet import Outlet

__all__ = ["Inlet", "short_repr"]


class Inlet:
    """Iterates over what arrives. It ends only if every producer said that it is done; else it raises Cancelled.

    Each `iter()` goes on where the one before stopped. Only the worker's own thread uses it.
    outlet: the sending side of the same worker. It is flushed before any wait, and the time it is blocked does not
    count as this worker's own work.
    """

    def __init__(
        self,
        receiver: Receiver,
        board: Board,
        worker: int,
        group: int,
        producers: Sequence[int],
        outlet: Outlet | None,
    ) -> None:
        self._receiver = receiver
        self._credits = receiver.credits
        self._board = board
        self._row = board.row(worker)
        self._cancel_flag = board.flag(group)
        self._hint = board.hint(group - 1)
        self._producers = producers
        self._outlet = outlet
        self._frame: Frame | None = None
        self._cursor: Iterator[Any] = iter([])  # over the entries of the frame in hand
        self._delivered_at = 0  # ns; when the frame in hand was handed over
        self._blocked = 0  # ns; time blocked up to then
        self._service = 0.0  # ns per item
        self._owes_slot = False
        self.ended = False
        self.cancelled = False  # True once Cancelled was raised here: no later end is to be believed
        self.fault: ItemFault | None = None  # why it cancelled itself: an item that could not be rebuilt

    def __iter__(self) -> Iterator[Any]:
        return self._items() if self._credits is None else self._metered_items(self._credits)

    @property
    def delivered(self) -> int:
        """How many items the stage has been given."""
        return self._row[Cell.RECEIVED] - length_hint(self._cursor)

    def more(self) -> bool:
        """Whether one more item comes: asked after a stage has returned. Raises Cancelled."""
        for _ in self:
            return True
        return False

    def in_hand(self) -> tuple[int, int, str] | None:
        """Producer, number and short repr of the item given last; None if the frame after it was asked for."""
        frame = self._frame
        if frame is None:
            return None
        position = len(frame.entries) - length_hint(self._cursor) - 1
        if position < 0:
            return None
        return frame.producer, frame.first + position, short_repr(frame.entries[position], frame.decode)

    def _items(self) -> Iterator[Any]:
        while length_hint(self._cursor) or self._next_frame():
            decode = self._frame.decode if self._frame else None
            if decode is None:
                yield from self._cursor
            else:
                try:
                    yield from map(decode, self._cursor)
                except Exception as error:
                    self._blame_item(error)

    def _metered_items(self, credits: Credits) -> Iterator[Any]:
        self._pay(credits)  # for what an iterator before this one was given
        for item in self._items():
            self._owes_slot = True
            yield item
            del item  # a worker that waits holds nothing of the item before
            self._pay(credits)

    def _pay(self, credits: Credits) -> None:
        """The next item is asked for: give back the slot of the one before, whichever iterator it came from."""
        if self._owes_slot:
            self._owes_slot = False
            credits.give()

    def _next_frame(self) -> bool:
        """Take the next frame in hand; False at the end. Raises Cancelled."""
        if self.ended:
            return False
        self._settle()
        frame = self._receive()
        if frame is None:
            if self._cancel_flag[0] or not self._board.all_done(self._producers):
                self._cancel()
            self.ended = True
            return False
        self._frame = frame
        self._cursor = iter(frame.entries)
        self._row[Cell.RECEIVED] += len(frame.entries)
        self._row[Cell.FIRST] = frame.first
        self._delivered_at = self._row[Cell.MOVED] = time.monotonic_ns()
        self._blocked = self._outlet.blocked_ns if self._outlet else 0
        return True

    def _receive(self) -> Frame | None:
        if self.cancelled or self._cancel_flag[0]:
            self._cancel()
        try:
            with suppress(BlockingIOError):
                return self._receiver.receive(wait=False)
            return self._receive_waiting()
        except ItemFault as fault:
            self.fault = fault
            self._cancel()
        except Cancelled:
            self.cancelled = True
            raise

    def _receive_waiting(self) -> Frame | None:
        """Nothing is there: send what this worker holds, and wait."""
        held = self._outlet.before_wait() if self._outlet else False
        before = time.monotonic_ns()
        frame = self._receiver.receive(wait=True)
        self._row[Cell.STARVED] += time.monotonic_ns() - before
        if self._outlet:
            self._outlet.after_wait(held)
        return frame

    def _settle(self) -> None:
        """The frame in hand is finished: publish how many items of its kind take this consumer about 1 ms."""
        if self._frame is None:
            return
        blocked = (self._outlet.blocked_ns if self._outlet else 0) - self._blocked
        elapsed = time.monotonic_ns() - self._delivered_at - blocked
        self._service = next_service_ns(self._service, elapsed, len(self._frame.entries))
        self._hint[0] = next_hint(self._hint[0] or 1, self._service)
        self._row[Cell.FINISHED] = self._row[Cell.RECEIVED]
        self._frame = None  # a worker that waits holds nothing of the frame before: its slab can go back

    def _blame_item(self, error: Exception) -> NoReturn:
        hand = self._frame
        position = len(hand.entries) - length_hint(self._cursor) - 1 if hand else 0
        first, producer = (hand.first, hand.producer) if hand else (0, 0)
        self.fault = ItemFault(f"{type(error).__name__}: {error}", producer, first + position)
        self._cancel()

    def _cancel(self) -> NoReturn:
        self.cancelled = True
        raise Cancelled("the run was cancelled")

    def close(self) -> None:
        """Close this end."""
        self._receiver.close()


def short_repr(item: Any, decode: Callable[[Any], Any] | None = None) -> str:
    """A short text of an item, whatever its own `__repr__` does."""
    try:
        return reprlib.repr(decode(item) if decode else item)
    except Exception as error:  # it must not hide the failure that it is to describe
        return f"<its repr raised {type(error).__name__}>"
