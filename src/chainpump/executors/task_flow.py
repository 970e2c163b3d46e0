"""The items of one element-wise stage in an event loop: each item is received, processed by a task, and sent.

    event loop       channel -> frames -> n items at once, each in a task -> results -> channel, if it has room
    sender thread                                                            results -> channel, if it is full

The event loop never blocks. The channel wakes it when a frame has arrived. A thread sends what has to wait for room.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from ..messages import item_texts
from ..pickling.sizes import Weigher
from ..plan.batches import Part as PartOfBatch
from ..plan.batches import parts_of
from ..plan.operators import Operator
from ..transport.flow import FIRST_ITEMS, MAX_WINDOW
from ..worker.async_output import AsyncOutput
from ..worker.operator_run import Left, OperatorRun
from ..worker.outcome import Failed
from ..worker.worker import Worker
from .task_pool import TaskPool
from .task_results import AsTheyCome, FrameResults, InOrder, Part, TaskResults
from .task_room import TaskRoom
from .task_sender import TaskSender
from .task_timeouts import CallTimeout, TaskLimits

if TYPE_CHECKING:
    import asyncio

__all__ = ["Fatal", "Flow"]

F = TypeVar("F")


class _Item(NamedTuple):
    """An item of a frame, by its position.

    part: if it is a batch that is split, which of its items to process, by its position.
    """

    of: FrameResults
    position: int
    part: tuple[int, PartOfBatch] | None = None

    @property
    def item_index(self) -> int:
        """Its number at the origin."""
        return self.of.frame.item_index(self.position)

    @property
    def argument(self) -> Any:
        """What the function gets."""
        return self.of.frame.entries[self.position] if self.part is None else self.part[1].alone

    @property
    def current(self) -> tuple[int, int, Any]:
        """Its origin, its number there, and the item."""
        item = self.argument if self.part is None else self.part[1].item
        return self.of.frame.span.origin, self.item_index, item


class Flow:
    """Runs the items of one element-wise stage: receives each, processes it in a task, and sends its results.

    has_own_loop: whether the event loop has no other work, so that only a call of this stage can block it.
    """

    def __init__(self, worker: Worker, stage: OperatorRun, max_tasks: int, *, has_own_loop: bool) -> None:

        assert worker.input is not None
        self._input = worker.input
        # Twice as many as run at once: each frame costs a wake-up of its sender.
        self._input.least_hint = min(2 * max_tasks, FIRST_ITEMS)
        output = worker.output
        assert output is None or isinstance(output, AsyncOutput)
        self._worker = worker
        self._stage = stage
        # Results that finish out of order wait for the first of them. Only these may be many. Without order, or when
        # credits bound the items in flight, results wait only for a slow consumer.
        is_bounded = self._input.is_metered or (output is not None and output.is_bounded)
        in_order = stage.operator.ordered or worker.needs_exact_spans
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
        self._sender = TaskSender(output, self._results, self._leave, several=stage.operator.several)

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
            async with asyncio.TaskGroup() as group:
                group.create_task(self._noting_failure(self._read(group)))
                group.create_task(self._noting_failure(self._sender.run()))
        except BaseExceptionGroup as failed:
            failure = _error_to_report(failed)
        finally:
            # Before a failure, items may have ended that were not yet sent.
            self._tell(self._results.take())
            if self._limits is not None:
                self._limits.close()
            self._sender.end()
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

    def join(self) -> None:
        """Wait for the thread, after the tasks have ended, or have been left behind in their event loop."""
        self._sender.join()

    async def _noting_failure(self, work: Coroutine[Any, Any, None]) -> None:
        """Record a failure: it cancels the tasks of the items. After it, a cancellation is not the function's own."""
        try:
            await work
        except BaseException:
            self._is_failing = True
            raise

    async def _read(self, group: asyncio.TaskGroup) -> None:
        frames = self._input.frames()
        while (received := await self._next_of(frames)) is not None:
            frame, self._entries = received
            self._frame, self._position = self._results.begin(frame), 0
            if not frame.entries:
                # Its span is sent.
                self._sender.send_if_due()
            await self._pool.start_all(group)
            self._frame = None
            # Reading the next item returns a credit. So it is read only when a task for it can start.
            if self._input.is_metered and frame.entries:
                await self._pool.has_free()
                self._input.return_one_credit()
            # No reference to the items remains while this waits.
            del received, frame
        await self._pool.all_ended()
        self._sender.finish()

    async def _next_of(self, frames: Iterator[F]) -> F | None:
        """The next frame; None at the end."""
        await self._input.arrival()
        return next(frames, None)

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

    def _leave(self, parts: Sequence[Part]) -> None:
        """These results have been sent."""
        for part in parts:
            self._room.leave(len(part.finished), part.nbytes)
        self._tell(parts)
        self._pool.wake()

    def _tell(self, parts: Sequence[Part]) -> None:
        """At the end of a durable run: the items of these parts are done."""
        if self._worker.spans is not None:
            for part in parts:
                self._worker.spans.add(part.done)

    def tasks(self) -> Iterator[tuple[str, str]]:
        """The items in progress, the oldest first, and where each of them waits. Any thread may call this."""
        return self._pool.tasks()

    async def _process(self, item: _Item) -> None:
        results = await self._results_of(item)
        nbytes = self._weigher.weigh(results) if results else 0
        self._room.weigh(nbytes)
        self._results.add(item.of, item.position, (results, nbytes))
        self._sender.send_if_due()

    async def _results_of(self, item: _Item) -> Sequence[Any]:
        """Return the results of an item. If the function raises, the policy decides."""
        try:
            return await self._call(item)
        except BaseException as error:
            left = self._settle(error, 1, item)
        return await self._call_again(item, left)

    def _call(self, item: _Item) -> Coroutine[Any, Any, Sequence[Any]]:
        """Return the results of one call."""
        call = _call_function(self._stage.operator, item.argument, self._stage.check)
        return call if self._limits is None else self._limits.within(call, item.current)

    async def _call_again(self, item: _Item, left: float | Left) -> Sequence[Any]:
        """Return the results of an item on which the function has raised. left: the decision of the policy."""
        import asyncio

        tries = 1
        while not isinstance(left, Left):
            await asyncio.sleep(left)
            tries += 1
            try:
                return await self._call(item)
            except BaseException as error:
                left = self._settle(error, tries, item)
        return await self._call_parts(item) if left is Left.SPLIT else ()

    async def _call_parts(self, item: _Item) -> Sequence[Any]:
        """Call the function for each item of a batch alone. Returns one batch of the results, as `OperatorRun` does."""
        results: list[Any] = []
        for part in enumerate(parts_of(item.argument) or ()):
            results += await self._results_of(item._replace(part=part))
        return tuple(self._stage.operator.rejoined(results))

    def _settle(self, error: BaseException, tries: int, item: _Item) -> float | Left:
        """Apply the policy by `OperatorRun.settle`, and return its result.

        Raises CancelledError if the stage has already failed or is cancelled: later failures are not reported.
        """
        import asyncio

        if self._is_failing or self._is_cancelled():
            raise asyncio.CancelledError from error
        try:
            failure = None
            if isinstance(error, CallTimeout):
                failure = self._stage.too_late(error.stack, item.current)
                error = failure.error(item_texts.dealt_with(failure))
            part = item.of.frame.part(item.position)
            position = item.part[0] if item.part is not None else None
            cause = cast("Exception", error)
            return self._stage.settle(cause, tries, item.current, failure, part=part, position=position)
        except BaseException as failed:
            self._is_failing = True
            if not isinstance(failed, Exception):
                raise Fatal(failed) from None
            raise


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


def _error_to_report(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception to report: a failure before a cancellation. A nested group was raised by the function itself."""
    return next((each for each in failed.exceptions if isinstance(each, Exception)), failed.exceptions[0])
