"""The worker: receive, run, send. The one loop that every executor runs.

A worker runs one stage, or several that were joined into one thread (`Inline`). Each stage pulls from its input:

    channel -> Inlet -> stage -> Link -> stage -> ... -> Outlet -> channel
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any

from . import blame, pickles
from .blame import Who
from .errors import Cancelled
from .outcome import Failed, Finished, Interrupted, Outcome
from .plan.bound import Bound
from .stages import Assignment, ChannelInput, Input, Link, StageRun
from .transport.board import Board, Cell, State
from .transport.channel import Receiver, Sender
from .transport.descriptors import Descriptor
from .transport.outlet import Outlet

__all__ = ["Code", "Worker"]

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
        self._is_shielded = False  # while it is, an interruption is put off
        self._was_put_off = False
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
        calls = self._code.load()  # imports the user's modules: may take long, and may be interrupted
        self._is_shielded = True
        last = self._connect(calls)
        self._is_shielded = False
        if self._was_put_off:
            self.interrupt()
        return last

    def _connect(self, calls: Sequence[Bound]) -> StageRun:
        for end in (self._receiver, self._sender):
            if end is not None:
                end.open()
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
        return self._finish(value)

    def _finish(self, value: Any = None) -> Outcome:
        self._close_stages()
        if self._outlet is not None:
            self._outlet.finish()
        return Finished(value, early=any(stage.stopped_early for stage in self._stages))

    def items(self) -> Generator[Any, None, Outcome]:
        """What the last stage yields, for the caller to iterate; returns how the worker has ended."""
        try:
            yield from self._open().inputs()
            return self._finish()
        except Cancelled as error:
            return self.explain(error)

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
        if self._is_shielded:
            self._was_put_off = True
        elif not self._winding_up and not any(stage.cancelled for stage in self._stages):
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
