"""A stage while it runs: its function, where its items come from, and whom to blame for what happens in it."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pickle import PicklingError
from typing import Any, Protocol

from ..errors import Cancelled, RunError
from ..ipc.board import Cell
from ..lazy_dataclass import dataclass
from ..messages import failure_texts
from ..messages.item_repr import short_repr
from ..messages.names import Item, Role, Who
from ..pickling.items import ItemFault
from ..plan.bound import Bound
from ..plan.generator_stages import batch_within
from ..plan.item_checks import WrongItemError
from .input import Input
from .outcome import Failed, Interrupted, Outcome

__all__ = ["Assignment", "ChannelInput", "ItemSource", "Link", "Nested", "StageRun"]


# What `pickle` says of what has no pickle, and `ItemFault` where it has none to name.
UNPICKLABLE = (TypeError, AttributeError, PicklingError, RecursionError, ItemFault)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One stage of a worker. row: the worker's row on the board for it.

    makers: how messages tell apart who numbered its input; empty strings where there is only one.
    siblings: the rows of all workers of the stage.
    """

    who: Who
    row: int
    may_stop: bool = False
    makers: Sequence[str] = ("",)
    siblings: Sequence[int] = ()

    @property
    def is_sink(self) -> bool:
        """Whether its result is a value rather than items."""
        return self.who.role is Role.SINK


class ItemSource(Protocol):
    """Where a stage's items come from: a channel, or the stage before it in the same worker."""

    @property
    def cancelled(self) -> bool:
        """Whether Cancelled was raised here: no later end is to be believed."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the end was seen, and was a clean one."""
        ...

    @property
    def delivered(self) -> int:
        """How many items it has given."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def chunks(self) -> Iterator[Iterable[Any]]:
        """What gives all items one after the other, and raises nothing by itself."""
        ...

    def more(self) -> bool:
        """Whether one more item comes. Raises Cancelled."""
        ...

    def in_hand(self) -> tuple[int, int, str] | None:
        """Producer, number and short repr of the item given last."""
        ...

    def reason(self, stage: StageRun) -> Outcome | None:
        """Why it cancelled by itself, as the outcome of the worker that runs this stage."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until an item or the end is there; False if that takes longer. True where nothing can wait."""
        ...


class Nested(ABC):
    """Items that runs of their own make: what a function may return so that those end with the run around them.

    A RunError that comes out of it blames a stage of theirs, and is the failure of the run around them as it is.
    """

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def cancel(self) -> None:
        """End them early, without waiting for that. Any thread may call it, any number of times."""

    @abstractmethod
    def close(self) -> None:
        """End them, and wait until nothing of them is left."""


class StageRun:
    """One stage while it runs: its function, its input, and whom to blame for what it does.

    is_over: whether anybody has ended the run early, as far as its worker knows.
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
        self._bound = bound
        self._input = source
        self._result: Any = None
        self._was_woken = False

    def start(self) -> Any:
        """Call the function: an iterable of what it yields, or a sink's value. Raises what it raises."""
        self._result = self._bound.call(*self._inputs())
        if self._was_woken:  # meanwhile
            self.wake()
        return self._result

    def wake(self) -> None:
        """End the runs within it, if there are any. Any thread may call it."""
        self._was_woken = True
        if isinstance(self._result, Nested):
            self._result.cancel()

    def _inputs(self) -> tuple[Any, ...]:
        if self._input is None:
            return ()
        return (self._input if self._bound.function is batch_within else iter(self._input),)

    def check_returned(self) -> Outcome | None:
        """Its function has returned: None if its input had ended, or if it may stop; asks for one more item to know."""
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
        """Whether it returned, as it may, before its input had ended."""
        return self._input is not None and not self._input.ended

    def chunks(self) -> Iterator[Iterable[Any]]:
        """Its input, where the caller's loop takes the place of a function."""
        assert self._input is not None
        return self._input.chunks()

    @property
    def cancelled(self) -> bool:
        """Whether its input has raised Cancelled."""
        return self._input is not None and self._input.cancelled

    def explain(self, error: BaseException) -> Outcome:
        """What an exception that came out of this stage, or out of sending what it made, means."""
        reason = self._input.reason(self) if self._input is not None else None
        if reason is not None:
            return reason
        if self._is_induced(error):
            return Interrupted()
        if isinstance(error, RunError) and isinstance(self._result, Nested):
            return Failed(error.failures[0], error)
        if isinstance(error, WrongItemError):
            declared, what, number = error.args
            item = Item(number) if number is not None and self.made_of() is None else self._item()
            return Failed(failure_texts.mistyped(self.assignment.who, os.getpid(), item, declared, what))
        if isinstance(error, ItemFault):
            raised = None if isinstance(error.error, UNPICKLABLE) else error.error
            return Failed(
                failure_texts.unpicklable(self.assignment.who, os.getpid(), error.index, error.reason, raised)
            )
        return Failed(failure_texts.raised(self.assignment.who, os.getpid(), error, self._item()), error)

    def _is_induced(self, error: BaseException) -> bool:
        """Whether the end of the run has brought this about: so is all that comes of a Cancelled from its input."""
        return self.cancelled or (isinstance(error, Cancelled) and self._is_over())

    def item(self, producer: int, index: int, text: str | None = None) -> Item:
        """An item of its input, as messages name it."""
        return Item(index, self.assignment.makers[producer], text)

    def in_hand(self) -> tuple[int, int, str] | None:
        """Origin, number and short repr of the item of its input that it was given last."""
        return self._input.in_hand() if self._input is not None else None

    def made_of(self) -> tuple[int, int] | None:
        """Origin and number of the item that what it yielded last was made of; None where it numbers its own."""
        return None

    def _item(self) -> Item | None:
        hand = self.in_hand()
        return self.item(*hand) if hand else None

    def close(self) -> None:
        """Close its generator, so that its `finally` blocks run now."""
        if isinstance(self._result, (Generator, Nested)) and not self.assignment.is_sink:
            self._result.close()


