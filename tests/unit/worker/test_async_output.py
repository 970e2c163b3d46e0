"""The output of a worker with an event loop, which never waits for room in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import pytest

from chainpump.ipc.board import Board, Cell
from chainpump.transport.channel import Channel
from chainpump.transport.process_channel import PacketChannel
from chainpump.transport.thread_channel import MemoryChannel
from chainpump.worker.async_output import AsyncOutput


@pytest.mark.parametrize("kind", [MemoryChannel, PacketChannel])
def test_an_attempt_sends_what_has_room_and_send_rest_the_others_in_order(
    kind: Callable[[int, int, int | None], Channel], board: Board
) -> None:
    channel = kind(1, 1, None)
    with ExitStack() as stack:
        stack.callback(channel.close)
        sender, receiver = channel.sender(0), channel.receiver()
        channel.started()
        for end in (receiver, sender):
            end.open()
            stack.callback(end.close)
        output = AsyncOutput(sender, board.row(0), board.hint(0), board.flag(0))
        numbers = count()

        def put() -> None:
            for _ in range(3):
                output.extend([(next(numbers), b"x" * 50_000)])
                output.flush()

        while output.attempt(put):
            pass
        made = next(numbers)
        assert 0 < board.row(0)[Cell.SENT] < made
        pool = stack.enter_context(ThreadPoolExecutor(1))
        # A test that fails lets the thread go.
        stack.callback(channel.hang_up)
        sending = pool.submit(output.send_rest)
        received: list[int] = []
        while len(received) < made and (frame := receiver.receive(wait=True)) is not None:
            received += [number for number, _ in frame.entries]
        sending.result()
        assert received == list(range(made))
        assert board.row(0)[Cell.SENT] == made
        assert output.attempt(put)
