"""The items of one element-wise stage as asyncio tasks: from its input, through a task each, to its output.

    reader thread     channel -> frames ------------> [event loop: one task per item, n at once]
    sender thread     channel <- results, in order <- [................................]

The loop never blocks: what waits for a channel does so in one of the two threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..ipc.board import Cell
from ..pickling.sizes import Weigher
from ..plan.operators import Operator
from ..transport.flow import MAX_WINDOW
from ..transport.frames import Frame, Span
from ..worker.operator_run import OperatorRun
from ..worker.outcome import Failed
from ..worker.worker import Worker
from .task_room import TaskRoom
from .task_timeouts import CallTimeout, TaskLimits, task_stack

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    # What came of an item, and its bytes.
    Results: TypeAlias = tuple[Sequence[Any], int]
    # Part of a span: its items' numbers and tasks, and where the span ends, if this is the last of it.
    SpanPart: TypeAlias = tuple[Span, list[tuple[int, asyncio.Task[Results]]], int | None]

__all__ = ["Fatal", "Flow"]

# Tasks whose places are told: where so many wait, the others do so in the same places.
MOST_REPORTED = 20


class Flow:
    """The items of one element-wise stage, from its input, through a task each, to its output."""

    def __init__(self, worker: Worker, stage: OperatorRun, max_tasks: int) -> None:
        import asyncio

        assert worker.inlet is not None
        self._inlet = worker.inlet
        self._outlet = worker.outlet
        self._worker = worker
        self._stage = stage
        self._max_tasks = max_tasks
        self._free_tasks = asyncio.Semaphore(max_tasks)
        # Results that have finished out of order wait for the first of them. They are the only ones that may be many:
        # without order, and where slots bound what is in flight, they wait for nothing but a slow consumer.
        is_exact = self._inlet.is_metered or (self._outlet is not None and self._outlet.is_bounded)
        may_pile_up = stage.operator.ordered and not is_exact
        self._room = TaskRoom(2 * max_tasks, MAX_WINDOW if may_pile_up else 2 * max_tasks)
        self._weigher = Weigher()
        self._limits: TaskLimits | None = None
        self._is_failing = False
        self._parent: asyncio.Task[Any] | None = None
        # What is to be sent next, in this order; None at the end. `_room` bounds how much that is.
        self._send_queue: asyncio.Queue[SpanPart | None] = asyncio.Queue()
        # Of what was sent last.
        self._span: Span | None = None
        self._number = 0
        self._threads: list[_BlockingThread] = []
        # Which item each task is in, and since when, in ns. The loop's thread writes, any may copy it at once.
        self._current: dict[asyncio.Task[Any], tuple[int, int]] = {}
        if self._outlet is not None:
            self._outlet.number_by(lambda: self._number)

    async def run(self) -> None:
        """Deal with all items. Raises what the function raises, and Cancelled."""
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
            # One that waits for a channel is woken as the run is cancelled, which takes this worker's end.
            for thread in self._threads:
                thread.end()

    def _is_cancelled(self) -> bool:
        return self._parent is not None and bool(self._parent.cancelling())

    def _fail_blocked_loop(self, current: tuple[int, int, Any], stack: str) -> None:
        """A call holds up the event loop. No other thread can end that: the run ends for it, whatever the policy."""
        self._worker.fail(Failed(self._stage.too_late(stack, current)))

    def _start_thread(self, name: str) -> _BlockingThread:
        """Known as soon as it is there: the next one may be refused."""
        thread = _BlockingThread(name)
        self._threads.append(thread)
        return thread

    def join(self) -> None:
        """Wait for the threads of a flow that has ended."""
        for thread in self._threads:
            thread.join()

    async def _noting_failure(self, work: Coroutine[Any, Any, None]) -> None:
        """What ends this early cancels the tasks of the items: no cancellation is then the function's own."""
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
            # To ask for an item gives a slot back: only if it can begin.
            if self._inlet.is_metered:
                async with self._free_tasks:
                    pass
        # All tasks are over.
        for _ in range(self._max_tasks):
            await self._free_tasks.acquire()
        self._send_queue.put_nowait(None)

    def _frames(self) -> Iterator[tuple[Frame, range]]:
        """Each frame, and which of its items to begin with: one at a time, where each gives back its own slot."""
        inlet = self._inlet
        for frame, items in inlet.frames():
            if not (inlet.is_metered and frame.entries):
                yield frame, range(len(frame.entries))
                continue
            for position, _ in enumerate(items):
                yield frame, range(position, position + 1)
                inlet.pay_for_one()

    async def _start_in_order(self, group: asyncio.TaskGroup, frame: Frame, positions: range) -> None:
        tasks: list[tuple[int, asyncio.Task[Results]]] = []
        span = frame.span
        for position in positions:
            tasks.append((frame.number(position), await self._start_task(group, frame, position)))
            # A frame of more must not hold back its first results.
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
        """Begin with one item, as soon as not too many are under way."""
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
        """Say on the board how many items are in hand, and that something has moved; returns when that is."""
        row, now = self._stage.row, time.monotonic_ns()
        row[Cell.OCCUPIED] += row[Cell.AT_ONCE] * (now - row[Cell.SINCE])
        row[Cell.AT_ONCE] += change
        row[Cell.SINCE] = now
        return now

    def tasks(self) -> Iterator[tuple[str, str]]:
        """The items in hand, those first that have been for longest, and where each waits. Any thread may ask."""
        now, found = time.monotonic_ns(), list(self._current.copy().items())
        for task, (index, since) in found[:MOST_REPORTED]:
            yield f"in item {index} for {(now - since) / 1e9:.3g} s", task_stack(task)

    async def _results(self, item: Any, current: tuple[int, int, Any]) -> Results:
        made = await self._call_with_policy(item, current)
        nbytes = self._weigher.weigh(made) if made else 0
        self._room.weigh(nbytes)
        return made, nbytes

    async def _call_with_policy(self, item: Any, current: tuple[int, int, Any]) -> Sequence[Any]:
        """What comes of an item, by the policy if the function raises."""
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
        """What `OperatorRun.settle` says of it.

        Raises CancelledError once the stage is failing or cancelled: then what else fails is nobody's business.
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
        if span is not self._span and self._outlet is not None:
            self._span = span
            self._outlet.open_span(span, distinct=False)
        made: list[tuple[int, Sequence[Any]]] = []
        nbytes = 0
        for number, task in tasks:
            if made and not task.done():
                await sender.call(self._put, made, None)
                self._room.leave(len(made), nbytes)
                made, nbytes = [], 0
            results, each = await task
            made.append((number, results))
            nbytes += each
        await sender.call(self._put, made, stop)
        self._room.leave(len(made), nbytes)

    async def _send_finished(self, sender: _BlockingThread, part: SpanPart) -> None:
        """Send this and what else has finished: to go to the thread for each would take longer than to send it."""
        parts = [part]
        while not self._send_queue.empty():
            more = self._send_queue.get_nowait()
            # The end: it is to be read again.
            if more is None:
                self._send_queue.put_nowait(None)
                break
            parts.append(more)
        made = [(span, number, *task.result()) for span, tasks, _ in parts for number, task in tasks]
        await sender.call(self._put_each, [each[:3] for each in made])
        self._room.leave(len(made), sum(nbytes for *_, nbytes in made))

    def _put_each(self, made: Sequence[tuple[Span, int, Sequence[Any]]]) -> None:
        for span, number, results in made:
            if self._outlet is not None:
                self._outlet.open_span(span, distinct=False)
            self._put([(number, results)], span.stop)

    def _put(self, made: Sequence[tuple[int, Sequence[Any]]], stop: int | None) -> None:
        if self._outlet is None:
            return
        self._outlet.pump(self._numbered(made))
        if stop is not None:
            self._outlet.close_span(stop)
        elif made:
            self._outlet.flush_below(made[-1][0] + 1)

    def _numbered(self, made: Sequence[tuple[int, Sequence[Any]]]) -> Iterator[Any]:
        for self._number, results in made:
            yield from results


class Fatal(Exception):
    """Carries what is no Exception through the event loop, which would stop for it, or take it for a cancellation."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class _BlockingThread:
    """A thread that makes blocking calls for an event loop, one at a time.

    No ThreadPoolExecutor: the interpreter waits for the threads of those as it exits, before `atexit` has cancelled a
    run that nobody has closed, and they wait for that run.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            made, function = call
            if made.set_running_or_notify_cancel():
                try:
                    made.set_result(function())
                except BaseException as error:
                    # For who has called.
                    made.set_exception(error)
            # While it waits it holds nothing.
            del call, made, function

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call this in the thread."""
        import asyncio
        from concurrent.futures import Future

        made: Future[Any] = Future()
        self._calls.put((made, partial(function, *args)))
        return await asyncio.wrap_future(made)

    def end(self) -> None:
        """End the thread, after the call that it is in."""
        self._calls.put(None)

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()


async def _call_function(
    operator: Operator[Any, Any], item: Any, check: Callable[[Sequence[Any]], None] | None
) -> Sequence[Any]:
    """What comes of one item: all of it, also of an async generator. check: raises what keeps it from being sent."""
    value = operator.function(item)
    value = [each async for each in value] if isinstance(value, AsyncIterable) else await value
    made = tuple(operator.made(item, value))
    if check is not None:
        check(made)
    return made


def _error_to_report(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one to tell: a failure rather than a cancellation. A group among them is what a function has raised."""
    return next((each for each in failed.exceptions if isinstance(each, Exception)), failed.exceptions[0])
