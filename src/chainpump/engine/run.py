"""One execution of a plan: starts its workers, gives the caller its items or its value, and tells how it ended."""

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
    """A running pipeline. Use it in a `with`: leaving the block cancels what still runs.

    Iterate it for the items of a pipeline; ask `result()` of one that ends in a sink.
    """

    def __init__(self, stages: Sequence[PlannedStage], settings: RunSettings) -> None:
        self._process = os.getpid()
        self._grace = settings.grace
        self._caller: Worker | None = None
        self._caller_outcome: Outcome | None = None
        self._items: Generator[Iterable[T], None, Outcome] | None = None
        # Taken by the thread that waits for items.
        self._asking = threading.RLock()
        self._is_asked = False
        self._is_closed = False
        # Half of it could not be closed.
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
                self._observing = Observing(settings.observers, meter.places, meter.read, meter.counts, meter.length)
            self._at_exit = partial(_close, weakref.ref(self))
            atexit.register(self._at_exit)
        self._start()

    def _start(self) -> None:
        """Start the workers: processes before threads, since a fork must not copy threads of ours."""
        try:
            wiring = self._wiring
            slots = [slot for slot in wiring.all_slots if slot.number < slot.group.at_first]
            for slot in sorted(slots, key=lambda slot: not slot.group.own_process):
                with defer_ctrl_c():
                    try:
                        if slot.group.is_caller:
                            self._caller = self._supervisor.caller = wiring.worker(slot)
                            slot.say_pid(os.getpid())
                        else:
                            self._supervisor.start_worker(slot)
                    except Exception as error:
                        raise RunError(failure_texts.not_started(slot.who, error)) from error
            wiring.started()
            try:
                self._supervise()
                # A thread that is started, and not known, would be left behind.
                with defer_ctrl_c():
                    self._dead_letters.start()
                    self._logs.start()
                    if self._observing is not None:
                        self._observing.start()
            except RuntimeError as error:
                raise RunError(failure_texts.no_run(error)) from error
        except BaseException:
            # Of a thread that the system refuses: then the workers have ended here.
            with suppress(RuntimeError):
                self._supervise()
            self.close()
            raise

    def _supervise(self) -> None:
        """Have the workers watched. Half of that would leave them to nobody, so Ctrl-C waits for it."""
        with defer_ctrl_c():
            self._supervisor.start()

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # It had been wired.
        if hasattr(self, "_at_exit"):
            self.close()

    def __iter__(self) -> Iterator[T]:
        """The items of the last stage, each once. Raises RunError as soon as the run has failed.

        Threads may share it, or have an iterator each: every item goes to one of them, and an error to all.
        """
        return items_of(lambda: self, owned=False)

    def next_items(self) -> Iterable[T] | None:
        """The items to go on with; None at the end. Raises what `iter` raises, for each thread that asks.

        Two threads may be given the same iterable, which is an iterator over a list then. Taking from one is atomic,
        and it raises nothing by itself.
        """
        self._check_process()
        with self._asking:
            if self._is_asked:
                raise RunError(failure_texts.asked_within(self._wiring.groups[-1].who(-1, 0)))
            self._is_asked = True
            try:
                return self._next_items()
            finally:
                self._is_asked = False

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
                # Ctrl-C.
                self.close()
                raise
            caller.close(outcome, self._tell_of_caller)
        self._conclude()
        return None

    def _check_process(self) -> None:
        """Raises RunError in a process that was forked off: the workers are its parent's."""
        if os.getpid() != self._process:
            raise RunError(failure_texts.forked_off(self._wiring.groups[-1].who(-1, 0), self._process))

    def take_ready(self, items: Iterator[T]) -> list[T]:
        """The next items of an iterator over this run that need no waiting, but one at least; none at the end."""
        found = list(islice(items, 1))
        if found and self._caller is not None:
            found += islice(items, self._caller.ready)
        return found

    def result(self) -> Any:
        """Wait for the end, and return what the sink returned: a list of values if it has several workers.

        None behind `each`.

        Raises the sink's own exception, or RunError.
        """
        self._check_process()
        with self._asking:
            if self._caller is not None:
                self._caller.run(self._tell_of_caller)
        self._conclude()
        if self._wiring.groups[-1].is_element_wise:
            return None
        values = [slot.finished.value for slot in self._wiring.slots[-1] if slot.finished is not None]
        return values[0] if self._wiring.groups[-1].workers == 1 else values

    def _tell_of_caller(self, outcome: Outcome) -> None:
        """Say how the caller's own worker has ended."""
        self._caller_outcome = outcome
        self._supervisor.post(Ended(len(self._wiring.groups) - 1, 0, outcome, time.monotonic_ns()))

    def _conclude(self) -> None:
        """Wait for the end of the run; raise what went wrong, or what does not add up."""
        try:
            self._supervisor.join()
        finally:
            # Ctrl-C while waiting cancels the run.
            self.close()
        error = self._ending().error()
        if error is None:
            return
        stalled = self._supervisor.stalled
        if isinstance(error, StallError) and stalled is not None:
            reading, where = stalled
            error.progress = self._progress(reading)
            error.add_note(where)
        # The sink's own exception may take none.
        with suppress(Exception):
            # Or may have one.
            if getattr(error, "report", None) is None:
                error.report = self.report()  # type: ignore[attr-defined]
        try:
            raise error
        finally:
            # Its traceback leads to this frame: no cycle keeps the run.
            del error

    def _ending(self) -> Ending:
        """How the run, which is over, has ended."""
        supervisor, state = self._supervisor, self._supervisor.state
        if self._dead_letters.refusal is not None:
            item, cause = self._dead_letters.refusal
            return Ending([Failed(failure_texts.refused(item.stage, item.index, cause), cause)])
        if supervisor.defect is not None:
            return Ending(exception=supervisor.defect)
        if state.failures:
            first = state.failures[0]
            # Ctrl-C while a stage ran in the caller's thread: no failure of the stage.
            if isinstance(first.cause, KeyboardInterrupt) and first is self._caller_outcome:
                return Ending(exception=first.cause)
            return Ending(state.failures)
        if state.broken is not None or state.left:
            return Ending([Failed(self._broken_off(state.broken))], was_left=state.left)
        unaccounted = ledger.check(supervisor.accounts) or ledger.check_passed(supervisor.accounts, supervisor.passed)
        return Ending([Failed(unaccounted)] if unaccounted is not None else ())

    def _broken_off(self, broken: tuple[int, int] | None) -> Failure:
        """Why a run has ended early although nobody has failed. broken: the place of a worker that was cut off."""
        if broken is None:
            return failure_texts.left(self._wiring.groups[-1].who(-1, 0))
        group, number = broken
        return failure_texts.broken_off(self._wiring.slots[group][number].who)

    @property
    def dead_letters(self) -> Sequence[DeadItem]:
        """What `DeadLetter` policies without `to=` have put aside so far."""
        return tuple(self._dead_letters.kept)

    def progress(self) -> Progress:
        """How far it is: a snapshot of every stage, and of the whole since it was opened. Any thread may ask.

        >>> from chainpump import Pipeline
        >>> with Pipeline(range(10)).open() as run:
        ...     numbers = list(run)
        ...     run.progress().items
        10

        After the end it tells how everything was then.
        """
        return self._progress(self._supervisor.meter.read())

    def _progress(self, reading: Reading) -> Progress:
        meter = self._supervisor.meter
        return progress(meter.places, reading, length=meter.length)

    def report(self, value: Any = None) -> Report[Any]:
        """What it looked like, once it is over, with this value. Of one that goes on: what it looks like so far."""
        meter, seen = self._supervisor.meter, self._observing
        reading = meter.read()
        status, error = self._ending().status() if reading.is_over else ("running", None)
        peaks, samples = (seen.peaks, seen.history.samples) if seen is not None else (None, ())
        latency = seen.latencies.latency if seen is not None else None
        return report(
            meter.places,
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
        """Have the run end early, without waiting for that. Any thread may call it."""
        self._supervisor.post(Left(time.monotonic_ns()))
        caller = self._caller
        if caller is not None:
            caller.wake()

    def close(self) -> None:
        """Cancel what still runs, and wait until nothing of it is left. Does nothing once the run has ended."""
        # A fork has copied this object: the run is the parent's.
        if self._is_closed or os.getpid() != self._process:
            return
        atexit.unregister(self._at_exit)
        self.cancel()
        # Garbage is collected anywhere: even in a worker of this run, or by who is starting one of another run.
        if self._supervisor.is_current_thread() or is_forking():
            self._dead_letters.close(within=0)
            if self._observing is not None:
                self._observing.close(within=0)
            return
        # If Ctrl-C has broken into the start before anybody was watched.
        self._supervise()
        self._supervisor.join()
        went_well = self._supervisor.state.went_well
        within = None if went_well else self._grace
        try:
            self._logs.close(went_well)
        finally:
            # Ctrl-C while waiting.
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
        """Give the board's memory back, unless another thread is about to write there still."""
        is_alone = self._asking.acquire(blocking=False)
        try:
            self._wiring.board.release(with_views=is_alone and not self._supervisor.has_left_behind)
        finally:
            if is_alone:
                self._asking.release()


def _cancel(run: weakref.ref[Run[Any]]) -> None:
    alive = run()
    if alive is not None:
        alive.cancel()


def _close(run: weakref.ref[Run[Any]]) -> None:
    """At the exit of the interpreter, before `multiprocessing` waits for workers that nobody will stop."""
    alive = run()
    if alive is not None:
        alive.close()
