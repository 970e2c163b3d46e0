"""A stage while it runs: its function, where its items come from, and whom to blame for what happens in it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from . import blame
from .blame import Item, Who
from .errors import Cancelled
from .outcome import Failed, Interrupted, Outcome
from .plan.bound import Bound
from .transport.board import Cell
from .transport.codec import ItemFault
from .transport.inlet import Inlet, short_repr

__all__ = ["Assignment", "ChannelInput", "Input", "Link", "StageRun"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One stage of a worker. row: the worker's row on the board for it.

    makers: how messages tell the producers of its input apart; empty strings where there is only one.
    """

    who: Who
    row: int
    may_stop: bool = False
    makers: Sequence[str] = ("",)

    @property
    def is_sink(self) -> bool:
        """Whether its result is a value rather than items."""
        return self.who.role == "sink"


class Input(Protocol):
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

    def more(self) -> bool:
        """Whether one more item comes. Raises Cancelled."""
        ...

    def in_hand(self) -> tuple[int, int, str] | None:
        """Producer, number and short repr of the item given last."""
        ...

    def reason(self, stage: StageRun) -> Outcome | None:
        """Why it cancelled by itself, as the outcome of the worker that runs this stage."""
        ...


class StageRun:
    """One stage while it runs: its function, its input, and whom to blame for what it does."""

    def __init__(self, assignment: Assignment, bound: Bound, source: Input | None, row: memoryview) -> None:
        self.assignment = assignment
        self.row = row
        self._bound = bound
        self._input = source
        self._result: Any = None

    def start(self) -> Any:
        """Call the function: an iterable of what it yields, or a sink's value. Raises what it raises."""
        inputs = () if self._input is None else (iter(self._input),)
        self._result = self._bound.call(*inputs)
        return self._result

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
                return Failed(blame.returned_early(self.assignment.who, os.getpid(), delivered))
            except Cancelled:
                pass
        return self._input.reason(self) or Interrupted()

    @property
    def stopped_early(self) -> bool:
        """Whether it returned, as it may, before its input had ended."""
        return self._input is not None and not self._input.ended

    def inputs(self) -> Iterator[Any]:
        """Its input, where the caller's loop takes the place of a function."""
        assert self._input is not None
        return iter(self._input)

    @property
    def cancelled(self) -> bool:
        """Whether its input has raised Cancelled."""
        return self._input is not None and self._input.cancelled

    def explain(self, error: BaseException) -> Outcome:
        """What an exception that came out of this stage, or out of sending what it made, means."""
        reason = self._input.reason(self) if self._input is not None else None
        if reason is not None:
            return reason
        if self.cancelled or isinstance(error, Cancelled):
            return Interrupted()
        if isinstance(error, ItemFault):
            return Failed(blame.unpicklable(self.assignment.who, os.getpid(), error.index, error.reason))
        return Failed(blame.raised(self.assignment.who, os.getpid(), error, self._item()), error)

    def item(self, producer: int, index: int, text: str | None = None) -> Item:
        """An item of its input, as messages name it."""
        return Item(index, self.assignment.makers[producer], text)

    def _item(self) -> Item | None:
        hand = self._input.in_hand() if self._input is not None else None
        return self.item(*hand) if hand else None

    def close(self) -> None:
        """Close its generator, so that its `finally` blocks run now."""
        if isinstance(self._result, Generator) and not self.assignment.is_sink:
            self._result.close()


class ChannelInput(Inlet):
    """A channel as the input of a stage."""

    def reason(self, stage: StageRun) -> Failed | None:
        """An item that could not be rebuilt."""
        if self.fault is None:
            return None
        item = stage.item(self.fault.producer, self.fault.index)
        return Failed(blame.unreadable(stage.assignment.who, os.getpid(), item, self.fault.reason))


class Link:
    """The stage before, in the same worker, as the input of the next one: plain pulling, counted and guarded."""

    def __init__(self, upstream: StageRun, downstream_row: memoryview) -> None:
        self._upstream = upstream
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
                sent[Cell.SENT] = received[Cell.RECEIVED] = received[Cell.FINISHED] = self.delivered
                del item  # a stage that waits holds nothing of the item before
                yield self._hand[0]
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

    def more(self) -> bool:
        """Whether one more item comes. Raises Cancelled."""
        for _ in self:
            return True
        return False

    def in_hand(self) -> tuple[int, int, str] | None:
        """The item given last, until the next one is asked for."""
        return (0, self.delivered - 1, short_repr(self._hand[0])) if self._hand else None

    def reason(self, stage: StageRun) -> Outcome | None:
        """How the stage before has ended, if not well."""
        return self._outcome
