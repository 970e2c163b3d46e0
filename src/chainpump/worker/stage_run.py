"""A running stage: its function, the source of its items, and the failures for which it is responsible."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from pickle import PicklingError
from typing import Any, Protocol

from ..errors import Cancelled, RunError
from ..messages import failure_texts
from ..messages.names import Item
from ..pickling.items import ItemFault
from ..plan.bound import Bound
from ..plan.generator_stages import is_timed
from ..plan.item_checks import WrongItemError
from .channel_errors import CHANNEL_ERRORS, record_channel_error, records_channel_errors
from .current_worker import runs_stages
from .input import Input
from .outcome import Failed, Interrupted, Outcome
from .work import Assignment

__all__ = ["ChannelInput", "ItemSource", "Nested", "StageRun"]


# Errors of `pickle` for objects that cannot be pickled, and `ItemFault` if there is no other error.
UNPICKLABLE = (TypeError, AttributeError, PicklingError, RecursionError, ItemFault)


class ItemSource(Protocol):
    """The source of a stage's items: a channel, or the previous stage in the same worker."""

    @property
    def cancelled(self) -> bool:
        """Whether it raised Cancelled. If so, a later end does not count as a clean end."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it has reached a clean end."""
        ...

    @property
    def delivered(self) -> int:
        """The number of items that it has given."""
        ...

    @property
    def by_items(self) -> bool:
        """Whether each item is given alone."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def part(self) -> int:
        """Which of the items with its number the last item is, counted from 0, if it comes from a channel."""
        ...

    def chunks(self) -> Iterator[Iterable[Any]]:
        """Yield iterables of all items. The iterables never raise."""
        ...

    def more(self) -> bool:
        """Whether one more item comes. Raises Cancelled."""
        ...

    def current_item(self) -> tuple[int, int, str] | None:
        """Origin, number and short repr of the last item."""
        ...

    def reason(self, stage: StageRun) -> Outcome | None:
        """The outcome of the worker that runs this stage, if the source itself failed."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until there is an item or the end. Returns False after this many seconds. True if it cannot wait."""
        ...


class Nested(ABC):
    """The items of nested runs. A function may return it, so that these runs end with the outer run.

    A RunError from it names a stage of a nested run. The outer run reports that failure unchanged.
    """

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def cancel(self) -> None:
        """End the runs early, without waiting. Any thread may call it, also several times."""

    @abstractmethod
    def close(self) -> None:
        """End the runs and wait until all their resources are released."""


