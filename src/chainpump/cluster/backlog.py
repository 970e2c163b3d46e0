"""Frames that wait to leave a host, and, in a junction that is replayed, those that may have to leave it again.

A junction that is not replayed costs nothing more: its frames are sent in their order and forgotten.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ..transport.raw_ends import RawFrame
from ..transport.retained import Retained
from .route import Replayed, Route

__all__ = ["Backlog", "Forgetting", "Keeping", "backlog"]

# Bytes that a kept frame takes beside its contents: many frames of a few bytes take memory as well.
FRAME_OVERHEAD = 1024


class Backlog(Protocol):
    """The frames of one junction that wait to be sent from this host. Not for several threads at once."""

    @property
    def waiting(self) -> int:
        """The number of frames that wait."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """The bytes of their contents, or a little more."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the origin of the items must number no more of them for now."""
        ...

    @property
    def may_end(self) -> bool:
        """Whether no frame will have to be sent again, if none is taken any more."""
        ...

    def prepared(self, frame: RawFrame) -> RawFrame:
        """A frame as it is taken. From any thread."""
        ...

    def has_room(self, frame: RawFrame) -> bool:
        """Whether to take a frame now. If not, ask again after `look` and `send` and `died`."""
        ...

    def take(self, frame: RawFrame) -> None:
        """Let a frame wait."""
        ...

    def send(self, host: int) -> RawFrame:
        """The frame to send to this host."""
        ...

    def look(self) -> None:
        """The reorder buffer may have passed more items."""
        ...

    def died(self, host: int) -> int:
        """The frames that were sent to this host wait again, so far as they are needed. Returns their number."""
        ...

    def drop(self) -> list[RawFrame]:
        """Keep nothing more. Returns what has waited."""
        ...


def backlog(route: Route, host: int, limit: int) -> Backlog:
    """The backlog of a junction on a host. limit: bytes that it may keep."""
    replayed = route.replayed
    # The end of the first junction waits until all has passed, so what was sent there may as well be kept until then.
    if replayed is None or not (replayed.keeps or replayed.is_first):
        return Forgetting()
    return Keeping(replayed, host, limit, copies={*route.right_hosts} != {host})


class Forgetting:
    """A frame is forgotten once it is sent."""

    is_full = False
    may_end = True

    def __init__(self) -> None:
        self._frames: deque[RawFrame] = deque()
        self.waiting_bytes = 0

    @property
    def waiting(self) -> int:
        """The number of frames that wait."""
        return len(self._frames)

    def prepared(self, frame: RawFrame) -> RawFrame:
        """The same frame, with its slab."""
        return frame

    def has_room(self, frame: RawFrame) -> bool:
        """Always."""
        return True

    def take(self, frame: RawFrame) -> None:
        """Let a frame wait."""
        self.waiting_bytes += len(frame.contents)
        self._frames.append(frame)

    def send(self, host: int) -> RawFrame:
        """The oldest frame that waits."""
        frame = self._frames.popleft()
        self.waiting_bytes -= len(frame.contents)
        return frame

    def look(self) -> None:
        """Do nothing: nothing is kept."""

    def died(self, host: int) -> int:
        """Nothing can be sent again."""
        return 0

    def drop(self) -> list[RawFrame]:
        """Keep nothing more. Returns what has waited."""
        dropped, self._frames, self.waiting_bytes = list(self._frames), deque(), 0
        return dropped


class Keeping:
    """A frame is kept until the reorder buffer has passed all that became of it.

    Where the frames come in the order of their numbers, as from the origin, no frame is taken above the limit, so there
    the host keeps a bounded number of bytes. Elsewhere all frames are taken: the one that all others wait for may come
    last. A host that `is_full` there lets the origin be held instead. That cannot be for ever: what is kept at a later
    junction has left the first one, so all of it passes without a further item of the origin, and is then dropped.

    copies: whether frames may go to other hosts. Their slabs are returned at once, because a producer has few of them.
    """

    def __init__(self, replayed: Replayed, host: int, limit: int, copies: bool) -> None:
        self._replayed = replayed
        self._copies = copies
        self._host = host
        self._limit = limit
        self._retained = Retained[RawFrame](host, limit)
        # Behind all items that were taken.
        self._after: tuple[int, ...] = (0,)

    @property
    def waiting(self) -> int:
        """The number of frames that wait."""
        return self._retained.waiting

    @property
    def waiting_bytes(self) -> int:
        """The bytes of their contents, and a little more."""
        return self._retained.waiting_bytes

    @property
    def nbytes(self) -> int:
        """The bytes of all frames here."""
        return self._retained.nbytes

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached although no frame could be refused."""
        return not self._replayed.in_order and self._retained.is_full

    @property
    def may_end(self) -> bool:
        """Whether all that was taken has passed. That is so behind the first junction, which has ended before."""
        return not self._replayed.is_first or self._after <= self._retained.position

    def prepared(self, frame: RawFrame) -> RawFrame:
        """The frame without a slab, if it may go to another host."""
        return frame.copied() if self._copies else frame

    def has_room(self, frame: RawFrame) -> bool:
        """Whether the limit allows it, where frames come in order."""
        return not self._replayed.in_order or self._retained.has_room(frame.span, _nbytes(frame))

    def take(self, frame: RawFrame) -> None:
        """Keep a frame."""
        span = frame.span
        self._after = max(self._after, span.after)
        self._retained.take(frame, span, _nbytes(frame))

    def send(self, host: int) -> RawFrame:
        """Of the frames that wait, the first one in order."""
        return self._retained.send(host)

    def look(self) -> None:
        """Drop what has passed."""
        self._retained.passed((self._replayed.passed(),))

    def died(self, host: int) -> int:
        """What was sent to this host and has not passed waits again. Returns the number of these frames."""
        self.look()
        return self._retained.died(host)

    def drop(self) -> list[RawFrame]:
        """Keep nothing more. Returns what has waited."""
        dropped = [self._retained.send(self._host) for _ in range(self.waiting)]
        self._retained = Retained(self._host, self._limit)
        return dropped


def _nbytes(frame: RawFrame) -> int:
    return len(frame.contents) + FRAME_OVERHEAD
