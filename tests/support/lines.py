"""The way of items from one worker to the next, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from chainpump.ipc.board import Board
from chainpump.transport.process_channel import PacketChannel
from chainpump.worker.input import Input
from chainpump.worker.output import Output


@contextmanager
def line(hint: int, in_flight: int | None) -> Iterator[tuple[Output, Input]]:
    """A worker's output, a channel, and the input of the worker after it."""
    board, channel = Board(2, 1, 2), PacketChannel(1, 1, in_flight)
    sender, receiver = channel.sender(0), channel.receiver()
    channel.started()
    sender.open()
    receiver.open()
    board.hint(0)[0] = hint
    output = Output(sender, board.row(0), board.hint(0), board.flag(0))
    worker_input = Input(receiver, board, 1, 1, [0], None)
    with ExitStack() as stack:
        for each in (board, channel, worker_input, output):
            stack.callback(each.close)
        yield output, worker_input
