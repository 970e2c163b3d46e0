"""The frames of a junction that a sending host keeps, so that it can send them again when another host dies.

    take ──► waiting ── send(host) ──► sent to a host ── passed(position) ──► dropped
                ▲                            │
                └──────── died(host) ────────┘

This is upstream backup: a frame is kept until the reorder buffer at the end of the section has passed all that became
of it. Until then its results may be lost with any host that they have reached, and are made again from this frame. What
arrives twice is dropped by the reorder buffer.

For the agent of a host, which has one for each junction whose frames it sends to other hosts.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from .frames import Span
from .order import normalized

__all__ = ["RETAINED_BYTES", "Retained"]

P = TypeVar("P")

# Bytes. Twice as much as may wait at a reorder buffer; each sending host has so much of each junction.
RETAINED_BYTES = 128 << 20


class _Kept(NamedTuple, Generic[P]):
    packet: P
    span: Span
    nbytes: int


class Retained(Generic[P]):
    """Frames that wait to be sent, and frames that were sent and have not passed. Packets may be any objects.

    Positions are those of `Order.next`: the reorder buffer has passed all that lies before. Later stages may divide a
    span or number the parts of its items; the positions of these parts lie within the span.

    host: the own one. Frames that stay on it are not kept, because what is kept here would be lost with them.
    nbytes, waiting_bytes: of all frames here, and of those that wait to be sent. If frames are only taken where there
    is room, and none contains parts of an item, `nbytes` exceeds the limit by at most two frames: a frame that is alone
    may be larger than the limit, and the frame that the reorder buffer waits for always has room, because all others
    wait for it.

    >>> retained = Retained[str](host=0, limit=100)
    >>> retained.take("a", Span(0, 5), 60)
    >>> retained.has_room(Span(5, 9), 60)
    False
    >>> retained.send(1), retained.died(1), retained.send(2)
    ('a', 1, 'a')
    >>> retained.passed((5,))
    >>> retained.nbytes, retained.has_room(Span(5, 9), 60)
    (0, True)
    """

    def __init__(self, host: int, limit: int = RETAINED_BYTES) -> None:
        self._host = host
        self._limit = limit
        self.nbytes = self.waiting_bytes = 0
        self._next: tuple[int, ...] = (0,)
        # Each frame has a unique number, so that frames are never compared.
        self._count = 0
        # A heap of the frames that wait, by position.
        self._waiting: list[tuple[tuple[int, ...], int, _Kept[P]]] = []
        # The frames that were sent, with the host to which, by number. And a heap of the positions behind them: it may
        # also have numbers of frames that are no longer among them.
        self._sent: dict[int, tuple[int, _Kept[P]]] = {}
        self._ends: list[tuple[tuple[int, ...], int]] = []

    @property
    def waiting(self) -> int:
        """The number of frames that wait to be sent."""
        return len(self._waiting)

    @property
    def position(self) -> tuple[int, ...]:
        """The reorder buffer has passed all that lies before."""
        return self._next

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self.nbytes >= self._limit

    def has_room(self, span: Span, nbytes: int) -> bool:
        """Whether to take a frame from its channel now. If not, ask again after `passed`, `send` and `died`.

        A frame that is not taken holds up all frames behind it in its channel. So only a channel whose frames come in
        the order of their numbers may wait, as at the first junction of a section. At a later junction the frame that
        all others wait for may be behind: take each frame, and where it `is_full`, let the origin number no more items.
        """
        if not self.nbytes or self.nbytes + nbytes <= self._limit:
            return True
        # One such frame at a time: the next one has room when this one was sent.
        return self._is_awaited(span) and not (self._waiting and self._is_awaited(self._waiting[0][2].span))

    def take(self, packet: P, span: Span, nbytes: int) -> None:
        """Keep a frame. It waits to be sent."""
        self.nbytes += nbytes
        self._count += 1
        self._wait(self._count, _Kept(packet, span, nbytes))

    def send(self, host: int) -> P:
        """The packet to send to this host: of those that wait, the first one in order."""
        _, number, kept = heappop(self._waiting)
        self.waiting_bytes -= kept.nbytes
        after = normalized(kept.span.after)
        # A frame that has passed while it waited is sent as well: its receiver was granted a frame.
        if host == self._host or after <= self._next:
            self.nbytes -= kept.nbytes
        else:
            self._sent[number] = host, kept
            heappush(self._ends, (after, number))
        return kept.packet

    def passed(self, position: tuple[int, ...]) -> None:
        """The reorder buffer has passed all that lies before this position. It may name an item alone.

        Frames that were sent and have passed are dropped.
        """
        self._next = max(self._next, normalized(position))
        while self._ends and self._ends[0][0] <= self._next:
            _, number = heappop(self._ends)
            if number in self._sent:
                _, kept = self._sent.pop(number)
                self.nbytes -= kept.nbytes

    def died(self, host: int) -> int:
        """The frames that were sent to this host wait again, before all later ones. Returns their number."""
        lost = {number: kept for number, (to, kept) in self._sent.items() if to == host}
        for number, kept in lost.items():
            del self._sent[number]
            self._wait(number, kept)
        return len(lost)

    def _wait(self, number: int, kept: _Kept[P]) -> None:
        self.waiting_bytes += kept.nbytes
        heappush(self._waiting, (normalized(kept.span.position), number, kept))

    def _is_awaited(self, span: Span) -> bool:
        """Whether the reorder buffer has passed all that lies before this span.

        If an item was named alone, parts of it may have passed. So all of its parts are awaited.
        """
        return span.position[: len(self._next)] <= self._next
