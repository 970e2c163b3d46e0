"""A worker receives items, runs its stages and sends the results. Every executor runs this loop.

A worker runs one stage, or several stages that share a thread (`Inline`). Each stage pulls items from its input:

    channel -> Input -> stage -> Link -> stage -> ... -> Output -> channel
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from contextvars import Context
from typing import Any

from ..durable.notes import Notes, unheard
from ..errors import Cancelled, DeadItem
from ..ipc import wait_times
from ..ipc.board import Board, Cell, State
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..ipc.wakeups import Event
from ..logs.records import LogsEnd
from ..messages import failure_texts
from ..messages.names import WorkerName
from ..pickling.items import ItemFault
from ..pickling.shared_functions import Loadable
from ..plan.bound import Bound
from ..plan.operators import Operator
from .async_output import AsyncOutput
from .current_worker import runs_stages
from .endpoints import Endpoints
from .frame_room import with_frame_room
from .interruption import Interruption
from .kind_of_input import kind_of_input
from .left_out import Tools
from .link import Link
from .numbering_link import numbering_link
from .operator_run import Condemned, OperatorRun
from .outcome import Failed, Finished, Interrupted, Outcome
from .outcome_report import OutcomeReport
from .output import Output
from .resumed_origin import ResumedOrigin
from .retirement import Retirement
from .seeds import Seed
from .set_up import SetUps
from .span_sender import SpanSender
from .stage_run import ChannelInput, ItemSource, StageFailed, StageRun
from .surroundings import Surroundings
from .work import Assignment, Work

__all__ = ["Worker"]

# The attributes that are not pickled. The surroundings are sent first, because the worker finds its modules by them.
LOCAL = ("takers", "note", "surroundings", "context", "set_ups", "report", "_woken")
CALLERS_LOOP = Bound(iter)


class Worker:
    """One running copy of a stage, or of several stages that share it. The executor calls `run` in a process or thread.

    work, assignments, code: what it has in common with the workers of its group, its own stages, and their functions.
    takers: take the dead letters of each element-wise stage, in the process that has started the worker.
    note: takes what it tells the journal of a durable run, in the same process.
    condemned: items that ended its predecessors, by position in the current frame.
    retirement: decides when it retires by itself; None if it does not.
    logs, surroundings, seed: for a worker process. It keeps `logs` until it ends. The run closes the surroundings.
    context: the context variables for a thread. Only this thread enters the context.
    input_of: makes its input.
    """

    def __init__(
        self,
        work: Work,
        assignments: Sequence[Assignment],
        code: Loadable,
        board: Board,
        endpoints: Endpoints,
        *,
        takers: Sequence[Callable[[DeadItem], object]] = (),
        note: Callable[[Notes], object] = unheard,
        condemned: Mapping[int, Condemned] | None = None,
        retirement: Retirement | None = None,
        logs: LogsEnd | None = None,
        surroundings: Surroundings | None = None,
        seed: Seed | None = None,
        context: Context | None = None,
        input_of: Callable[..., ChannelInput] = ChannelInput,
    ) -> None:
        self._work = work
        self.assignments = assignments
        self.takers = takers
        self.note = note
        self._condemned = condemned or {}
        self.retirement = retirement
        self.logs = logs
        self.surroundings = surroundings
        self._seed = seed
        self.context = context if context is not None else Context()
        self._input_of = input_of
        self.thread: int | None = None
        self.set_ups = SetUps()
        self._woken = Event()
        self.report = OutcomeReport()
        self.code = code
        self.board = board
        self.rows: list[memoryview] = []
        self._endpoints = endpoints
        self._stages: list[StageRun] = []
        self._links: list[Link] = []
        self.input: ChannelInput | None = None
        self.output: Output | None = None
        self.spans: SpanSender | None = None
        self._numbering_link: Link | None = None
        self.interruption = Interruption(self._stages)
        self._is_closed = False
        # Whether it was interrupted although its run was not cancelled.
        self.was_terminated = False

    @property
    def who(self) -> WorkerName:
        """The stage that messages name if they mean no single stage: the last one."""
        return self.assignments[-1].who

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The memory from which a replacement continues. None if the worker cannot be replaced."""
        return self._endpoints.checkpoint

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        logs = [self.logs.pipe] if self.logs is not None else []
        streams = self.surroundings.descriptors if self.surroundings is not None else ()
        return [*self.board.descriptors, *logs, *streams, *self._endpoints.descriptors]

    def hand_over(self) -> None:
        """Another process owns the worker now, or no process does. Close this process's copies of its ends."""
        self._endpoints.close()
        if self.logs is not None:
            self.logs.pipe.close()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in LOCAL}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = {"context": Context(), "set_ups": SetUps(), "report": OutcomeReport(), "_woken": Event()}
        vars(self).update(state, surroundings=None, **fresh)

    @runs_stages(lambda worker: worker.assignments[-1].current_worker())
    def run(
        self, report_outcome: Callable[[Outcome], object] | None = None, drive: Callable[[StageRun], Any] | None = None
    ) -> Outcome:
        """Receive, run and send until the end, and close the ends. Returns the outcome.

        report_outcome: receives the outcome, too; see `close`. drive: runs the last stage and returns a sink's value.
        """
        self.report.to = report_outcome
        try:
            last = self._open()
            value = with_frame_room(drive or self._drive, last)
            outcome = last.check_returned() or self._finish(value)
        except BaseException as error:
            outcome = self.explain(error)
        outcome = self._unsent() or outcome
        self.close(outcome, report_outcome)
        return outcome

    def _open(self) -> StageRun:
        self.thread = threading.get_ident()
        # This imports user modules, so it may be interrupted. The seed must come afterwards, to include these modules.
        calls = self.code.load()
        if self._seed is not None:
            self._seed.sow()
        turn = self._endpoints.turn
        if turn is not None and not self.set_ups.wait_for(turn, self.assignments, calls):
            # No interruption reaches the tear-down from now on.
            self.interruption.is_winding_up = True
            self.set_ups.leave_with_process()
            raise Cancelled("the worker is not needed")
        self.interruption.delay()
        last = self._connect(calls)
        self.interruption.resume()
        # An event loop calls it when it runs.
        if not self._work.awaits:
            self.set_up()
        return last

    def set_up(self) -> None:
        """Let the factories make the functions of the stages; then publish that the worker runs. Raises StageFailed."""
        self.set_ups.enter(self._stages)
        for row in self.rows:
            row[Cell.STATE], row[Cell.STARTED] = State.RUNNING, time.monotonic_ns()

    def _connect(self, calls: Sequence[Bound]) -> StageRun:
        endpoints = self._endpoints
        endpoints.open(self.board, self.assignments[0].row)
        if self.checkpoint is not None:
            self.checkpoint.restore_counts(self.board.row(self.assignments[0].row))
        operators = [call for call in calls if isinstance(call, Operator)]
        several = any(operator.several for operator in operators)
        by_items = len(operators) == len(self.assignments)
        passes_on = endpoints.receiver is not None and by_items
        if endpoints.sender is not None:
            row = self.board.row(self.assignments[-1].row)
            hint, flag = self.board.hint(self._work.group), self.board.flag(self._work.group)
            numbering = self.who.number - 1, self._work.whole
            kind_of_output = AsyncOutput if self._work.awaits else Output
            failed = self._flusher_failed
            self.output = kind_of_output(endpoints.sender, row, hint, flag, endpoints.room, *numbering, failed)
        self.spans = SpanSender(self.note, autocommits=by_items) if self._work.tells_done else None
        source: ItemSource | None = None
        if endpoints.receiver is not None:
            place = self.board, self.assignments[0].row, self._work.group, self._work.producers
            output = None if self._work.awaits else self.output
            kind = endpoints.reorder_buffer, passes_on, several, self._work.watched
            input_of = kind_of_input(
                self._input_of, self._work, self.assignments[0], self.output, self.spans, self.note
            )
            source = self.input = input_of(endpoints.receiver, *place, output, *kind, self.retirement)
            if passes_on and self.output is not None and not self._work.awaits:
                self.output.number_by(self.input.number)
        for assignment, call in zip(self.assignments, (*calls, CALLERS_LOOP), strict=False):
            row = self.board.row(assignment.row)
            self.rows.append(row)
            if self._stages:
                ways = {"watched": self._work.watched, "looks_ahead": self.output is not None}
                self._links.append(source := Link(self._stages[-1], call, row, **ways))
            self._stages.append(self._stage(assignment, call, source, row))
        last = self._stages[-1]
        if isinstance(last, OperatorRun) and last.tolerates and self.output is not None:
            last.check = self.output.check
        origin = self.who.number - 1
        self._numbering_link = numbering_link(self.output, self._stages, self._links, origin, several=several)
        # The worker may have been woken in the meantime.
        if self._woken.is_set:
            self.wake()
        return last

    def _stage(self, assignment: Assignment, call: Bound, source: ItemSource | None, row: memoryview) -> StageRun:
        if not isinstance(call, Operator):
            if assignment.resumes:
                allowance = self._endpoints.allowance if assignment.goes_on.is_limited else None
                return ResumedOrigin(assignment, call, source, row, self._is_over, self.note, allowance)
            return StageRun(assignment, call, source, row, self._is_over)
        assert source is not None
        taker = self.takers[sum(isinstance(each, OperatorRun) for each in self._stages)]
        siblings = [self.board.row(each) for each in assignment.siblings]
        tools = Tools(siblings, self._pause, taker, self._is_over, self._endpoints.receipts)
        return OperatorRun(assignment, call, source, row, self._is_over, tools)

    def _pause(self, seconds: float) -> None:
        """Wait for some seconds. Raises Cancelled after an interruption or a wake-up."""
        self._woken.wait(seconds)
        if self._is_over():
            raise Cancelled("the run was cancelled")

    def _is_over(self) -> bool:
        """Whether the run was ended early. If not, a Cancelled comes from the function that raised it."""
        is_cut_off = self.output is not None and self.output.cancelled
        return is_cut_off or self._woken.is_set or bool(self.board.flag(self._work.group)[0])

    def _drive(self, last: StageRun) -> Any:
        worker_input, output = self.input, self.output
        if self.checkpoint is not None and isinstance(last, OperatorRun) and worker_input is not None:
            return last.guard(worker_input, output, self._condemned)
        if output is None:
            return last.start() if self.spans is None else self.spans.run(last.start)
        by_items = len(self._stages) > 1 or worker_input is None or worker_input.by_items or output.is_bounded
        if isinstance(last, OperatorRun) and last.operator.by_frames and worker_input is not None and not by_items:
            last.forward(worker_input, output)
        else:
            output.pump(last.start())
        return None

    def _finish(self, value: Any = None) -> Outcome:
        self._close_stages()
        for link in self._links:
            link.settle()
        if self.input is not None:
            self.input.count()
        if self.output is not None:
            self.output.finish(self._numbering_link.delivered if self._numbering_link is not None else None)
        stopped = any(stage.stopped_early for stage in self._stages)
        if self.spans is not None:
            self.spans.finish(stopped=stopped)
        retired = self.input is not None and self.input.has_retired and self.retirement is not None
        # The tear-down comes last: a policy may repeat a call whose result could not be sent.
        with self.interruption.delayed():
            self.set_ups.leave(with_process=retired)
        return Finished(value, stopped, retired)

    def chunks(self) -> Generator[Iterable[Any], None, Outcome]:
        """Yield iterables of the last stage's items, which never raise. Returns the outcome of the worker."""
        try:
            yield from self._open().chunks()
            return self._finish()
        except (Cancelled, StageFailed) as error:
            return self.explain(error)

    @property
    def sole_input(self) -> ChannelInput | None:
        """The input, if the caller's loop gets its items from it, and not from a stage in the caller's thread."""
        return self.input if len(self._stages) == 1 else None

    @property
    def frame_input(self) -> ChannelInput | None:
        """The same, if no item needs work of its own."""
        received = self.sole_input
        return None if received is None or received.by_items else received

    @property
    def needs_exact_spans(self) -> bool:
        """Whether its spans must cover just the items that it has processed."""
        return self._work.exact_spans

    def explain(self, error: BaseException) -> Outcome:
        """The outcome for an exception from the stages or from the channels."""
        interruption = self.interruption
        was_interrupted, interruption.is_winding_up = interruption.is_winding_up, True
        if was_interrupted:
            return Interrupted()
        if isinstance(error, StageFailed):
            return error.failed
        if not self._stages:
            return Failed(failure_texts.not_started(self.who, error), error)
        return self._stages[-1].explain(error)

    def _unsent(self) -> Failed | None:
        """The failure to send, even if the function ignored the Cancelled that reported it."""
        if self.output is None or (refused := self.output.refused) is None:
            return None
        return Failed(failure_texts.channel_failed(self.who, os.getpid(), refused, "send"), refused)

    def _flusher_failed(self, error: BaseException) -> None:
        """The flusher has failed. Report it at once: the worker's own thread may be busy for long."""
        outcome = self._unsent() or (self._stages[-1].explain(error) if isinstance(error, ItemFault) else None)
        if isinstance(outcome, Failed):
            self.report.once(outcome)

    def interrupt(self) -> None:
        """Raise Cancelled in the worker's thread, unless the worker is ending already. Only that thread may call it."""
        self._woken.set()
        self.was_terminated |= not self.board.flag(self._work.group)[0]
        self.interruption.interrupt()

    def wake(self) -> None:
        """End a pause of the worker, and the runs inside it. Any thread may call it."""
        self._woken.set()
        for stage in tuple(self._stages):
            stage.wake()

    def close(self, outcome: Outcome, report_outcome: Callable[[Outcome], object] | None = None) -> None:
        """Close the generators and the ends. First publish on the board that it has finished. Later calls do nothing.

        report_outcome: receives a failure before the generators are closed, which may take long, and any outcome before
        the ends are closed. So no neighbour can report the closed ends first.
        """
        self.interruption.is_winding_up = True
        if self._is_closed:
            return
        self._is_closed = True
        self.report.to = report_outcome
        if self.spans is not None and not isinstance(outcome, Finished):
            self.spans.close_early()
        if isinstance(outcome, Failed):
            self.report.once(outcome)
        if not isinstance(outcome, Finished):
            # The run has failed before, so this error is not the reason. A thread that is killed raises Cancelled.
            with suppress(Exception, Cancelled):
                self._close_stages()
            self.set_ups.leave_after(outcome.error)
        for row in self.rows:
            wait_times.end(row, time.monotonic_ns())
            if isinstance(outcome, Finished):
                row[Cell.STATE] = outcome.state
        if isinstance(outcome, Finished) and outcome.retired:
            # Its successor opens the same ends as soon as this is reported. Nobody misses them until then.
            self._close_ends()
        self.report.once(outcome)
        self._close_ends()
        # It refers to this worker, and the cycle would keep the board mapped.
        self.report.to = None

    def _close_ends(self) -> None:
        if self.output is not None:
            self.output.close()
        self._endpoints.close()

    def _close_stages(self) -> None:
        """Close all stages, the last one first, even if some raise."""
        with ExitStack() as stack:
            for stage in self._stages:
                stack.callback(stage.close)
