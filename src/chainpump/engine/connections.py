"""What connects the workers of a run in one process: the board, a channel for each junction, and room for sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise

from ..ipc.board import Board, Cell
from ..ipc.checkpoint import Checkpoint
from ..lazy_dataclass import dataclass, field
from ..transport.allowance import Supply, SupplyRoom
from ..transport.channel import Channel
from ..transport.process_channel import PacketChannel
from ..transport.reorder_buffer import ReorderBuffer
from ..transport.room import Room, SendRoom
from ..transport.send_limit import Gates, Limit
from ..transport.thread_channel import MemoryChannel
from ..worker.endpoints import Endpoints
from ..worker.receipts import Receipts
from ..worker.turn import Turn
from .groups import Group, Section

__all__ = ["Connections", "Junction", "junctions_of"]


@dataclass(frozen=True, slots=True)
class Junction:
    """What the channel between two groups is like.

    sends_packets: items pass as bytes, because not all workers share an interpreter. renewable: workers may be started
    later. most_bytes: see `Bound`.
    """

    producers: int
    consumers: int
    in_flight: int | None
    renewable: bool
    sends_packets: bool
    most_bytes: int | None = field(default=None, kw_only=True)

    def channel(self) -> Channel:
        """Make the channel."""
        what = self.producers, self.consumers, self.in_flight, self.renewable
        return PacketChannel(*what, most_bytes=self.most_bytes) if self.sends_packets else MemoryChannel(*what)


def junctions_of(groups: Sequence[Group], sections: Sequence[Section]) -> list[Junction]:
    """The junctions of a run. If a section has room, that counts the items, and not the channel."""
    restoring = {section.end for section in sections if section.restores}
    return [
        Junction(
            left.workers,
            right.workers,
            None if end in restoring else right.in_flight,
            left.may_start_later or right.may_start_later,
            left.has_own_interpreter or right.has_own_interpreter,
            most_bytes=left.most_bytes,
        )
        for end, (left, right) in enumerate(pairwise(groups), start=1)
    ]


class Connections:
    """The board, the channels by junction, and the room of each section that restores the order.

    The process that makes them owns them; its workers get their ends.
    """

    def __init__(self, rows: int, junctions: Sequence[Junction], sections: Sequence[Section]) -> None:
        with ExitStack() as undo:
            self.board = Board(rows, len(junctions), len(junctions) + 1)
            undo.callback(self.board.close)
            self._rooms: list[tuple[Section, Room]] = []
            for section in sections:
                if section.make_room is not None:
                    room = section.make_room()
                    undo.callback(room.close)
                    room.begin(self.board)
                    self._rooms.append((section, room))
            self.channels: list[Channel] = []
            for junction in junctions:
                channel = junction.channel()
                undo.callback(channel.close)
                self.channels.append(channel)
            self._supply: SupplyRoom | None = None
            self._closing = undo.pop_all()

    def limited(self, group: int, row: int, first: int) -> Supply:
        """Let a stage of a durable run send its items up to a limit. Returns what moves it; the caller closes that.

        row: of the stage. first: the first limit.
        """
        self.board.row(row)[Cell.ALLOWED] = first
        self._supply = SupplyRoom(group, row)
        self._closing.callback(self._supply.close)
        return self._supply.supply(self.board)

    def endpoints(
        self,
        group: int,
        number: int,
        row: int,
        checkpoint: Checkpoint | None = None,
        turn: Turn | None = None,
        receipts: Receipts | None = None,
    ) -> Endpoints:
        """Make the ends of one worker. row: the board row of its last stage. The others: see `WorkerMaker.worker`."""
        receiver = self.channels[group - 1].receiver(checkpoint.dup() if checkpoint else None) if group else None
        sender = self.channels[group].sender(number) if group < len(self.channels) else None
        supply = self._supply
        allowance = supply.allowance() if supply is not None and supply.group == group else None
        return Endpoints(receiver, sender, self._send_room(row), self._reorder_buffer(group), turn, allowance, receipts)

    def _send_room(self, row: int) -> SendRoom | None:
        """The limit of what a worker may send, if a later group restores the order of its items."""
        rooms = (room.sending(row) for _, room in self._rooms)
        return next((room for room in rooms if room is not None), None)

    def _reorder_buffer(self, group: int) -> ReorderBuffer | None:
        """The reorder buffer of a group; None if the group does not restore order."""
        room = next((room for section, room in self._rooms if section.end == group), None)
        return ReorderBuffer(room.returning()) if room is not None else None

    def limits(self) -> Mapping[int, Limit]:
        """By the groups that restore order: what wakes workers here if the limit is moved on another machine."""
        return {section.end: room.returning() for section, room in self._rooms if isinstance(room, Gates)}

    def cancel(self, before: int) -> None:
        """Cancel the groups before this one, and wake their workers that wait. They do not wait again."""
        # Flags come first: a worker that wakes because its channel was hung up must find the reason.
        for group in range(before):
            self.board.flag(group)[0] = 1
        for channel in self.channels[:before]:
            channel.hang_up()
        for section, room in self._rooms:
            if section.origin < before:
                room.wake_all()
        if self._supply is not None and self._supply.group < before:
            self._supply.wake()

    def started(self) -> None:
        """Release what only the first workers needed, once they have started."""
        for channel in self.channels:
            channel.started()

    def close(self) -> None:
        """Release the channels, the room and the descriptor of the board. A second call does nothing."""
        self._closing.close()
