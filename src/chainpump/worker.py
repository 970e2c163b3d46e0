"""The worker: receive, run, send. The one loop that every executor runs.

A worker runs one stage, or several that were joined into one thread (`Inline`). Each stage pulls from its input:

    channel -> Inlet -> stage -> Link -> stage -> ... -> Outlet -> channel
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from . import blame, pickles
from .blame import Item, Who
from .errors import Cancelled
from .outcome import Failed, Finished, Interrupted, Outcome
from .plan.bound import Bound
from .transport.board import Board, Cell, State
from .transport.channel import Receiver, Sender
from .transport.codec import ItemFault
from .transport.descriptors import Descriptor
from .transport.inlet import Inlet, short_repr
from .transport.outlet import Outlet

__all__ = ["Assignment", "Code", "Worker"]

LOOP = Bound(iter)  # stands for the caller's own `for` loop, which asks for items and is never called


class Code:
    """The functions of a worker: pickled once, however many workers run them, and loaded by each worker itself."""

    def __init__(self, calls: Sequence[Bound]) -> None:
        self._calls: Sequence[Bound] | None = calls
        self._pickle = b""

    def load(self) -> Sequence[Bound]:
        """The functions. Raises what importing them raises."""
        calls: Sequence[Bound] = pickles.loads(self._pickle) if self._calls is None else self._calls
        self._calls = calls
        return calls

    def __getstate__(self) -> bytes:
        self._pickle = self._pickle or pickles.dumps(self._calls)
        return self._pickle

    def __setstate__(self, state: bytes) -> None:
        self._calls, self._pickle = None, state


@dataclass(frozen=True, slots=True)
class Assignment:
    """One stage of a worker. row: the worker's row on the board for it.

    makers: how messages tell the producers of its input apart; empty strings where there is only one.
    """

    who: Who
    row: int
    may_stop: bool = False
    makers: Sequence[str] = ("",)


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
                return Failed(blame.returned_early(self.assignment.who, _pid(), delivered))
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
            return Failed(blame.unpicklable(self.assignment.who, _pid(), error.index, error.reason))
        return Failed(blame.raised(self.assignment.who, _pid(), error, self._item()), error)

    def item(self, producer: int, index: int, text: str = "") -> Item:
        """An item of its input, as messages name it."""
        return Item(index, self.assignment.makers[producer], text)

    def _item(self) -> Item | None:
        hand = self._input.in_hand() if self._input is not None else None
        return self.item(*hand) if hand else None

    def close(self) -> None:
        """Close its generator, so that its `finally` blocks run now."""
        close = getattr(self._result, "close", None)
        if close is not None and isinstance(self._result, Iterator):
            close()


class ChannelInput(Inlet):
    """A channel as the input of a stage."""

    def reason(self, stage: StageRun) -> Failed | None:
        """An item that could not be rebuilt."""
        if self.fault is None:
            return None
        item = stage.item(self.fault.producer, self.fault.index)
        return Failed(blame.unreadable(stage.assignment.who, _pid(), item, self.fault.reason))


class Link:
    """The stage before, in the same worker, as the input of the next one: plain pulling, counted and guarded."""

    def __init__(self, upstream: StageRun, downstream_row: memoryview) -> None:
        self._upstream = upstream
        self._rows = (upstream.row, downstream_row)
        self._items: Iterator[Any] | None = None
        self._last: Any = None
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
                self._last = item
                self.delivered += 1
                sent[Cell.SENT] = received[Cell.RECEIVED] = received[Cell.FINISHED] = self.delivered
                yield item
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
        """The item given last."""
        if not self.delivered:
            return None
        return 0, self.delivered - 1, short_repr(self._last)

    def reason(self, stage: StageRun) -> Outcome | None:
        """How the stage before has ended, if not well."""
        return self._outcome


class Worker:
    """One running copy of a stage, or of several joined ones. Its executor calls `run`, in a process or a thread.

    assignments, code: its stages, and the function of each. The caller's own worker has one assignment more than
    functions when the caller iterates: the loop is its last stage.
    group: its place in the chain, which numbers its cancel flag and the junction before it.
    producers: the rows of the workers that feed it.
    """

    def __init__(
        self,
        assignments: Sequence[Assignment],
        code: Code,
        board: Board,
        group: int,
        producers: Sequence[int],
        receiver: Receiver | None,
        sender: Sender | None,
    ) -> None:
        self.assignments = assignments
        self._code = code
        self._board = board
        self._rows: list[memoryview] = []
        self._group = group
        self._producers = producers
        self._receiver = receiver
        self._sender = sender
        self._stages: list[StageRun] = []
        self._outlet: Outlet | None = None
        self._winding_up = False
        self._is_closed = False
        self.was_terminated = False  # True if it was interrupted although its run was not cancelled

    @property
    def who(self) -> Who:
        """Whom to name where no single stage is meant: the last."""
        return self.assignments[-1].who

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What it must keep when it is forked."""
        ends = [end.descriptors for end in (self._receiver, self._sender) if end is not None]
        return [*self._board.descriptors, *(descriptor for end in ends for descriptor in end)]

    def hand_over(self) -> None:
        """It has been started in another process: close this process's copies of its ends."""
        for end in (self._sender, self._receiver):
            if end is not None:
                end.close()

    def run(self) -> Outcome:
        """Receive, run and send until the end; returns how it ended. Closes its ends."""
        try:
            last = self._open()
            outcome = self._drive(last)
        except BaseException as error:
            outcome = self.explain(error)
        self.close(outcome)
        return outcome

    def _open(self) -> StageRun:
        calls = self._code.load()
        if self._sender is not None:
            row = self._board.row(self.assignments[-1].row)
            self._outlet = Outlet(self._sender, row, self._board.hint(self._group), self._board.flag(self._group))
        source: Input | None = None
        if self._receiver is not None:
            first = self.assignments[0].row
            source = ChannelInput(self._receiver, self._board, first, self._group, self._producers, self._outlet)
        for assignment, call in zip(self.assignments, (*calls, LOOP), strict=False):
            row = self._board.row(assignment.row)
            self._rows.append(row)
            row[Cell.STATE] = State.RUNNING
            row[Cell.STARTED] = time.monotonic_ns()
            if self._stages:
                source = Link(self._stages[-1], row)
            self._stages.append(StageRun(assignment, call, source, row))
        return self._stages[-1]

    def _drive(self, last: StageRun) -> Outcome:
        value = last.start()
        if self._outlet is not None:
            self._outlet.pump(value)
            value = None
        outcome = last.check_returned()
        if outcome is not None:
            return outcome
        self._close_stages()
        if self._outlet is not None:
            self._outlet.finish()
        return Finished(value, early=any(stage.stopped_early for stage in self._stages))

    def items(self) -> Iterator[Any]:
        """What the last stage yields, for the caller to iterate. Raises Cancelled if that is not all of it."""
        yield from self._open().inputs()

    def explain(self, error: BaseException) -> Outcome:
        """What an exception that came out of running it means."""
        interrupted, self._winding_up = self._winding_up, True
        if interrupted:
            return Interrupted()
        if not self._stages:
            return Failed(blame.not_started(self.who, error), error)
        return self._stages[-1].explain(error)

    def interrupt(self) -> None:
        """Raise Cancelled in the worker's thread, which must be the caller's, unless it is on its way out already."""
        self.was_terminated = not self._board.flag(self._group)[0]
        if not self._winding_up and not any(stage.cancelled for stage in self._stages):
            self._winding_up = True
            raise Cancelled("the run was cancelled")

    def close(self, outcome: Outcome) -> None:
        """Close its generators and its ends; if it has finished, say so on the board first. Once: then do nothing."""
        self._winding_up = True
        if self._is_closed:
            return
        self._is_closed = True
        if not isinstance(outcome, Finished):
            with suppress(Exception):  # the run has failed already, for a reason that came before this one
                self._close_stages()
        for row in self._rows:
            row[Cell.ENDED] = time.monotonic_ns()
            if isinstance(outcome, Finished):
                row[Cell.STATE] = State.STOPPED if outcome.early else State.DONE
        for end in (self._outlet or self._sender, self._receiver):
            if end is not None:
                end.close()

    def _close_stages(self) -> None:
        for stage in reversed(self._stages):
            stage.close()


def _pid() -> int:
    return os.getpid()
