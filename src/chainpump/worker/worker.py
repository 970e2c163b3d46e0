"""The worker: receive, run, send. The one loop that every executor runs.

A worker runs one stage, or several that were joined into one thread (`Inline`). Each stage pulls from its input:

    channel -> Input -> stage -> Link -> stage -> ... -> Output -> channel
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context
from typing import Any

from ..errors import Cancelled, DeadItem
from ..ipc import wait_times
from ..ipc.board import Board, Cell, State
from ..ipc.checkpoint import Checkpoint, Position
from ..ipc.descriptors import Descriptor
from ..ipc.wakeups import Event
from ..logs.records import LogsEnd
from ..messages import failure_texts
from ..messages.names import Who
from ..pickling.items import ItemFault
from ..pickling.shared_functions import Loadable
from ..plan.bound import Bound
from ..plan.operators import Operator
from ..transport.frames import Span
from .endpoints import Endpoints
from .operator_run import Condemned, OperatorRun, Tools
from .outcome import Failed, Finished, Interrupted, Outcome
from .output import Output
from .seeds import Seed
from .stage_run import Assignment, ChannelInput, ItemSource, Link, StageRun
from .surroundings import Surroundings

__all__ = ["Worker"]

# What of a worker does not travel. Its surroundings do so before it, since it finds its modules by them.
LOCAL = ("takers", "surroundings", "context", "_woken", "_has_told")
LOOP = Bound(iter)  # stands for the caller's own `for` loop, which asks for items and is never called


class Worker:
    """One running copy of a stage, or of several joined ones. Its executor calls `run`, in a process or a thread.

    assignments, code: its stages, and the function of each. The caller's own worker has one assignment more than
    functions when the caller iterates: the loop is its last stage.
    group: its place in the chain, which numbers its cancel flag and the junction before it.
    producers: the rows of the workers that feed it.
    origin: tells it apart from others that number items; 0 if there are none.
    takers: of each element-wise stage's dead letters, in the main process.
    awaits: an event loop runs it; `run` is told how.
    whole: what is made of an item leaves in one frame. condemned: the items of which its predecessors died, by
    their positions in the frame in hand.
    watched: it says on the board which item it is in, and since when.
    logs: where it logs, in a process of its own; it keeps that to its death.
    surroundings: those of the program, for a process of its own; the run's to close.
    seed: of random numbers, for a process of its own; None for a thread, which shares the main process's generators.
    context: what context variables are for a thread of the main process, which enters it; nobody else does.
    """

    def __init__(
        self,
        assignments: Sequence[Assignment],
        code: Loadable,
        board: Board,
        group: int,
        producers: Sequence[int],
        endpoints: Endpoints,
        *,
        origin: int = 0,
        takers: Sequence[Callable[[DeadItem], object]] = (),
        awaits: bool = False,
        whole: bool = False,
        condemned: Mapping[int, Condemned] | None = None,
        watched: bool = False,
        logs: LogsEnd | None = None,
        surroundings: Surroundings | None = None,
        seed: Seed | None = None,
        context: Context | None = None,
    ) -> None:
        self.assignments = assignments
        self.takers = takers
        self._origin = origin
        self._awaits = awaits
        self._whole = whole
        self._condemned = condemned or {}
        self._watched = watched
        self.logs = logs
        self.surroundings = surroundings
        self._seed = seed
        self.context = context if context is not None else Context()
        self.thread: int | None = None  # that it runs in, once it does
        self._woken = Event()
        self._tell: Callable[[Outcome], object] | None = None
        self._has_told = threading.Lock()  # taken for good by who tells
        self._code = code
        self._board = board
        self._rows: list[memoryview] = []
        self._group = group
        self._producers = producers
        self._endpoints = endpoints
        self._stages: list[StageRun] = []
        self.input: ChannelInput | None = None
        self.output: Output | None = None
        self._made: StageRun | None = None  # the stage whose items number those of the element-wise stages behind it
        self._winding_up = False
        self._is_shielded = False  # while it is, an interruption is put off
        self._was_put_off = False
        # What `interrupt` has raised; weakly, for its traceback holds the frames and items that it came through.
        self._raised: weakref.ref[Cancelled] | None = None
        self._is_closed = False
        self.was_terminated = False  # True if it was interrupted although its run was not cancelled

    @property
    def who(self) -> Who:
        """Whom to name where no single stage is meant: the last."""
        return self.assignments[-1].who

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What its successor would find, if it has one when it dies."""
        return self._endpoints.checkpoint

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What it must keep when it is forked."""
        logs = [self.logs.pipe] if self.logs is not None else []
        streams = self.surroundings.descriptors if self.surroundings is not None else ()
        return [*self._board.descriptors, *logs, *streams, *self._endpoints.descriptors]

    def hand_over(self) -> None:
        """It has been started in another process, or nowhere: close this process's copies of its ends."""
        self._endpoints.close()
        if self.logs is not None:
            self.logs.pipe.close()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in LOCAL}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # `takers` is the executor's to set.
        vars(self).update(state, surroundings=None, context=Context(), _woken=Event(), _has_told=threading.Lock())

    def run(
        self, tell: Callable[[Outcome], object] | None = None, drive: Callable[[StageRun], Any] | None = None
    ) -> Outcome:
        """Receive, run and send until the end; returns how it ended. Closes its ends.

        tell: takes that as well; see `close`. drive: does this for the last stage, and returns a sink's value.
        """
        self._tell = tell
        try:
            last = self._open()
            value = (drive or self._drive)(last)
            outcome = last.check_returned() or self._finish(value)
        except BaseException as error:
            outcome = self.explain(error)
        outcome = self._unsent() or outcome
        self.close(outcome, tell)
        return outcome

    def _open(self) -> StageRun:
        self.thread = threading.get_ident()
        calls = self._code.load()  # imports the user's modules: may take long, and may be interrupted
        if self._seed is not None:
            self._seed.sow()  # what was imported just now, too
        self._is_shielded = True
        last = self._connect(calls)
        self._is_shielded = False
        if self._was_put_off:
            self.interrupt()
        return last

    def _connect(self, calls: Sequence[Bound]) -> StageRun:
        endpoints = self._endpoints
        endpoints.open(self._board)
        if self.checkpoint is not None:
            self._take_up(self.checkpoint)
        operators = [call for call in calls if isinstance(call, Operator)]
        several = any(operator.several for operator in operators)
        passes_on = endpoints.receiver is not None and len(operators) == len(self.assignments)
        if endpoints.sender is not None:
            row = self._board.row(self.assignments[-1].row)
            hint, flag = self._board.hint(self._group), self._board.flag(self._group)
            numbering = self._origin, self._whole
            self.output = Output(endpoints.sender, row, hint, flag, endpoints.room, *numbering, self._tell_of_flusher)
        source: ItemSource | None = None
        if endpoints.receiver is not None:
            source = self.input = ChannelInput(
                endpoints.receiver,
                self._board,
                self.assignments[0].row,
                self._group,
                self._producers,
                None if self._awaits else self.output,
                endpoints.reorder_buffer,
                passes_on,
                several,
                self._watched,
            )
            if passes_on and self.output is not None and not self._awaits:
                self.output.number_by(self.input.number)
        for assignment, call in zip(self.assignments, (*calls, LOOP), strict=False):
            row = self._board.row(assignment.row)
            self._rows.append(row)
            row[Cell.STATE] = State.RUNNING
            row[Cell.STARTED] = time.monotonic_ns()
            if self._stages:
                source = Link(self._stages[-1], row, self._watched)
            self._stages.append(self._stage(assignment, call, source, row))
        last = self._stages[-1]
        if isinstance(last, OperatorRun) and last.tolerates and self.output is not None:
            last.check = self.output.check
        self._number_joined(several)
        if self._woken.is_set:  # meanwhile
            self.wake()
        return self._stages[-1]

    def _number_joined(self, several: bool) -> None:
        """Where element-wise stages are joined to one that makes its own items, number by what that has made."""
        if self.output is None or self.output.is_bounded or not isinstance(self._stages[-1], OperatorRun):
            return
        made = next((stage for stage in reversed(self._stages) if not isinstance(stage, OperatorRun)), None)
        if made is not None:
            self._made = made
            self.output.open_span(Span(0, 0, origin=self._origin), distinct=not several)
            self.output.number_by(lambda: int(made.row[Cell.SENT]) - 1)

    def _take_up(self, checkpoint: Checkpoint) -> None:
        """Go on with the counts of what a predecessor has sent."""
        row = self._board.row(self.assignments[0].row)
        if checkpoint.is_empty:
            checkpoint.put_position(Position(0, row[Cell.RECEIVED], row[Cell.SENT], row[Cell.SKIPPED], row[Cell.DEAD]))
        else:
            _, row[Cell.RECEIVED], row[Cell.SENT], row[Cell.SKIPPED], row[Cell.DEAD] = checkpoint.position

    def _stage(self, assignment: Assignment, call: Bound, source: ItemSource | None, row: memoryview) -> StageRun:
        if not isinstance(call, Operator):
            return StageRun(assignment, call, source, row, self._is_over)
        assert source is not None
        taker = self.takers[sum(isinstance(each, OperatorRun) for each in self._stages)]
        tools = Tools([self._board.row(each) for each in assignment.siblings], self._pause, taker)
        return OperatorRun(assignment, call, source, row, self._is_over, tools)

    def _pause(self, seconds: float) -> None:
        """Wait so long. Raises Cancelled: at once where the worker can be interrupted, else as it is woken."""
        self._woken.wait(seconds)
        if self._is_over():
            raise Cancelled("the run was cancelled")

    def _is_over(self) -> bool:
        """Whether anybody has ended the run early: if not, a Cancelled is the doing of the function that raised it."""
        is_cut_off = self.output is not None and self.output.cancelled
        return is_cut_off or self._woken.is_set or bool(self._board.flag(self._group)[0])

    def _drive(self, last: StageRun) -> Any:
        worker_input, output = self.input, self.output
        if self.checkpoint is not None and isinstance(last, OperatorRun) and worker_input is not None:
            return last.guard(worker_input, output, self._condemned)
        if output is None:
            return last.start()
        by_items = len(self._stages) > 1 or worker_input is None or worker_input.by_items or output.is_bounded
        if isinstance(last, OperatorRun) and last.operator.by_frames and worker_input is not None and not by_items:
            last.forward(worker_input, output)
        else:
            output.pump(last.start())
        return None

    def _finish(self, value: Any = None) -> Outcome:
        self._close_stages()
        if self.input is not None:
            self.input.count()
        if self.output is not None:
            self.output.finish(int(self._made.row[Cell.SENT]) if self._made is not None else None)
        return Finished(value, early=any(stage.stopped_early for stage in self._stages))

    def chunks(self) -> Generator[Iterable[Any], None, Outcome]:
        """What the last stage yields, in iterables that raise nothing themselves; returns how the worker has ended."""
        try:
            yield from self._open().chunks()
            return self._finish()
        except Cancelled as error:
            return self.explain(error)

    @property
    def ready(self) -> int:
        """How many items the caller's loop can have without waiting, where that asks nobody for another item."""
        alone = len(self._stages) == 1 and self.input is not None and not self.input.by_items
        return self.input.ready if alone and self.input is not None else 0

    def tell_cost(self, memory: int, cpu: int, delayed: int) -> None:
        """Say on the board what its process has taken: bytes at most, ns of a processor, and ns of waiting for one."""
        for row in self._rows:
            row[Cell.MEMORY] = max(row[Cell.MEMORY], memory)
            row[Cell.CPU] += cpu
            row[Cell.DELAYED] += delayed

    def explain(self, error: BaseException) -> Outcome:
        """What an exception that came out of running it means."""
        interrupted, self._winding_up = self._winding_up, True
        if interrupted:
            return Interrupted()
        if not self._stages:
            return Failed(failure_texts.not_started(self.who, error), error)
        return self._stages[-1].explain(error)

    def _unsent(self) -> Failed | None:
        """Why it could not send, whatever the function made of the Cancelled that it was told that by."""
        if self.output is None or (refused := self.output.refused) is None:
            return None
        return Failed(failure_texts.channel_failed(self.who, os.getpid(), refused, "send"), refused)

    def _tell_once(self, outcome: Outcome) -> None:
        """Tell how it has ended, unless that was told."""
        if self._tell is not None and self._has_told.acquire(blocking=False):
            self._tell(outcome)

    def fail(self, failed: Failed) -> None:
        """Tell a failure at once, while the worker's own thread cannot. Any thread may call it."""
        self._tell_once(failed)

    def _tell_of_flusher(self, error: BaseException) -> None:
        """What the flusher has failed of ends the run, whatever the worker is in."""
        outcome = self._unsent() or (self._stages[-1].explain(error) if isinstance(error, ItemFault) else None)
        if isinstance(outcome, Failed):
            self._tell_once(outcome)

    def interrupt(self) -> None:
        """Raise Cancelled in the worker's thread, which must be the caller's, unless it is on its way out already."""
        self._woken.set()
        self.was_terminated |= not self._board.flag(self._group)[0]
        if self._is_shielded:
            self._was_put_off = True
        elif not (self._winding_up or any(stage.cancelled for stage in self._stages)):
            self._winding_up = True
            cancelled = Cancelled("the run was cancelled")
            self._raised = weakref.ref(cancelled)
            raise cancelled

    def take_back(self, lost: BaseException | None) -> bool:
        """Whether this is what `interrupt` has raised. If so, it was lost in a finalizer: the next one raises again."""
        is_ours = lost is not None and self._raised is not None and self._raised() is lost
        if is_ours:
            self._winding_up = False
        return is_ours

    @contextmanager
    def uninterrupted(self) -> Generator[None, None, None]:
        """Put an interruption off until the end of the block."""
        self._is_shielded = True
        try:
            yield
        finally:
            self._is_shielded = False
        if self._was_put_off:
            self.interrupt()

    def wake(self) -> None:
        """End a pause that it is in, and what runs within it. Any thread may call it."""
        self._woken.set()
        for stage in tuple(self._stages):
            stage.wake()

    def close(self, outcome: Outcome, tell: Callable[[Outcome], object] | None = None) -> None:
        """Close its generators and its ends; if it has finished, say so on the board first. Once: then do nothing.

        tell: takes the outcome before the ends are closed: neighbours find them so, and say later what they make of it.
        A failure even before the generators are closed, which may take long.
        """
        self._winding_up = True
        if self._is_closed:
            return
        self._is_closed = True
        self._tell = tell
        if isinstance(outcome, Failed):
            self._tell_once(outcome)
        if not isinstance(outcome, Finished):
            with suppress(Exception):  # the run has failed already, for a reason that came before this one
                self._close_stages()
        for row in self._rows:
            wait_times.end(row, time.monotonic_ns())
            if isinstance(outcome, Finished):
                row[Cell.STATE] = State.STOPPED if outcome.early else State.DONE
        self._tell_once(outcome)
        if self.output is not None:
            self.output.close()
        self._endpoints.close()
        self._tell = None  # it leads to this worker: no cycle keeps the board mapped

    def _close_stages(self) -> None:
        """The last one first; each of them, whatever another one raises."""
        with ExitStack() as stack:
            for stage in self._stages:
                stack.callback(stage.close)
