"""How the items of a run pass to other threads: one thread sends them to channels, each of which has one receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..errors import Cancelled
from ..transport.frames import Span
from ..transport.thread_channel import MemoryReceiver, MemorySender
from .run import Run

__all__ = ["items_received", "send_items"]


def send_items(run: Run[Any], senders: Sequence[MemorySender], is_cancelled: Callable[[], bool]) -> None:
    """Send each item of a run to all of these channels. If a channel has credits, take one before each item.

    Raises Cancelled if `is_cancelled` after a wait, and the errors of the run.
    """
    items = iter(run)
    credits = [sender.credits for sender in senders if sender.credits is not None]
    taken = 0
    while True:
        for each in credits:
            while not each.take():
                each.wait()
                if is_cancelled():
                    raise Cancelled("the run was cancelled")
        found = list(islice(items, 1)) if credits else run.take_ready(items)
        if not found:
            return
        span = Span(taken, taken + len(found))
        taken += len(found)
        for sender in senders:
            sender.send(found, False, span, None)
        # No reference to an earlier item remains while this waits.
        del found


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