class Blamed(Exception):
    """Ends a stage with a failure that was recorded where its facts were known."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed)
        self.failed = failed


class ChannelInput(Input):
    """A channel as the input of a stage."""

    def reason(self, stage: StageRun) -> Failed | None:
        """What the system refused, or an item that could not be rebuilt."""
        who, pid = stage.assignment.who, os.getpid()
        if self.refused is not None:
            return Failed(failure_texts.channel_failed(who, pid, self.refused, "receive"), self.refused)
        if self.fault is None:
            return None
        item = stage.item(self.fault.producer, self.fault.index)
        return Failed(failure_texts.unreadable(who, pid, item, self.fault.reason))


class Link:
    """The stage before, in the same worker, as the input of the next one: plain pulling, counted and guarded."""

    def __init__(self, upstream: StageRun, downstream_row: memoryview, watched: bool) -> None:
        self._upstream = upstream
        self._watched = watched
        self._rows = (upstream.row, downstream_row)
        self._items: Iterator[Any] | None = None
        self._hand: list[Any] = []  # the item given last, until the next one is asked for
        self._outcome: Outcome | None = None
        self.delivered = 0
        self.cancelled = False
        self.ended = False

    def __iter__(self) -> Iterator[Any]:
        sent, received = self._rows
        try:
            if self._items is None:
                self._items = iter(self._upstream.start())
            for item in self._items:
                self._hand = [item]
                self.delivered += 1
                sent[Cell.SENT] = received[Cell.RECEIVED] = self.delivered
                if self._watched:
                    received[Cell.SINCE] = time.monotonic_ns()
                self._count(received)  # a stage may return with this item, and never ask for another
                del item  # a stage that waits holds nothing of the item before
                yield self._hand[0]
                self._count(received)
                self._hand.clear()
            self._outcome = self._outcome or self._upstream.check_returned()
        except GeneratorExit:
            raise
        except BaseException as error:
            self._outcome = self._upstream.explain(error)
        if self._outcome is not None:
            self.cancelled = True
            raise Cancelled("the stage before has failed")
        self.ended = True

    def _count(self, row: memoryview) -> None:
        row[Cell.FINISHED] = self.delivered - row[Cell.SKIPPED] - row[Cell.DEAD]

    def chunks(self) -> Iterator[Iterable[Any]]:
        """One by one."""
        for item in self:
            yield (item,)
            del item  # as above

    def more(self) -> bool:
        """Whether one more item comes. Raises Cancelled."""
        for _ in self:
            return True
        return False

    def in_hand(self) -> tuple[int, int, str] | None:
        """The item given last, until the next one is asked for; behind element-wise stages, of the item it was."""
        if not self._hand:
            return None
        origin, index = self._upstream.made_of() or (0, self.delivered - 1)
        return origin, index, short_repr(self._hand[0])

    def reason(self, stage: StageRun) -> Outcome | None:
        """How the stage before has ended, if not well."""
        return self._outcome

    def wait(self, seconds: float) -> bool:
        """It cannot wait: the stage before runs when it is asked for an item."""
        return True
