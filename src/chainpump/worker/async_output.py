"""The sending side of a worker with an event loop: it takes items while the loop runs.

If the loop runs in the thread of the worker, it makes an item and sends it: no other thread has a part in this. If the
loop belongs to the program, it must not wait for a channel. So it makes items ahead, which `MadeAhead` holds, and
the thread of the worker sends all of them together:

    event loop of the program:   item -> [made ahead]
    thread of the worker:                [made ahead] -> pending -> send
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..ipc.board import Cell
from ..ipc.wait_times import REFUSED
from ..pickling.sizes import SCALARS, STRINGS
from ..transport.flow import FRAME_BYTES
from ..transport.order import Piece
from .channel_errors import records_channel_errors
from .entries import SCALAR_BYTES
from .output import Output

__all__ = ["AsyncOutput", "MadeAhead"]


class MadeAhead(Protocol):
    """The items that an event loop has made, and may make, while the thread of the worker sends others."""

    @property
    def allowed(self) -> int:
        """The number of items that the loop may still make."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether `take` does not wait."""
        ...

    def allow(self, more: int) -> None:
        """Let the loop make so many more items."""
        ...

    def take(self) -> list[Any]:
        """Wait for items, and remove those that the loop has made. None are left at the end."""
        ...


class AsyncOutput(Output):
    """Takes the results of a worker with an event loop, and also those of its async generator."""

    # The bytes of the pending items that `_put` has added, and the number of items for their frame.
    _pending_bytes = 0
    _limit = 1
    # What the event loop makes, if it belongs to the program.
    _ahead: MadeAhead | None = None
    # What `attempt` could not send, and whether it consists of snapshots.
    _unsent: Sequence[tuple[Piece, bool]] = ()

    @property
    def shares_items(self) -> bool:
        """Whether the next worker gets the items themselves: an item that changes later need not be copied now."""
        probe: list[Any] = []
        return self._sender.admit(probe)[0] is probe

    def attempt(self, put: Callable[[], object]) -> bool:
        """Call a function that sends results, without any wait for room. Returns False if some have not been sent.

        They must be sent by `send_rest` before anything else is. No flusher may run meanwhile.
        """
        self._blocked, blocked = REFUSED, self._blocked
        try:
            put()
        finally:
            self._blocked = blocked
        return not self._unsent

    @records_channel_errors
    def send_rest(self) -> None:
        """Send what `attempt` could not send. Raises what `flush` raises."""
        unsent, self._unsent = self._unsent, ()
        with self._lock:
            for piece, snapshots in unsent:
                self._send(piece, snapshots, self._blocked)
            self._row[Cell.SENT] = self._row[Cell.NUMBERED] = self._sent

    def _send(self, piece: Piece, snapshots: bool, waits: AbstractContextManager[None]) -> None:
        if not self._unsent:
            try:
                super()._send(piece, snapshots, waits)
            except BlockingIOError:
                if waits is not REFUSED:
                    raise
            else:
                return
        self._unsent = (*self._unsent, (piece, snapshots))

    async def pump_async(self, items: AsyncIterable[Any]) -> None:
        """Send all items, in the thread of the worker. Raises what `pump` raises."""
        if self._bounds:
            await self._pump_bounded(items)
            return
        put = self._put
        async for item in items:
            put(item)
            # A generator that waits must not keep its previous item alive.
            del item

    async def _pump_bounded(self, items: AsyncIterable[Any]) -> None:
        """Do the same, with a credit for each item before it is made."""
        made = aiter(items)
        while True:
            self.take_credits()
            try:
                item = await anext(made)
            except StopAsyncIteration:
                self._return_credits()
                return
            self._holds_credits = False
            self._put(item)
            del item

    def _put(self, item: Any) -> None:
        """Do for one item what `pump` does."""
        kind = type(item)
        if kind in SCALARS and not self._snapshots:
            nbytes = SCALAR_BYTES
        elif kind in STRINGS and not self._snapshots:
            nbytes = len(item)
        elif not self._snapshots and (copied := self._copy(kind, item)) is not None:
            item, nbytes = copied, self._copied.weigh(copied) * self._sender.flush_bytes // FRAME_BYTES + 1
        else:
            item, nbytes = self._admit(item, kind)
        pending = self._pending
        pending.append(item)
        waiting = len(pending)
        # The flusher may have sent the earlier items.
        self._pending_bytes = nbytes if waiting == 1 else self._pending_bytes + nbytes
        if waiting == 1:
            self._limit = self.frame_items
        if waiting >= self._limit or self._pending_bytes >= self._sender.flush_bytes:
            self.flush()
        elif waiting == 1:
            self._first_pending()

    def _copy(self, kind: type, item: Any) -> Any:
        """A copy that does not change later, if there is a quick way to make one."""
        copy = self._sender.copies.get(kind)
        return copy(item) if copy is not None else None

    def pump_ahead(self, made: MadeAhead) -> None:
        """Send all items that an event loop makes meanwhile. Raises what `pump` raises."""
        self._ahead = made
        self.pump(self._as_they_come(made))

    def _as_they_come(self, made: MadeAhead) -> Iterator[Any]:
        """The items of the event loop, which makes as many ahead as fit into a frame."""
        while True:
            made.allow(max(0, self.frame_items - made.allowed))
            found = self._taken(made)
            if not found:
                return
            yield from found
            del found

    def _metered(self, items: Iterable[Any]) -> Iterator[Any]:
        return super()._metered(items) if self._ahead is None else self._metered_ahead(self._ahead)

    def _metered_ahead(self, made: MadeAhead) -> Iterator[Any]:
        """The items of the event loop. The credits are taken before: all that are free, and at least one."""
        while True:
            if not (made.allowed or made.is_ready):
                self.take_credits()
                self._holds_credits = False
                made.allow(1)
            free = 0
            while made.allowed + free < self._most_together and self._take_free():
                free += 1
            made.allow(free)
            found = self._taken(made)
            if not found:
                break
            yield from found
            del found
        for credits in self._bounds:
            for _unused in range(made.allowed):
                credits.put_back()

    def _take_free(self) -> bool:
        """Take one more credit, if there is one."""
        for position, credits in enumerate(self._bounds):
            if self._cancelled[0] or not credits.take():
                for taken in self._bounds[:position]:
                    taken.put_back()
                return False
        return True

    def _taken(self, made: MadeAhead) -> list[Any]:
        """The items that the event loop has made. The pending ones do not wait for further ones."""
        if not made.is_ready:
            self.flush()
        return made.take()
