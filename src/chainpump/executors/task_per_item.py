"""The items of one element-wise stage as asyncio tasks: each item is received, processed by a task, and sent.

    reader thread     channel -> frames ------------> [event loop: one task per item, n at once]
    sender thread     channel <- results, in order <- [................................]

The event loop never blocks: one of the two threads makes each call that waits for a channel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..ipc.board import Cell
from ..pickling.sizes import Weigher
from ..plan.operators import Operator
from ..transport.flow import FIRST_ITEMS, MAX_WINDOW
from ..transport.frames import Frame, Span
from ..worker.operator_run import OperatorRun
from ..worker.outcome import Failed
from ..worker.worker import Worker
from .task_room import TaskRoom
from .task_timeouts import CallTimeout, TaskLimits, task_stack

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    # The results of an item, and their bytes.
    Results: TypeAlias = tuple[Sequence[Any], int]
    # A part of a span: the span, the numbers and tasks of its items, and the end of the span if this is its last part.
    SpanPart: TypeAlias = tuple[Span, list[tuple[int, asyncio.Task[Results]]], int | None]

__all__ = ["Fatal", "Flow"]

# The most tasks that a report lists. If there are more, the others usually wait at the same lines.
MOST_REPORTED = 20


class Flow:
    """Runs the items of one element-wise stage: receives each, processes it in a task, and sends its results."""

    def __init__(self, worker: Worker, stage: OperatorRun, max_tasks: int) -> None:
        import asyncio

        assert worker.input is not None
        self._input = worker.input
        self._output = worker.output
        self._worker = worker
        self._stage = stage
        self._max_tasks = max_tasks
        self._free_tasks = asyncio.Semaphore(max_tasks)
        # Results that finish out of order wait for the first of them. Only these may be many. Without order, or when
        # credits bound the items in flight, results wait only for a slow consumer.
        is_bounded = self._input.is_metered or (self._output is not None and self._output.is_bounded)
        may_pile_up = stage.operator.ordered and not is_bounded
        most = 2 * max_tasks if is_bounded else max(2 * max_tasks, FIRST_ITEMS)
        self._room = TaskRoom(2 * max_tasks, MAX_WINDOW if may_pile_up else most)
        self._weigher = Weigher()
        self._limits: TaskLimits | None = None
        self._is_failing = False
        self._parent: asyncio.Task[Any] | None = None
        # The parts to send, in this order; None at the end. `_room` bounds their size.
        self._send_queue: asyncio.Queue[SpanPart | None] = asyncio.Queue()
        # The span that was sent last.
        self._span: Span | None = None
        self._number = 0
        self._threads: list[_BlockingThread] = []
        # The item of each task, and its start time in nanoseconds. The event loop's thread writes it. Any thread may
        # copy it.
        self._current: dict[asyncio.Task[Any], tuple[int, int]] = {}
        if self._output is not None:
            self._output.number_by(lambda: self._number)

    async def run(self) -> None:
        """Process all items. Raises Cancelled, and what the function raises."""
        import asyncio

        self._parent = asyncio.current_task()
        timeout = self._stage.operator.timeout
        try:
            if timeout is not None:
                self._limits = TaskLimits(timeout, self._is_cancelled, self._fail_blocked_loop)
            reader, sender = (self._start_thread(name) for name in ("chainpump reader", "chainpump sender"))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._noting_failure(self._read(group, reader)))
                group.create_task(self._noting_failure(self._send(sender)))
        except BaseExceptionGroup as failed:
            raise _error_to_report(failed) from None
        finally:
            if self._limits is not None:
                self._limits.close()
            # A thread that waits for a channel wakes when the run is cancelled, because that closes the worker's
            # endpoint.
            for thread in self._threads:
                thread.end()

    def _is_cancelled(self) -> bool:
        return self._parent is not None and bool(self._parent.cancelling())

    def _fail_blocked_loop(self, current: tuple[int, int, Any], stack: str) -> None:
        """Fail the run: a call blocks the event loop. No thread can end the call, so the policy is not applied."""
        self._worker.report.once(Failed(self._stage.too_late(stack, current)))

    def _start_thread(self, name: str) -> _BlockingThread:
        """Start a thread. It is recorded at once, because starting the next one may fail."""
        thread = _BlockingThread(name)
        self._threads.append(thread)
        return thread

    def join(self) -> None:
        """Wait for the threads, after the tasks have ended."""
        for thread in self._threads:
            thread.join()

    async def _noting_failure(self, work: Coroutine[Any, Any, None]) -> None:
        """Record a failure: it cancels the tasks of the items. After it, a cancellation is not the function's own."""
        try:
            await work
        except BaseException:
            self._is_failing = True
            raise

    async def _read(self, group: asyncio.TaskGroup, reader: _BlockingThread) -> None:
        start = self._start_in_order if self._stage.operator.ordered else self._start_each
        frames = self._frames()
        while (received := await reader.call(next, frames, None)) is not None:
            await start(group, *received)
            # Reading the next item returns a credit. So it is read only when a task for it can start.
            if self._input.is_metered:
                async with self._free_tasks:
                    pass
        # All tasks have ended when all permits are free.
        for _ in range(self._max_tasks):
            await self._free_tasks.acquire()
        self._send_queue.put_nowait(None)

    def _frames(self) -> Iterator[tuple[Frame, range]]:
        """Yield each frame with the positions to start. An item that returns a credit is yielded alone."""
        worker_input = self._input
        for frame, items in worker_input.frames():
            if not (worker_input.is_metered and frame.entries):
                yield frame, range(len(frame.entries))
                continue
            for position, _ in enumerate(items):
                yield frame, range(position, position + 1)
                worker_input.return_one_credit()

    async def _start_in_order(self, group: asyncio.TaskGroup, frame: Frame, positions: range) -> None:
        tasks: list[tuple[int, asyncio.Task[Results]]] = []
        span = frame.span
        for position in positions:
            tasks.append((frame.number(position), await self._start_task(group, frame, position)))
            # A part holds no more items than run at once, so that a large frame does not delay its first results.
            if len(tasks) == self._max_tasks:
                self._send_queue.put_nowait((span, tasks, None))
                tasks = []
        is_last = positions.stop == len(frame.entries)
        self._send_queue.put_nowait((span, tasks, span.stop if is_last else None))

    async def _start_each(self, group: asyncio.TaskGroup, frame: Frame, positions: range) -> None:
        for position in positions:
            number = frame.number(position)
            task = await self._start_task(group, frame, position)
            alone = frame.span._replace(start=number, stop=number + 1, last=False)
            task.add_done_callback(partial(self._send_alone, alone))

    def _send_alone(self, span: Span, task: asyncio.Task[Results]) -> None:
        self._send_queue.put_nowait((span, [(span.start, task)], span.stop))

    async def _start_task(self, group: asyncio.TaskGroup, frame: Frame, position: int) -> asyncio.Task[Results]:
        """Start the task of one item, as soon as there is room for it."""
        await self._room.enter()
        await self._free_tasks.acquire()
        item = frame.entries[position]
        task = group.create_task(self._results(item, (frame.span.origin, frame.item_index(position), item)))
        task.add_done_callback(self._on_task_end)
        self._current[task] = (frame.item_index(position), self._record_change(+1))
        return task

    def _on_task_end(self, task: asyncio.Task[Any]) -> None:
        del self._current[task]
        self._free_tasks.release()
        self._record_change(-1)

    def _record_change(self, change: int) -> int:
        """Update the number of current items on the board. Returns the time of the change."""
        row, now = self._stage.row, time.monotonic_ns()
        row[Cell.OCCUPIED] += row[Cell.AT_ONCE] * (now - row[Cell.SINCE])
        row[Cell.AT_ONCE] += change
        row[Cell.SINCE] = now
        return now

    def tasks(self) -> Iterator[tuple[str, str]]:
        """The items in progress, the oldest first, and where each of them waits. Any thread may call this."""
        now, found = time.monotonic_ns(), list(self._current.copy().items())
        for task, (index, since) in found[:MOST_REPORTED]:
            yield f"in item {index} for {(now - since) / 1e9:.3g} s", task_stack(task)

    async def _results(self, item: Any, current: tuple[int, int, Any]) -> Results:
        results = await self._call_with_policy(item, current)
        nbytes = self._weigher.weigh(results) if results else 0
        self._room.weigh(nbytes)
        return results, nbytes

    async def _call_with_policy(self, item: Any, current: tuple[int, int, Any]) -> Sequence[Any]:
        """Return the results of an item. If the function raises, the policy decides."""
        import asyncio

        tries = 0
        while True:
            tries += 1
            call = _call_function(self._stage.operator, item, self._stage.check)
            try:
                return await (call if self._limits is None else self._limits.within(call, current))
            except BaseException as error:
                pause = self._settle(error, tries, current)
            if pause is None:
                return ()
            await asyncio.sleep(pause)

    def _settle(self, error: BaseException, tries: int, current: tuple[int, int, Any]) -> float | None:
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
            pause = self._stage.settle(cast("Exception", error), tries, current, failure)
        except BaseException as failed:
            self._is_failing = True
            if not isinstance(failed, Exception):
                raise Fatal(failed) from None
            raise
        return pause

    async def _send(self, sender: _BlockingThread) -> None:
        send = self._send_in_order if self._stage.operator.ordered else self._send_finished
        while (part := await self._send_queue.get()) is not None:
            await send(sender, part)

    async def _send_in_order(self, sender: _BlockingThread, part: SpanPart) -> None:
        span, tasks, stop = part
        if span is not self._span and self._output is not None:
            self._span = span
            self._output.open_span(span, distinct=False)
        finished: list[tuple[int, Sequence[Any]]] = []
        nbytes = 0
        for number, task in tasks:
            if finished and not task.done():
                await sender.call(self._put, finished, None)
                self._room.leave(len(finished), nbytes)
                finished, nbytes = [], 0
            results, result_bytes = await task
            finished.append((number, results))
            nbytes += result_bytes
        await sender.call(self._put, finished, stop)
        self._room.leave(len(finished), nbytes)

    async def _send_finished(self, sender: _BlockingThread, part: SpanPart) -> None:
        """Send this part and the others that have finished.

        One call of the thread for each would cost more than the sending.
        """
        parts = [part]
        while not self._send_queue.empty():
            more = self._send_queue.get_nowait()
            # The end mark is put back, because the caller must read it.
            if more is None:
                self._send_queue.put_nowait(None)
                break
            parts.append(more)
        finished = [(span, number, *task.result()) for span, tasks, _ in parts for number, task in tasks]
        await sender.call(self._put_each, [each[:3] for each in finished])
        self._room.leave(len(finished), sum(nbytes for *_, nbytes in finished))

    def _put_each(self, finished: Sequence[tuple[Span, int, Sequence[Any]]]) -> None:
        for span, number, results in finished:
            if self._output is not None:
                self._output.open_span(span, distinct=False)
            self._put([(number, results)], span.stop)

    def _put(self, finished: Sequence[tuple[int, Sequence[Any]]], stop: int | None) -> None:
        if self._output is None:
            return
        self._output.pump(self._numbered(finished))
        if stop is not None:
            self._output.close_span(stop)
        elif finished:
            self._output.flush_below(finished[-1][0] + 1)

    def _numbered(self, finished: Sequence[tuple[int, Sequence[Any]]]) -> Iterator[Any]:
        for self._number, results in finished:
            yield from results


class Fatal(Exception):
    """Carries a BaseException through the event loop, which would otherwise stop, or treat it as a cancellation."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class _BlockingThread:
    """A thread that makes blocking calls for an event loop, one at a time.

    A ThreadPoolExecutor is not used. At exit, the interpreter waits for its threads before `atexit` cancels a run that
    is still open. The threads wait for that run, so the program would never end.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        # It runs user code, too: that of items which are unpickled or pickled.
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    # The caller receives the exception.
                    future.set_exception(error)
            # The thread keeps no references while it waits.
            del call, future, function

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Make a call in the thread, and return its result."""
        import asyncio
        from concurrent.futures import Future

        future: Future[Any] = Future()
        self._calls.put((future, partial(function, *args)))
        return await asyncio.wrap_future(future)

    def end(self) -> None:
        """End the thread after its current call."""
        self._calls.put(None)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()


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


def _error_to_report(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception to report: a failure before a cancellation. A nested group was raised by the function itself."""
    return next((each for each in failed.exceptions if isinstance(each, Exception)), failed.exceptions[0])