class StageRun:
    """A running stage: its function, its input, and the failures for which it is responsible.

    is_over: whether the run was ended early, as far as the worker knows. was_woken: whether `wake` was called.
    """

    def __init__(
        self,
        assignment: Assignment,
        bound: Bound,
        source: ItemSource | None,
        row: memoryview,
        is_over: Callable[[], bool],
    ) -> None:
        self.assignment = assignment
        self._is_over = is_over
        self.row = row
        self.bound = bound
        self._input = source
        self._result: Any = None
        self.was_woken = False

    def start(self) -> Any:
        """Call the function. Returns its items or a sink's value. Raises its exceptions."""
        self._result = self.bound.call(*self._inputs())
        # The stage may have been woken during the call.
        if self.was_woken:
            self.wake()
        return self._result

    @property
    def gets_single_items(self) -> bool:
        """Whether its input gives each item alone. A source has no input."""
        return self._input is not None and self._input.by_items

    def start_by_sequences(self, function: Callable[..., Iterator[Iterable[Any]]]) -> Iterator[Iterable[Any]]:
        """The same for a stage of the library of which this function works through sequences of items."""
        assert self._input is not None
        self._result = found = function(self._input.chunks(), *self.bound.args)
        return found

    def wake(self) -> None:
        """End the runs inside it, if there are any. Any thread may call it."""
        self.was_woken = True
        if isinstance(self._result, Nested):
            self._result.cancel()

    def _inputs(self) -> tuple[Any, ...]:
        if self._input is None:
            return ()
        return (self._input if is_timed(self.bound) else iter(self._input),)

    def check_returned(self) -> Outcome | None:
        """Check whether the function was allowed to return: None if so. It may request one more item."""
        if self._input is None or self._input.ended:
            return None
        if not self._input.cancelled:
            if self.assignment.may_stop:
                return None
            delivered = self._input.delivered
            try:
                if not self._input.more():
                    return None
                return Failed(failure_texts.returned_early(self.assignment.who, os.getpid(), delivered))
            except Cancelled:
                pass
        return self._input.reason(self) or Interrupted()

    @property
    def stopped_early(self) -> bool:
        """Whether it returned before the end of its input, which was allowed."""
        return self._input is not None and not self._input.ended

    def chunks(self) -> Iterator[Iterable[Any]]:
        """Its input, if the loop of the caller replaces the function."""
        assert self._input is not None
        return self._input.chunks()

    @property
    def cancelled(self) -> bool:
        """Whether its input has raised Cancelled."""
        return self._input is not None and self._input.cancelled

    def explain(self, error: BaseException) -> Outcome:
        """The outcome for an exception from this stage, or from sending its results."""
        reason = self._input.reason(self) if self._input is not None else None
        if reason is not None:
            return reason
        if self._is_induced(error):
            return Interrupted()
        if isinstance(error, RunError) and isinstance(self._result, Nested):
            return Failed(error.failures[0], error)
        if isinstance(error, WrongItemError):
            declared, what, number = error.args
            item = self._item()
            if number is not None and self.made_of() is None:
                # It is counted where it is made, before those that are left out are dropped.
                item = Item(self.assignment.goes_on.first + number)
            return Failed(failure_texts.mistyped(self.assignment.who, os.getpid(), item, declared, what))
        if isinstance(error, ItemFault):
            raised = None if isinstance(error.error, UNPICKLABLE) else error.error
            index = self._original(error.index)
            failure = failure_texts.unpicklable(self.assignment.who, os.getpid(), index, error.reason, raised)
            return Failed(failure, error.error if error.error is not error else None)
        return Failed(failure_texts.raised(self.assignment.who, os.getpid(), error, self._item()), error)

    def _is_induced(self, error: BaseException) -> bool:
        """Whether the end of the run caused this error. After a Cancelled from the input, it caused any error."""
        return self.cancelled or (isinstance(error, Cancelled) and self._is_over())

    def item(self, producer: int, index: int, text: str | None = None) -> Item:
        """An item of its input, as messages name it."""
        return Item(self.assignment.done.original(index), self.assignment.makers[producer], text)

    def _original(self, index: int) -> int:
        """The number of an item that it has made, counted from the first attempt of a durable run."""
        return self.assignment.goes_on.left_out.original(index)

    def current_item(self) -> tuple[int, int, str] | None:
        """Origin, number and short repr of the last item of its input."""
        return self._input.current_item() if self._input is not None else None

    def made_of(self) -> tuple[int, int] | None:
        """Origin and number of the item from which it made its last result. None if it numbers its own items."""
        return None

    def _item(self) -> Item | None:
        current = self.current_item()
        return self.item(*current) if current else None

    @runs_stages(lambda stage: stage.assignment.current_worker())
    def close(self) -> None:
        """Close its generator, so that the `finally` blocks run now."""
        if isinstance(self._result, (Generator, Nested)) and not self.assignment.is_sink:
            self._result.close()


class StageFailed(Exception):
    """Ends a stage with a failure that was recorded at its cause."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed)
        self.failed = failed


class ChannelInput(Input):
    """A channel as the input of a stage."""

    def part(self) -> int:
        """Which of the items with its number the last item is, counted from 0."""
        assert self._frame is not None
        return self._frame.part(self._position())

    @records_channel_errors
    def receive_now(self) -> bool:
        """Receive the next frame if that needs no wait. False if it is not here, and at the end. Raises Cancelled.

        The next item is requested, so the credit of the previous one returns.
        """
        if self._awaited is not None:
            return True
        if self.ended or self._at_end:
            return False
        self._return_credit()
        self._settle()
        while (frame := self._ready_within(0)) is not None and not (frame.entries or self._passes_on):
            pass
        self._awaited = frame
        return frame is not None

    async def arrival(self) -> None:
        """Wait in an event loop until `frames` does not wait for its next frame, or for the end. Raises Cancelled."""
        import asyncio

        loop = asyncio.get_running_loop()
        while not (self.receive_now() or self.ended or self._at_end):
            held = self._before_wait()
            arrived = asyncio.Event()
            try:
                end_watch = self._receiver.watch(loop, arrived.set)
            except CHANNEL_ERRORS as error:
                record_channel_error(self, error)
            with self._starved:
                try:
                    await arrived.wait()
                finally:
                    # A loop of the program may be closed, and has left this task then.
                    with suppress(RuntimeError):
                        end_watch()
            self._after_wait(held)

    def reason(self, stage: StageRun) -> Failed | None:
        """The error of the system, a worker that starts above its limit, or an item that could not be rebuilt."""
        who, pid = stage.assignment.who, os.getpid()
        if self.refused is not None:
            return Failed(failure_texts.channel_failed(who, pid, self.refused, "receive"), self.refused)
        if self.retirement is not None and self.retirement.excess is not None:
            return Failed(failure_texts.starts_above(who, pid, self.retirement.excess, self.retirement.limit))
        if self.fault is None:
            return None
        item = stage.item(self.fault.producer, self.fault.index)
        return Failed(failure_texts.unreadable(who, pid, item, self.fault.reason))
