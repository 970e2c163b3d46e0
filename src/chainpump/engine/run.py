"""One execution of a plan: starts its workers, gives the caller its items or its value, and reports how it ended."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import DeadItem, Failure, RunError, StallError
from ..executors.signals import defer_ctrl_c
from ..ipc.descriptors import is_forking
from ..logs.receiver import Logs
from ..logs.records import warn
from ..messages import failure_texts
from ..plan.planned_stage import PlannedStage
from ..progress.observer_thread import Observing
from ..progress.reading import Reading
from ..progress.report import Report, report
from ..progress.snapshot import Progress, progress
from ..worker.outcome import Failed, Interrupted, Outcome
from ..worker.worker import Worker
from . import ledger
from .dead_letters import DeadLetters
from .ending import Ending
from .items import items_of
from .lifecycle import Ended, Left
from .run_settings import RunSettings
from .supervisor import Supervisor
from .wiring import Wiring

__all__ = ["Run"]

T = TypeVar("T")


class Run(Generic[T]):
    """A running pipeline. Use it in a `with` block: the end of the block cancels the run if it still goes on.

    Iterate over it for the items of a pipeline. Call `result()` for a pipeline that ends in a sink.
    """

    def __init__(self, stages: Sequence[PlannedStage], settings: RunSettings) -> None:
        self._process = os.getpid()
        self._grace = settings.grace
        self._caller: Worker | None = None
        self._caller_outcome: Outcome | None = None
        self._items: Generator[Iterable[T], None, Outcome] | None = None
        # Held by the thread that waits for items.
        self._items_lock = threading.RLock()
        self._is_closed = False
        # A run that is only partly built could not be closed.
        with defer_ctrl_c():
            self._dead_letters = DeadLetters(settings.dead_letters, partial(_cancel, weakref.ref(self)))
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
                    settings.observers, meter.stage_facts, meter.read, meter.counts, meter.length
                )
            self._at_exit = partial(_close, weakref.ref(self))
            atexit.register(self._at_exit)
        self._start()

    def _start(self) -> None:
        """Start the workers. Processes come before threads: a fork must not happen while threads of the run exist."""
        try:
            wiring = self._wiring
            slots = [slot for slot in wiring.all_slots if slot.number < slot.group.at_first]
            for slot in sorted(slots, key=lambda slot: not slot.group.own_process):
                with defer_ctrl_c():
                    try:
                        if slot.group.is_caller:
                            self._caller = self._supervisor.caller = wiring.worker(slot)
                            slot.set_pid(os.getpid())
                        else:
                            self._supervisor.start_worker(slot)
                    except Exception as error:
                        raise RunError(failure_texts.not_started(slot.who, error)) from error
            wiring.started()
            try:
                self._supervise()
                # Ctrl-C must not come between the start of a thread and the assignment that stores it.
                with defer_ctrl_c():
                    self._dead_letters.start()
                    self._logs.start()
                    if self._observing is not None:
                        self._observing.start()
            except RuntimeError as error:
                raise RunError(failure_texts.no_run(error)) from error
        except BaseException:
            # If the system refuses a thread for the supervisor, this call has ended the workers.
            with suppress(RuntimeError):
                self._supervise()
            self.close()
            raise

    def _supervise(self) -> None:
        """Start the supervisor. Ctrl-C is deferred: otherwise the workers might run without a supervisor."""
        with defer_ctrl_c():
            self._supervisor.start()

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A run whose constructor has failed has nothing to close.
        if hasattr(self, "_at_exit"):
            self.close()

    def __iter__(self) -> Iterator[T]:
        """The items of the last stage, each once. Raises RunError as soon as the run has failed.

        Threads may share it, or have an iterator each: every item goes to one of them, and an error to all.
        """
        return items_of(lambda: self, owned=False)

    def next_items(self) -> Iterable[T] | None:
        """The next items; None at the end. Raises the same errors as iteration, in each thread.

        Two threads may get the same iterable. It is an iterator over a list in this case: `next` of it is atomic, and
        raises no error of its own.
        """
        self._check_process()
        with self._items_lock:
            if self._supervisor.has_request:
                raise RunError(failure_texts.asked_within(self._wiring.groups[-1].who(-1, 0)))
            self._supervisor.has_request = True
            try:
                return self._next_items()
            finally:
                self._supervisor.has_request = False

    def _next_items(self) -> Iterable[T] | None:
        caller = self._caller
        if caller is not None:
            try:
                if self._items is None:
                    self._items = caller.chunks()
                return next(self._items)
            except StopIteration as end:
                outcome: Outcome = end.value
            except BaseException:
                # Ctrl-C cancels the run.
                self.close()
                raise
            caller.close(outcome, self._report_caller)
        self._conclude()
        return None

    def _check_process(self) -> None:
        """Raises RunError in a forked process: the workers belong to its parent."""
        if os.getpid() != self._process:
            raise RunError(failure_texts.forked_off(self._wiring.groups[-1].who(-1, 0), self._process))

    def take_ready(self, items: Iterator[T]) -> list[T]:
        """The next items of an iterator over this run: at least one, and more if they are ready; none at the end."""
        found = list(islice(items, 1))
        if found and self._caller is not None:
            found += islice(items, self._caller.ready)
        return found

    def result(self) -> Any:
        """Wait for the end, and return the value of the sink: a list of values if the sink has several workers.

        The value is None if the pipeline ends with `each`.

        Raises the sink's own exception, or RunError.
        """
        self._check_process()
        with self._items_lock:
            if self._caller is not None:
                self._caller.run(self._report_caller)
        self._conclude()
        if self._wiring.groups[-1].is_element_wise:
            return None
        values = [slot.finished.value for slot in self._wiring.slots[-1] if slot.finished is not None]
        return values[0] if self._wiring.groups[-1].workers == 1 else values

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
        # The sink's own exception may forbid new attributes.
        with suppress(Exception):
            # It may also have a report already, of a run inside the sink.
            if getattr(error, "report", None) is None:
                error.report = self.report()  # type: ignore[attr-defined]
        try:
            raise error
        finally:
            # The traceback refers to this frame. Without the reference back, there is no cycle that keeps the run.
            del error

    def _ending(self) -> Ending:
        """The ending of the run, which is over."""
        supervisor, state = self._supervisor, self._supervisor.state
        if self._dead_letters.refusal is not None:
            item, cause = self._dead_letters.refusal
            return Ending([Failed(failure_texts.refused(item.stage, item.index, cause), cause)])
        if supervisor.defect is not None:
            return Ending(exception=supervisor.defect)
        if state.failures:
            first = state.failures[0]
            # Ctrl-C while a stage ran in the caller's thread is no failure of the stage.
            if isinstance(first.cause, KeyboardInterrupt) and first is self._caller_outcome:
                return Ending(exception=first.cause)
            return Ending(state.failures)
        if state.broken is not None or state.left:
            return Ending([Failed(self._early_end(state.broken))], was_left=state.left)
        unaccounted = ledger.check(supervisor.accounts) or ledger.check_passed(supervisor.accounts, supervisor.passed)
        return Ending([Failed(unaccounted)] if unaccounted is not None else ())

    def _early_end(self, broken: tuple[int, int] | None) -> Failure:
        """The failure of a run that has ended early although no worker has failed.

        broken: the slot of a worker that was interrupted.
        """
        if broken is None:
            return failure_texts.left(self._wiring.groups[-1].who(-1, 0))
        group, number = broken
        return failure_texts.broken_off(self._wiring.slots[group][number].who)

    @property
    def dead_letters(self) -> Sequence[DeadItem]:
        """The items that `DeadLetter` policies without `to=` have collected so far."""
        return tuple(self._dead_letters.kept)

    def progress(self) -> Progress:
        """The progress so far: a snapshot of every stage and of the whole run. Any thread may call this.

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
        return progress(meter.stage_facts, reading, length=meter.length)

    def report(self, value: Any = None) -> Report[Any]:
        """The report of the run, with this value. While the run goes on, the report covers the time so far."""
        meter, seen = self._supervisor.meter, self._observing
        reading = meter.read()
        status, error = self._ending().status() if reading.is_over else ("running", None)
        peaks, samples = (seen.peaks, seen.history.samples) if seen is not None else (None, ())
        latency = seen.latencies.latency if seen is not None else None
        return report(
            meter.stage_facts,
            reading,
            value,
            self.dead_letters,
            peaks,
            meter.interpreter,
            samples,
            latency,
            self._supervisor.decisions,
            status,
            error,
        )

    def cancel(self) -> None:
        """Make the run end early. Does not wait for the end. Any thread may call this."""
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
        self.cancel()
        # Garbage collection may call this in a worker of this run, or in the start of a worker of another run.
        if self._supervisor.is_current_thread() or is_forking():
            self._dead_letters.close(within=0)
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
        if self._caller is not None:
            self._caller.close(Interrupted())
            self._caller = None
        self._release()
        self._is_closed = True
        unclean, self._supervisor.unclean = self._supervisor.unclean, ()
        for text in unclean:
            warn(text)

    def _release(self) -> None:
        """Free the memory of the board, unless another thread may still write to it."""
        is_alone = self._items_lock.acquire(blocking=False)
        try:
            self._wiring.board.release(with_views=is_alone and not self._supervisor.has_left_behind)
        finally:
            if is_alone:
                self._items_lock.release()


def _cancel(run: weakref.ref[Run[Any]]) -> None:
    alive = run()
    if alive is not None:
        alive.cancel()


def _close(run: weakref.ref[Run[Any]]) -> None:
    """Close a run at the exit of the interpreter: otherwise `multiprocessing` would wait for its workers for ever."""
    alive = run()
    if alive is not None:
        alive.close()
