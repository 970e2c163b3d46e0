"""One execution of a plan: starts its workers, shows how it is, ends it, and reports how it ended."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from ..errors import DeadItem, Failure, JournalError, RunError, StallError
from ..executors.signals import defer_ctrl_c
from ..ipc.descriptors import holds_up_forks
from ..lazy_dataclass import replace
from ..logs.receiver import Logs
from ..logs.records import warn
from ..messages import failure_texts, run_texts
from ..messages.names import WorkerName
from ..messages.source_files import user_line
from ..plan.planned_stage import PlannedStage
from ..progress.observer_thread import Observing
from ..progress.reading import Reading
from ..progress.report import Report, report
from ..progress.run_record import Status
from ..progress.snapshot import Progress, progress
from ..worker.outcome import Interrupted, Outcome
from ..worker.worker import Worker
from .dead_letters import DeadLetters
from .ending import Ending, add_note, ending_of
from .lifecycle import Ended, Left
from .run_settings import RunSettings
from .supervisor import Supervisor
from .wiring import Wiring

__all__ = ["Execution"]

V = TypeVar("V")


class Execution:
    """What all runs have in common. Any thread may use a run: watch it, wait for it, or end it."""

    def __init__(self, stages: Sequence[PlannedStage], settings: RunSettings) -> None:
        self._process = os.getpid()
        self._grace = settings.grace
        self._is_part = settings.is_part
        self._recorder = settings.recorder
        self._caller: Worker | None = None
        self._caller_outcome: Outcome | None = None
        # Held by the thread that runs the caller's worker.
        self._caller_lock = threading.RLock()
        # The failure of a run that `cancel` ends.
        self._cancelled: Failure | None = None
        self._is_closed = False
        # The thread that releases the memory takes it and never releases it.
        self._has_released = threading.Lock()
        # A run that is only partly built could not be closed.
        with defer_ctrl_c():
            self._dead_letters = DeadLetters(settings.dead_letters, partial(_cancel, weakref.ref(self)), self._recorder)
            self._logs = Logs()
            try:
                self._wiring = Wiring(stages, settings, self._dead_letters, self._logs)
                try:
                    self._supervisor = Supervisor(self._wiring, settings)
                except BaseException:
                    self._wiring.close()
                    raise
            except OSError as error:
                raise RunError(failure_texts.no_run(error)) from error
            self._observing: Observing | None = None
            if settings.observers:
                meter = self._supervisor.meter
                self._observing = Observing(
                    settings.observers, meter.stage_facts, meter.read, meter.counts, meter.length, meter.done_before
                )
            self._at_exit = partial(_close, weakref.ref(self))
            atexit.register(self._at_exit)
        self._start()

    def _start(self) -> None:
        """Start the workers. Processes come before threads: a fork must not happen while threads of the run exist."""
        try:
            wiring = self._wiring
            slots = [slot for slot in wiring.all_slots if slot.number < slot.group.at_first]
            for slot in sorted(slots, key=lambda slot: not slot.group.has_own_interpreter):
                with defer_ctrl_c():
                    try:
                        if slot.group.is_caller:
                            self._caller = self._supervisor.stacks.caller = wiring.worker(slot)
                            slot.set_pid(os.getpid())
                        else:
                            self._supervisor.starter.start(slot)
                    except Exception as error:
                        raise RunError(failure_texts.not_started(slot.who, error)) from error
            wiring.started()
            try:
                self._supervise()
                # Ctrl-C must not come between the start of a thread and the assignment that stores it.
                with defer_ctrl_c():
                    self._dead_letters.start()
                    self._recorder.start(partial(_cancel, weakref.ref(self)), self._wiring)
                    self._logs.start()
                    if self._observing is not None:
                        self._observing.start()
            except RuntimeError as error:
                raise RunError(failure_texts.no_run(error)) from error
        except BaseException as error:
            # If the system refuses a thread for the supervisor, this call has ended the workers.
            with suppress(RuntimeError):
                self._supervise()
            self.close()
            if isinstance(error, KeyboardInterrupt):
                self._carry_report(error)
            raise

    def _supervise(self) -> None:
        """Start the supervisor. Ctrl-C is deferred: otherwise the workers might run without a supervisor."""
        with defer_ctrl_c():
            self._supervisor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
            self._recorder.release()
        finally:
            if isinstance(error, KeyboardInterrupt):
                self._carry_report(error)

    def __del__(self) -> None:
        # A run whose constructor has failed has nothing to close.
        if hasattr(self, "_at_exit"):
            self.close()

    def __repr__(self) -> str:
        stages = (stage.name for group in self._wiring.groups for stage in group.stages)
        return f"{type(self).__name__}({' -> '.join(stages)}, {self.status})"

    def _repr_html_(self) -> str:
        """Show in a notebook how it is, or was at its end."""
        # Few programs run in a notebook.
        from ..progress.html_table import progress_html

        return progress_html(self.progress())

    def _check_process(self) -> None:
        """Raises RunError in a forked process: the workers belong to its parent."""
        if os.getpid() != self._process:
            raise RunError(run_texts.forked_off(self._who, self._process))

    def _check_wait(self) -> None:
        """Raises RunError where a wait for the end of the run would last for ever."""
        self._check_process()
        is_caller = self._supervisor.requested_by == threading.get_ident()
        if is_caller or self._supervisor.is_current_thread() or self._dead_letters.is_current_thread():
            raise RunError(run_texts.waited_within(self._who))

    @property
    def _who(self) -> WorkerName:
        """What messages about the whole run name: the worker at its end."""
        return self._wiring.groups[-1].who(-1, 0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended, however it ends; returns whether it has.

        >>> from chainpump import Inline, Pipeline
        >>> with Pipeline(range(4)).into(sum, on=Inline()).open() as run:
        ...     run.wait(timeout=60), run.status
        (True, 'completed')

        timeout: seconds; with 0 it only asks. Any number of threads may wait. Ctrl-C ends the wait and not the run.
        The run of a pipeline does not end before a loop has taken all its items, in another thread.
        Raises RunError in a stage of the same run and in its function for dead letters, which would wait for
        themselves, and in a forked process.
        """
        self._check_wait()
        if timeout is None:
            return self._supervisor.conclusion.wait() and self._dead_letters.wait(None)
        seconds = min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        deadline = time.monotonic() + seconds
        if not self._supervisor.conclusion.wait(seconds):
            return False
        return self._dead_letters.wait(max(deadline - time.monotonic(), 0.0))

    @property
    def status(self) -> Status:
        """How the run is, as in its report: "running", "completed", "failed" or "cancelled". It never changes back."""
        return self._ending().status()[0] if self._is_over else "running"

    @property
    def _is_over(self) -> bool:
        return self._supervisor.conclusion.is_set and self._dead_letters.are_over

    def _report_caller(self, outcome: Outcome) -> None:
        """Report the outcome of the worker in the caller's thread."""
        self._caller_outcome = outcome
        self._supervisor.post(Ended(len(self._wiring.groups) - 1, 0, outcome, time.monotonic_ns()))

    def _conclude(self) -> None:
        """Wait for the end of the run. Raise its error, if there is one."""
        try:
            self._supervisor.join()
        finally:
            # Ctrl-C in the wait cancels the run.
            self.close()
        error = self._ending().error()
        if error is None:
            return
        stall = self._supervisor.stall
        if isinstance(error, StallError) and stall is not None:
            error.progress = self._progress(stall.reading)
            error.add_note(stall.stacks)
        self._carry_report(error)
        try:
            raise error
        finally:
            # The traceback refers to this frame. Without the reference back, there is no cycle that keeps the run.
            del error

    def _carry_report(self, error: BaseException) -> None:
        """Give an exception that leaves this run its report, for `report_of`, and a note about it."""
        # Of a part of another run, the user has no report.
        if self._is_part:
            return
        # The sink's own exception may forbid new attributes.
        with suppress(Exception):
            # It may also have a report already, of a run inside the sink. Ctrl-C has interrupted the outer run as well.
            if isinstance(error, KeyboardInterrupt) or getattr(error, "report", None) is None:
                report = self._report(None)
                error.report = report  # type: ignore[attr-defined]
                if report.status == "cancelled" or report.dead_letters:
                    add_note(error, run_texts.told(report.chain, report.line()))
                if report.journal and not isinstance(error, JournalError):
                    add_note(error, report.journal_line())

    def _ending(self) -> Ending:
        """The ending of the run, which is over."""
        early_end = self._cancelled or run_texts.left(self._who)
        return ending_of(
            self._wiring, self._supervisor, self._dead_letters, self._recorder, self._caller_outcome, early_end
        )

    @property
    def dead_letters(self) -> Sequence[DeadItem]:
        """The items that `DeadLetter` policies without `to=` have collected so far."""
        return tuple(self._dead_letters.kept)

    def progress(self) -> Progress:
        """The progress so far: a snapshot of every stage and of the whole run.

        >>> from chainpump import Pipeline
        >>> with Pipeline(range(10)).open() as run:
        ...     numbers = list(run)
        ...     run.progress().items
        10

        After the end, this is the state at the end.
        """
        return self._progress(self._supervisor.meter.read())

    def _progress(self, reading: Reading) -> Progress:
        meter = self._supervisor.meter
        return progress(meter.stage_facts, reading, length=meter.length, done_before=meter.done_before)

    def _report(self, value: V) -> Report[V]:
        """The report of the run so far, with this value."""
        meter, seen = self._supervisor.meter, self._observing
        reading = meter.read()
        ending = self._ending() if self._is_over else None
        status, error = ending.status() if ending is not None else ("running", None)
        peaks, samples = (seen.peaks, seen.history.samples) if seen is not None else (None, ())
        latency = seen.latencies.latency if seen is not None else None
        return replace(
            report(meter.stage_facts, reading, value, self.dead_letters, peaks, meter.interpreter),
            samples=samples,
            latency=latency,
            decisions=tuple(self._supervisor.decisions),
            status=status,
            error=error,
            started=meter.started,
            failed_stage=ending.failed_stage if ending is not None else None,
            journal=self._recorder.path,
            done_before=self._recorder.done_before,
            again_at_most=self._recorder.again_at_most,
            done=self._recorder.done_now,
            left=self._recorder.left_of(meter.length),
        )

    def cancel(self) -> None:
        """Make the run end early. Does not wait for the end. Any thread and any signal handler may call this.

        >>> from itertools import count
        >>> from chainpump import Pipeline, Threads
        >>> with Pipeline(count()).into(sum, on=Threads()).open() as run:
        ...     run.cancel()
        ...     run.wait(), run.status
        (True, 'cancelled')

        Its stages end as after a failure: their inputs raise `Cancelled`, and they have `grace=` seconds for clean-up.
        Threads that wait for a result or an item get a RunCancelledError, which locates the first call of `cancel`.
        After the end of the run, this does nothing. Raises RunError in a forked process.
        """
        self._check_process()
        if self._cancelled is None:
            self._cancelled = run_texts.cancelled(self._who, threading.current_thread().name, user_line())
        self._leave()

    def _leave(self) -> None:
        """Make the run end early. If nothing else is the reason, it was closed."""
        self._supervisor.post(Left(time.monotonic_ns()))
        caller = self._caller
        if caller is not None:
            caller.wake()

    def close(self) -> None:
        """Cancel the run if it still goes on, and wait until it has completely ended. Does nothing after the end."""
        # In a forked process, this object is a copy: the run belongs to the parent.
        if self._is_closed or os.getpid() != self._process:
            return
        atexit.unregister(self._at_exit)
        self._leave()
        # Garbage collection may call this in a worker of this run, or in the start of a worker of another run.
        if self._supervisor.is_current_thread() or holds_up_forks():
            self._dead_letters.close(within=0)
            self._recorder.end(lambda: "cancelled", waits=False)
            if self._observing is not None:
                self._observing.close(within=0)
            return
        # Ctrl-C may have interrupted the start before the supervisor was started.
        self._supervise()
        self._supervisor.join()
        went_well = self._supervisor.state.went_well
        within = None if went_well else self._grace
        try:
            self._logs.close(went_well)
        finally:
            # This is also needed if Ctrl-C interrupts the wait.
            self._dead_letters.close(within)
        if self._observing is not None:
            self._observing.close(within)
        self._recorder.leave(self._caller_lock)
        self._recorder.end(lambda: self._ending().status()[0])
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.close(Interrupted())
        if self._has_released.acquire(blocking=False):
            self._release()
        self._is_closed = True
        unclean, self._supervisor.unclean = self._supervisor.unclean, ()
        for text in unclean:
            warn(text)

    def _release(self) -> None:
        """Free the memory of the board, unless another thread may still write to it."""
        is_alone = self._caller_lock.acquire(blocking=False)
        try:
            self._wiring.board.release(with_views=is_alone and not self._supervisor.has_left_behind)
        finally:
            if is_alone:
                self._caller_lock.release()


def _cancel(run: weakref.ref[Execution]) -> None:
    alive = run()
    if alive is not None:
        alive.cancel()


def _close(run: weakref.ref[Execution]) -> None:
    """Close a run at the exit of the interpreter: otherwise `multiprocessing` would wait for its workers for ever."""
    alive = run()
    if alive is not None:
        alive.close()
