"""How the items of a run pass to other threads: one thread sends them to channels, each of which has one receiver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ..errors import Cancelled
from ..transport.frames import Span
from ..transport.thread_channel import MemoryReceiver, MemorySender
from .run import Run

__all__ = ["items_received", "send_items"]


def send_items(run: Run[Any], senders: Sequence[MemorySender]) -> None:
    """Send each item of a run to all of these channels. If a channel has credits, take one before each item.

    A channel that is hung up gets no further items. Raises Cancelled when all of them are, and the errors of the run.
    """
    items = iter(run)
    left = list(senders)
    taken = 0
    while left:
        # After a hang-up there are credits enough, so that this thread does not wait for them.
        credits = [sender.credits for sender in left if sender.credits is not None]
        for each in credits:
            while not each.take():
                each.wait()
        found = list(islice(items, 1)) if credits else run.take_ready(items)
        if not found:
            return
        span = Span(taken, taken + len(found))
        taken += len(found)
        for sender in tuple(left):
            try:
                sender.send(found, False, span, None)
            except Cancelled:
                left.remove(sender)
        # No reference to an earlier item remains while this waits.
        del found
    raise Cancelled("the run was cancelled")


def items_received(receiver: MemoryReceiver) -> Iterator[Any]:
    """Yield the items of a channel. The credit of an item returns when the next one is requested."""
    while (frame := receiver.receive(wait=True)) is not None:
        entries = frame.entries
        # No reference to an earlier item remains while this waits.
        del frame
        if receiver.credits is None:
            yield from entries
        else:
            for entry in entries:
                yield entry
                del entry
                receiver.credits.give()
        del entries
