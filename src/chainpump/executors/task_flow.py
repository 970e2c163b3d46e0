"""The items of one element-wise stage in an event loop: each item is received, processed by a task, and sent.

    reader thread     channel -> frames ------> [event loop: n items at once, each in a task]
    sender thread     channel <- results <----- [...........................................]

The event loop never blocks: one of the two threads makes each call that waits for a channel.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from ..pickling.sizes import Weigher
from ..plan.batches import Part as PartOfBatch
from ..plan.batches import parts_of
from ..plan.operators import Operator
from ..transport.flow import FIRST_ITEMS, MAX_HINT, MAX_WINDOW
from ..worker.operator_run import Left, OperatorRun
from ..worker.outcome import Failed
from ..worker.output import Output
from ..worker.worker import Worker
from .blocking_thread import BlockingThread
from .task_pool import TaskPool
from .task_results import AsTheyCome, FrameResults, InOrder, Part, TaskResults
from .task_room import TaskRoom
from .task_timeouts import CallTimeout, TaskLimits

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

__all__ = ["Fatal", "Flow"]

F = TypeVar("F")

# Nanoseconds for which results wait for others that finish in the same iterations of the event loop.
GATHER_NS = 1_000_000


class _Item(NamedTuple):
    """An item of a frame, by its position."""

    of: FrameResults
    position: int

    @property
    def item_index(self) -> int:
        """Its number at the origin."""
        return self.of.frame.item_index(self.position)


class Flow:
    """Runs the items of one element-wise stage: receives each, processes it in a task, and sends its results.

    has_own_loop: whether the event loop has no other work, so that only a call of this stage can block it.
    """

    def __init__(self, worker: Worker, stage: OperatorRun, max_tasks: int, *, has_own_loop: bool) -> None:
        import asyncio

        assert worker.input is not None
        self._input = worker.input
        self._output = worker.output
        self._worker = worker
        self._stage = stage
        # Results that finish out of order wait for the first of them. Only these may be many. Without order, or when
        # credits bound the items in flight, results wait only for a slow consumer.
        is_bounded = self._input.is_metered or (self._output is not None and self._output.is_bounded)
        in_order = stage.operator.ordered or worker.is_restored
        most = 2 * max_tasks if is_bounded else max(2 * max_tasks, FIRST_ITEMS)
        self._room = TaskRoom(2 * max_tasks, MAX_WINDOW if in_order and not is_bounded else most)
        self._results: TaskResults = InOrder() if in_order else AsTheyCome()
        self._pool = TaskPool[_Item](
            max_tasks, self._take, self._has_items, self._process, lambda item: item.item_index, stage.row
        )
        self._weigher = Weigher()
        self._has_own_loop = has_own_loop
        self._limits: TaskLimits | None = None
        self._is_failing = False
        self._parent: asyncio.Task[Any] | None = None
        # The frame whose items start now, an iterator that gives its items and their credits, and the next position.
        self._frame: FrameResults | None = None
        self._entries: Iterator[Any] = iter(())
        self._position = 0
        # The number of the item whose results are sent.
        self._number = 0
        # Set if there are results to send, or if all have been sent.
        self._news = asyncio.Event()
        self._is_at_end = False
        # The results that the sender sends now, and its call. The time of the latest call is in nanoseconds.
        self._sending: tuple[Sequence[Part], Future[None]] | None = None
        self._sent_ns = 0
        self._sender: BlockingThread
        self._threads: list[BlockingThread] = []
        if self._output is not None:
            self._output.number_by(lambda: self._number)

    async def run(self) -> None:
        """Process all items. Raises Cancelled, and what the function raises."""
        import asyncio

        self._parent = asyncio.current_task()
        timeout = self._stage.operator.timeout
        failure: BaseException | None = None
        try:
            if timeout is not None:
                on_blocked = self._fail_blocked_loop if self._has_own_loop else None
                self._limits = TaskLimits(timeout, self._is_cancelled, on_blocked)
            reader, self._sender = (self._start_thread(name) for name in ("chainpump reader", "chainpump sender"))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._noting_failure(self._read(group, reader)))
                group.create_task(self._noting_failure(self._send()))
        except BaseExceptionGroup as failed:
            failure = _error_to_report(failed)
        finally:
            if self._limits is not None:
                self._limits.close()
            # A thread that waits for a channel wakes when the run is cancelled, because that closes the worker's
            # endpoint.
            for thread in self._threads:
                thread.end()
        if failure is not None:
            # It is raised outside the `except` block, so it keeps the exceptions that led to it.
            try:
                raise failure
            finally:
                # Its traceback holds this frame.
                del failure

    def _is_cancelled(self) -> bool:
        return self._parent is not None and bool(self._parent.cancelling())

    def _fail_blocked_loop(self, current: tuple[int, int, Any], stack: str) -> None:
        """Fail the run: a call blocks the event loop. No thread can end the call, so the policy is not applied."""
        self._worker.report.once(Failed(self._stage.too_late(stack, current)))

    def _start_thread(self, name: str) -> BlockingThread:
        """Start a thread. It is recorded at once, because starting the next one may fail."""
        thread = BlockingThread(name)
        self._threads.append(thread)
        return thread

    def join(self) -> None:
        """Wait for the threads, after the tasks have ended, or have been left behind in their event loop."""
        for thread in self._threads:
            thread.end()
            thread.join()

    async def _noting_failure(self, work: Coroutine[Any, Any, None]) -> None:
        """Record a failure: it cancels the tasks of the items. After it, a cancellation is not the function's own."""
        try:
            await work
        except BaseException:
            self._is_failing = True
            raise

    async def _read(self, group: asyncio.TaskGroup, reader: BlockingThread) -> None:
        frames = self._input.frames()
        while (received := await self._next_of(frames, reader)) is not None:
            frame, self._entries = received
            self._frame, self._position = self._results.begin(frame), 0
            if not frame.entries:
                # Its span is sent.
                self._news.set()
            await self._pool.start_all(group)
            self._frame = None
            # Reading the next item returns a credit. So it is read only when a task for it can start.
            if self._input.is_metered and frame.entries:
                await self._pool.has_free()
                self._input.return_one_credit()
            # No reference to the items remains while this waits.
            del received, frame
        await self._pool.all_ended()
        self._is_at_end = True
        self._news.set()

    async def _next_of(self, frames: Iterator[F], reader: BlockingThread) -> F | None:
        """The next frame; None at the end. If it is here already, the thread is not needed, which would take longer."""
        return next(frames, None) if self._input.receive_now() else await reader.call(next, frames, None)

    def _has_items(self) -> bool:
        """Whether the current frame has items that have not started."""
        return self._frame is not None and self._position < len(self._frame.results)

    def _take(self) -> _Item | None:
        """The next item of the current frame; None if there is no more, or no room for its results."""
        if self._frame is None or self._position == len(self._frame.results) or not self._room.is_free:
            return None
        if self._input.is_metered:
            if self._position:
                self._input.return_one_credit()
            next(self._entries)
        self._room.enter()
        self._position += 1
        return _Item(self._frame, self._position - 1)

    def tasks(self) -> Iterator[tuple[str, str]]:
        """The items in progress, the oldest first, and where each of them waits. Any thread may call this."""
        return self._pool.tasks()

    async def _process(self, item: _Item) -> None:
        of, position = item
        entry = of.frame.entries[position]
        results = await self._call_with_policy(item, (of.frame.span.origin, item.item_index, entry))
        nbytes = self._weigher.weigh(results) if results else 0
        self._room.weigh(nbytes)
        self._results.add(of, position, (results, nbytes))
        if self._results.is_ready:
            # The first result for some time does not wait for the event loop, which the next call may keep for long.
            if self._sending is None and time.monotonic_ns() - self._sent_ns >= GATHER_NS:
                self._begin_sending()
            self._news.set()

    async def _call_with_policy(
        self, item: _Item, current: tuple[int, int, Any], part: tuple[int, PartOfBatch] | None = None
    ) -> Sequence[Any]:
        """Return the results of an item. If the function raises, the policy decides.

        part: the position and the part of a batch that is split, in place of the item.
        """
        import asyncio

        position, argument = (None, current[2]) if part is None else (part[0], part[1].alone)
        tries = 0
        while True:
            tries += 1
            call = _call_function(self._stage.operator, argument, self._stage.check)
            try:
                return await (call if self._limits is None else self._limits.within(call, current))
            except BaseException as error:
                left = self._settle(error, tries, current, item, position)
            if left is Left.SPLIT:
                return await self._call_parts(item, current)
            if isinstance(left, Left):
                return ()
            await asyncio.sleep(left)

    async def _call_parts(self, item: _Item, current: tuple[int, int, Any]) -> Sequence[Any]:
        """Call the function for each item of a batch alone. Returns one batch of the results, as `OperatorRun` does."""
        origin, index, batch = current
        results: list[Any] = []
        for part in enumerate(parts_of(batch) or ()):
            results += await self._call_with_policy(item, (origin, index, part[1].item), part)
        return tuple(self._stage.operator.rejoined(results))

    def _settle(
        self, error: BaseException, tries: int, current: tuple[int, int, Any], item: _Item, position: int | None
    ) -> float | Left:
        """Apply the policy by `OperatorRun.settle`, and return its result.

        Raises CancelledError if the stage has already failed or is cancelled: later failures are not reported.
        """
        import asyncio

        if self._is_failing or self._is_cancelled():
            raise asyncio.CancelledError from error
        try:
            failure = None
            if isinstance(error, CallTimeout):
                failure = self._stage.too_late(error.stack, current)
                error = failure.error(failure)
            part = item.of.frame.part(item.position)
            cause = cast("Exception", error)
            return self._stage.settle(cause, tries, current, failure, part=part, position=position)
        except BaseException as failed:
            self._is_failing = True
            if not isinstance(failed, Exception):
                raise Fatal(failed) from None
            raise

    def _begin_sending(self) -> tuple[Sequence[Part], Future[None]]:
        parts = self._results.take()
        self._sent_ns = time.monotonic_ns()
        self._sending = parts, self._sender.begin(self._put_all, parts)
        return self._sending

    async def _send(self) -> None:
        import asyncio

        while await self._has_results():
            parts, call = self._sending or self._begin_sending()
            await asyncio.wrap_future(call)
            self._sending = None
            for part in parts:
                self._room.leave(len(part.finished), part.nbytes)
            self._pool.wake()
            # No reference to the results remains while this waits.
            del parts, call

    async def _has_results(self) -> bool:
        """Wait for results to send; False at the end. One call of the thread for each would take longer than sending.

        So this waits for as many iterations of the event loop as finish further items.
        """
        import asyncio

        results = self._results
        while self._sending is None and not results.is_ready:
            if self._is_at_end:
                return False
            self._news.clear()
            await self._news.wait()
        seen, until, most = -1, time.monotonic_ns() + GATHER_NS, results.finished + MAX_HINT
        while self._sending is None and seen < results.finished < most and time.monotonic_ns() < until:
            seen = results.finished
            await asyncio.sleep(0)
        return True

    def _put_all(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if self._output is not None:
                self._put(self._output, part)

    def _put(self, output: Output, part: Part) -> None:
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

    def _extend(self, output: Output, finished: Sequence[tuple[int, Sequence[Any]]]) -> None:
        for begin, stop in _portions(finished, output.frame_items):
            _add(output, finished[begin:stop])
            if self._stage.operator.several:
                output.flush_full()
            if stop < len(finished):
                output.flush_below(finished[stop][0])

    def _numbered(self, finished: Sequence[tuple[int, Sequence[Any]]]) -> Iterator[Any]:
        for self._number, results in finished:
            yield from results


class Fatal(Exception):
    """Carries a BaseException through the event loop, which would otherwise stop, or treat it as a cancellation."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


async def _call_function(
    operator: Operator[Any, Any], item: Any, check: Callable[[Sequence[Any]], None] | None
) -> Sequence[Any]:
    """Return all results of one item, also of an async generator. check: raises if the results cannot be sent."""
    value = operator.function(item)
    value = [each async for each in value] if isinstance(value, AsyncIterable) else await value
    results = tuple(operator.made(item, value))
    if check is not None:
        check(results)
    return results


def _add(output: Output, finished: Sequence[tuple[int, Sequence[Any]]]) -> None:
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


def _error_to_report(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception to report: a failure before a cancellation. A nested group was raised by the function itself."""
    return next((each for each in failed.exceptions if isinstance(each, Exception)), failed.exceptions[0])
