"""Sends the results of tasks: in the event loop as long as the channel has room, and by a thread if it is full.

A wake-up of a consumer, or of a thread, takes longer than many items. So results that finish within a millisecond are
sent together, unless they are enough for a frame. A single result does not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..transport.flow import FLUSH_BYTES
from ..worker.async_output import AsyncOutput
from .blocking_thread import BlockingThread
from .task_results import Part, TaskResults

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

__all__ = ["TaskSender"]

# Nanoseconds for which results wait for others.
GATHER_NS = 1_000_000
# If several results were sent together, those that come within this time wait for others, too.
MOST_SILENCE_NS = 10 * GATHER_NS
# Bytes. The thread pickles larger results, not the event loop.
MOST_BYTES = FLUSH_BYTES


class TaskSender:
    """Sends results. Only the event loop's thread uses it.

    output: None if the stage has no results. sent: is called when results have been sent, in the event loop. several:
    whether an item may have several results.
    """

    def __init__(
        self,
        output: AsyncOutput | None,
        results: TaskResults,
        sent: Callable[[Sequence[Part]], object],
        *,
        several: bool,
    ) -> None:
        import asyncio

        self._output = output
        self._results = results
        self._sent = sent
        self._several = several
        # The number of the item whose results are sent.
        self._number = 0
        # Set if the thread has a call, or if all items have been processed.
        self._news = asyncio.Event()
        self._is_at_end = False
        # The results that the thread sends now, and its call.
        self._sending: tuple[Sequence[Part], Future[None]] | None = None
        # Whether the thread had to wait for room the last time.
        self._was_full = False
        # From the first of these times on, in nanoseconds, a result is sent at once. The timer is due at the second.
        self._free_ns = self._due_ns = 0
        # So many finished items are enough for a frame.
        self._enough = 0
        # Sends the results that wait for others.
        self._timer: asyncio.TimerHandle | None = None
        self._thread: BlockingThread | None = None
        if output is not None:
            output.number_by(lambda: self._number)

    def send_if_due(self) -> None:
        """Send the results that are finished, if there are enough, or if nothing was sent for some time.

        If several were sent the last time, others are likely to follow the first one, which waits for them.
        """
        if self._sending is not None or not self._results.is_ready:
            return
        now = time.monotonic_ns()
        is_enough = self._results.finished >= self._enough
        if is_enough or (now >= self._due_ns if self._timer is not None else now >= self._free_ns):
            self._begin()
        elif self._timer is None:
            import asyncio

            self._due_ns = now + GATHER_NS
            self._timer = asyncio.get_running_loop().call_later(GATHER_NS / 1e9, self._end_gathering)

    def _end_gathering(self) -> None:
        self._timer = None
        if self._sending is None and self._results.is_ready:
            self._begin()

    def _begin(self) -> None:
        """Send what is finished, as far as there is room. The thread does the rest, for which `run` waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        parts = self._results.take()
        is_single = len(parts) == 1 and len(parts[0].finished) < 2
        self._free_ns = time.monotonic_ns() + (GATHER_NS if is_single else MOST_SILENCE_NS)
        try:
            call = self._call(parts)
        except BaseException as error:
            # It is a failure of the stage, and not of the item whose task sends the results.
            call = _failed(error)
        if call is None:
            self._sent(parts)
        else:
            self._sending = parts, call
            self._news.set()

    def _call(self, parts: Sequence[Part]) -> Future[None] | None:
        """The call of the thread. None if all parts have been sent."""
        output = self._output
        if output is None:
            return None
        self._enough = self._results.finished + (1 if output.is_bounded else output.frame_items)
        if output.is_bounded or self._was_full or sum(part.nbytes for part in parts) > MOST_BYTES:
            return self._call_thread(self._put_all, output, parts)
        if output.attempt(partial(self._put_all, output, parts)):
            return None
        return self._call_thread(output.send_rest)

    def _call_thread(self, function: Callable[..., None], *args: Any) -> Future[None]:
        if self._thread is None:
            self._thread = BlockingThread("chainpump sender")
        return self._thread.begin(function, *args)

    async def run(self) -> None:
        """Wait for the calls of the thread, until all results have been sent. Raises the failures to send."""
        import asyncio

        while True:
            while self._sending is not None:
                parts, call = self._sending
                blocked_ns = self._output.blocked_ns if self._output is not None else 0
                await asyncio.wrap_future(call)
                self._was_full = self._output is not None and self._output.blocked_ns != blocked_ns
                self._sending = None
                self._sent(parts)
                # No reference to the results remains while this waits.
                del parts, call
                self.send_if_due()
            if not self._is_at_end:
                self._news.clear()
                await self._news.wait()
            elif self._results.is_ready:
                self._begin()
            else:
                return

    def finish(self) -> None:
        """All items have been processed: `run` sends the results that are left, and returns."""
        self._is_at_end = True
        self._news.set()

    def end(self) -> None:
        """Send nothing more. If the thread waits for the channel, it wakes when the run is cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.end()

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.end()
            self._thread.join()

    def _put_all(self, output: AsyncOutput, parts: Sequence[Part]) -> None:
        for part in parts:
            self._put(output, part)

    def _put(self, output: AsyncOutput, part: Part) -> None:
        if part.opens:
            output.open_span(part.span, distinct=False)
        if output.is_bounded:
            # Each result needs a credit.
            output.pump(self._numbered(part.finished))
        else:
            self._extend(output, part.finished)
        if part.stop is not None:
            output.close_span(part.stop)
        elif part.finished:
            output.flush_below(part.finished[-1][0] + 1)

    def _extend(self, output: AsyncOutput, finished: Sequence[tuple[int, Sequence[Any]]]) -> None:
        for begin, stop in _portions(finished, output.frame_items):
            _add(output, finished[begin:stop])
            if self._several:
                output.flush_full()
            if stop < len(finished):
                output.flush_below(finished[stop][0])

    def _numbered(self, finished: Sequence[tuple[int, Sequence[Any]]]) -> Iterator[Any]:
        for self._number, results in finished:
            yield from results


def _add(output: AsyncOutput, finished: Sequence[tuple[int, Sequence[Any]]]) -> None:
    """Add results, with the number of their item for each."""
    numbers = [number for number, results in finished for _ in results]
    output.extend([result for _, results in finished for result in results], lambda _: numbers)


def _portions(finished: Sequence[tuple[int, Sequence[Any]]], most: int) -> Iterator[tuple[int, int]]:
    """Divide these items into portions of about so many. Items with the same number are in one portion."""
    begin = 0
    while begin < len(finished):
        stop = min(begin + most, len(finished))
        while stop < len(finished) and finished[stop][0] == finished[stop - 1][0]:
            stop += 1
        yield begin, stop
        begin = stop


def _failed(error: BaseException) -> Future[None]:
    from concurrent.futures import Future

    call: Future[None] = Future()
    call.set_exception(error)
    return call
