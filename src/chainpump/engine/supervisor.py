"""The supervisor: the one thread that waits for reports and deaths of all workers at the same time."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TypeAlias

from ..executors.base import Lost
from ..executors.fork_hazards import fork_hazard, locks_in_forks
from ..ipc.board import Cell
from ..ipc.descriptors import pipe
from ..ipc.wakeups import SharedEvent
from ..lazy_dataclass import replace
from ..logs.records import STALLS
from ..progress.scaling_rule import Decision
from ..worker.outcome import Failed, Finished, Interrupted, Outcome, SuccessorWanted
from . import lifecycle, replacement
from .autoscaler import Autoscaler
from .introspection import REQUEST
from .ledger import Account, Passed
from .lifecycle import Action, Broken, Cancel, Ended, Event, Left, Phase, Seal, Stalled, Started, UseForce
from .meter import Meter
from .run_settings import RunSettings
from .run_stacks import RunStacks
from .stalls import Stall, Stalls
from .started_worker import STACK_WITHIN, StartedWorker
from .starter import Starter
from .wiring import Wiring
from .worker_slot import WorkerSlot

__all__ = ["Supervisor"]

# What a worker has reported, or its death.
Report: TypeAlias = Outcome | Lost | SuccessorWanted

# Seconds until a worker that has received SIGTERM from outside counts as lost. A scheduler that stops a whole job sends
# SIGTERM to the main process, too. The reaction of the main process then decides how the run ends.
LEAVE_WITHIN = 0.25


class Supervisor:
    """Drives the lifecycle of one run, and owns its wiring and the slots of its workers from `start` to the end.

    Threads share `_mail`, whose operations are atomic. All other state belongs to the supervising thread until `join`
    has returned.

    accounts, passed, unclean, has_left_behind: set once the run is over. unclean: warnings about workers that may not
    have cleaned up. has_left_behind: a thread of the run still runs. stall: the stall that has ended the run. defect:
    the exception that has ended the supervisor itself.

    requested_by: the thread that now runs the worker in the caller's thread, for a loop or a result. Only it changes
    this.
    """

    def __init__(self, wiring: Wiring, settings: RunSettings) -> None:
        self._wiring = wiring
        self.meter = Meter(wiring)
        self._slots = tuple(wiring.all_slots)
        self._autoscaler = Autoscaler(wiring, self.meter)
        self.starter = Starter(wiring, settings.grace)
        self._mail: deque[Event] = deque()
        self._wake_reader, self._wake_writer = pipe()
        os.set_blocking(self._wake_writer.fileno(), False)
        has_thread = settings.reports_items or not all(group.is_caller for group in wiring.groups)
        roster = wiring.roster(bell=os.fstat(self._wake_reader.fileno()).st_ino if has_thread else 0)
        self.stacks = RunStacks(roster, self._slots)
        executors = [group.executor for group in wiring.groups]
        self._stalls = Stalls(
            roster,
            settings.stall_timeout,
            partial(wiring.warn, logger=STALLS),
            fork_hazard(executors) or locks_in_forks(executors),
            [index for index, group in enumerate(wiring.groups) if group.is_timed],
        )
        self._is_iterated = settings.iterated
        # Guards the start, and `_wake_writer`: without it, the pipe could be closed between the check and the write,
        # and its number could belong to another file. Reentrant: a finalizer may close a run at any point.
        self._wake_lock = threading.RLock()
        # Happens when no worker runs any more, and all resources of the run are released.
        self.conclusion = SharedEvent()
        self._thread: threading.Thread | None = None
        # Held by the thread that supervises, for ever.
        self._supervising = threading.Lock()
        self._is_started = False
        # Slots whose worker has died of SIGTERM, and when each of these workers counts as lost.
        self._terminated: deque[tuple[float, WorkerSlot, Lost]] = deque()
        self.state = lifecycle.Run((), wiring.has_caller)
        self.accounts: Sequence[Account] = ()
        self.passed: Sequence[Passed] = ()
        self.unclean: Sequence[str] = ()
        self.has_left_behind = False
        self.stall: Stall | None = None
        self.requested_by: int | None = None
        self.defect: BaseException | None = None

    def start(self) -> None:
        """Supervise the workers in all slots from a new thread; the caller's own worker alone needs no thread.

        It supervises all started workers, even if a later start has failed. The second call does nothing, unless a
        signal handler of the program has raised an exception in the first one: then it starts a second thread.
        """
        with self._wake_lock:
            if self._is_started:
                return
            if self._thread is None:
                running = [sum(slot.worker is not None for slot in slots) for slots in self._wiring.slots]
                running[-1] += self.state.has_caller
                self.state = replace(self.state, running=tuple(running))
            if self._workers or self._stalls.limit is not None:
                self._start_thread()
            self._is_started = True
            if self._thread is None and self._mail:
                self._supervise()

    def _start_thread(self) -> None:
        """Raises RuntimeError if the system refuses a thread. In that case this thread has ended the workers."""
        thread = threading.Thread(target=self._supervise_alone, name="chainpump supervisor", daemon=True)
        self._thread = self._thread or thread
        try:
            thread.start()
        except RuntimeError:
            # Another thread may supervise, if the first start was interrupted.
            if not self._supervising.acquire(blocking=False):
                return
            self._thread = None
            self._is_started = True
            self.post(Left(time.monotonic_ns()))
            raise

    def _supervise_alone(self) -> None:
        """Supervise, unless another thread does. The interrupted start of a thread may have started it or not."""
        if self._supervising.acquire(blocking=False):
            self._thread = threading.current_thread()
            self._supervise()

    def post(self, event: Event) -> None:
        """Send an event of the caller. Any thread may call this at any time; events before `start` wait for it."""
        if self.conclusion.is_set:
            return
        self._mail.append(event)
        # A full pipe wakes the thread already.
        with self._wake_lock, suppress(BlockingIOError):
            # Without a thread, the lock guards the whole run: two threads may send an event at the same time.
            if self._thread is None:
                if self._is_started and not self.conclusion.is_set:
                    self._supervise()
            elif not self._wake_writer.closed:
                os.write(self._wake_writer.fileno(), b"!")

    def join(self) -> None:
        """Wait until the run is concluded and its thread has ended."""
        self.conclusion.wait()
        if self._thread is not None:
            self._thread.join()

    @property
    def decisions(self) -> Sequence[Decision]:
        """When and why the number of workers of a stage was changed, so far."""
        return self._autoscaler.decisions

    def is_current_thread(self) -> bool:
        """Whether this code runs in a thread of the run. Such a thread must not wait for the end of the run."""
        return self._thread is threading.current_thread() or any(
            worker.handle.is_current_thread() for worker in self._workers
        )

    def _supervise(self) -> None:
        reports: Sequence[tuple[WorkerSlot, StartedWorker, Report]] = ()
        try:
            while True:
                # Mail comes first: an action of the caller may be the cause of the reports.
                while self._mail:
                    self._apply(self._mail.popleft())
                for slot, worker, report in reports:
                    self._take_report(slot, worker, report)
                for worker in self._all_workers:
                    worker.end_remains()
                self._take_steps()
                if self.state.phase is Phase.OVER and not any(worker.is_running for worker in self._all_workers):
                    return
                reports = self._receive()
        except BaseException as error:
            # A defect of the supervisor must end the run, and the caller must receive it.
            self.defect = error
            self._cancel(len(self._wiring.groups))
        finally:
            try:
                self._release()
            except BaseException as error:
                self.defect = error
            finally:
                self.conclusion.set()

    def _receive(self) -> Sequence[tuple[WorkerSlot, StartedWorker, Report]]:
        """Wait for reports of how workers have ended, and return them.

        Interruptions come last: the worker that caused one has already reported, but its report may not have been read
        yet. Workers that wait for their turn come first: one that has died must not get it.
        """
        reports = _poll(self._wait())
        if any(isinstance(report, Interrupted) for _, _, report in reports):
            reports += _poll(self._ready(0))
        return sorted(reports, key=lambda each: (each[1] is each[0].worker, isinstance(each[2], Interrupted)))

    def _wait(self) -> Sequence[WorkerSlot]:
        """Wait until workers report or die, until mail comes, or until a step is due."""
        times = [worker.due for worker in self._all_workers if worker.is_running and worker.due is not None]
        times += [*(due for due, _, _ in self._terminated), *self._wiring.elsewhere.dues]
        times += [self.stacks.due] if self.stacks.due is not None else []
        if self.state.phase is Phase.RUNNING:
            times.append(self._stalls.next_look)
            times += [self._autoscaler.due] if self._autoscaler.due is not None else []
            at_work = [slot for slot in self._slots if slot.is_at_work]
            times += [due for slot in at_work if (due := replacement.due(slot)) is not None]
        return self._ready(max(0.0, min(times) - time.monotonic()) * 1000 if times else None)

    def _ready(self, timeout: float | None) -> Sequence[WorkerSlot]:
        """The slots whose worker has reported or died. Waits for `timeout` milliseconds at most.

        Also takes requests for the stacks of the run.
        """
        by_descriptor = {fd: slot for slot in self._slots for each in slot.running for fd in each.handle.waitables}
        poll = select.poll()
        for fd in (self._wake_reader.fileno(), *self._wiring.elsewhere.waitables, *by_descriptor):
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(timeout)]
        if self._wake_reader.fileno() in ready and REQUEST in os.read(self._wake_reader.fileno(), 4096):
            self.stacks.request()
        return list(dict.fromkeys(by_descriptor[fd] for fd in ready if fd in by_descriptor))

    def _is_needed(self, slot: WorkerSlot) -> bool:
        """Whether the run needs what the workers of a slot send."""
        return self.state.phase is Phase.RUNNING and slot.group_index >= self.state.superfluous

    def _take_report(self, slot: WorkerSlot, worker: StartedWorker, report: Report) -> None:
        if worker is not slot.worker:
            self.starter.end_of_other(slot, worker, report)
        elif not isinstance(report, SuccessorWanted):
            self._record(slot, report)
        elif self._is_needed(slot):
            self.starter.prepare(slot)

    def _record(self, slot: WorkerSlot, outcome: Outcome | Lost) -> None:
        """Record that a worker has ended or died. It may be replaced. Its process has the grace period to end, too."""
        slot.end()
        if isinstance(outcome, Lost):
            failed = replacement.after(slot, outcome) if self._is_needed(slot) else None
            if isinstance(failed, Mapping):
                failed = self.starter.replace(slot, failed)
                if failed is None:
                    return
            if failed is None and outcome.exit_code == -signal.SIGTERM and not self._is_ending:
                self._terminated.append((time.monotonic() + LEAVE_WITHIN, slot, outcome))
                return
            outcome = failed or replacement.outcome_of_loss(slot, outcome, self._is_ending)
        self._settle(slot, outcome)

    def _settle(self, slot: WorkerSlot, outcome: Outcome) -> None:
        """Set the outcome of the worker in a slot, and react to it."""
        worker = slot.worker
        assert worker is not None
        worker.outcome = outcome
        if isinstance(outcome, Finished) and self.state.phase is Phase.RUNNING:
            worker.let_end()
        else:
            worker.use_force()
        if slot.has_done_share(outcome) and self._is_needed(slot):
            slot.rows[0][Cell.RECYCLED] += 1
            failed = self.starter.replace(slot)
            if failed is None:
                return
            outcome = worker.outcome = failed
        self.starter.dismiss(slot)
        self._apply(Ended(slot.group_index, slot.number, outcome, time.monotonic_ns()))
        if isinstance(outcome, Failed) and worker.is_running:
            # Its flusher may have failed while its function is in a long call.
            worker.interrupt()

    @property
    def _is_ending(self) -> bool:
        """Whether the run ends early for a known reason."""
        return self.state.left or bool(self.state.failures)

    @property
    def _workers(self) -> Sequence[StartedWorker]:
        """The last worker of each slot that has had one."""
        return [worker for slot in self._slots if (worker := slot.worker) is not None]

    @property
    def _all_workers(self) -> Sequence[StartedWorker]:
        """The last worker of each slot, its successor, and earlier workers whose processes have not ended."""
        return [worker for slot in self._slots for worker in slot.workers]

    def _apply(self, event: Event) -> None:
        if isinstance(event, Ended) and isinstance(event.outcome, Finished):
            self._wiring.slots[event.group][event.number].finished = event.outcome
        self.state, actions = lifecycle.step(self.state, event)
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Seal):
            self._wiring.connections.channels[action.junction].seal()
        elif isinstance(action, Cancel):
            self._cancel(action.before)
        elif isinstance(action, UseForce):
            self._force_finished()

    def _cancel(self, before: int) -> None:
        """Cancel the groups before this one."""
        self._wiring.connections.cancel(before)
        for slot in chain.from_iterable(self._wiring.slots[:before]):
            self.starter.dismiss(slot)
            if slot.worker is not None and slot.is_at_work:
                slot.worker.use_force()
                slot.worker.interrupt()
        if self.state.phase is not Phase.RUNNING:
            self._force_finished()

    def _force_finished(self) -> None:
        """Limit the time in which processes of finished workers may end."""
        for worker in self._all_workers:
            if worker.is_running and isinstance(worker.outcome, Finished):
                worker.use_force()
                worker.interrupt()

    def _take_steps(self) -> None:
        now = time.monotonic()
        self.stacks.take_steps(now)
        # Workers that have reported it themselves come first.
        if (failed := self._wiring.elsewhere.look()) is not None:
            self._apply(Broken(failed, time.monotonic_ns()))
        while self._terminated and (self._terminated[0][0] <= now or self._is_ending):
            _, slot, lost = self._terminated.popleft()
            self._settle(slot, replacement.outcome_of_loss(slot, lost, self._is_ending))
        for slot in self._slots:
            for worker in slot.workers:
                worker.take_steps(now)
            if slot.worker is not None and slot.worker.left_behind and slot.worker.outcome is None:
                self._record(slot, Interrupted())
            if slot.worker is not None and slot.is_at_work and replacement.is_overdue(slot):
                slot.worker.handle.ask_stack()
                slot.worker.add_step(now + STACK_WITHIN, partial(replacement.kill_if_overdue, slot, slot.worker))
        if self._autoscaler.due is not None and self.state.phase is Phase.RUNNING and self._autoscaler.due <= now:
            self._autoscale()
        if self.state.phase is Phase.RUNNING and self._stalls.next_look <= now:
            in_loop = self._is_iterated and self.requested_by is None
            self.stall = self._stalls.check(self.meter.read(), self.stacks.ask, self.stacks.read, in_loop=in_loop)
            if self.stall is not None:
                self._apply(Stalled(Failed(self.stall.failure), time.monotonic_ns()))

    def _autoscale(self) -> None:
        """Start or retire workers of "auto" stages."""
        active = {slot for slot in self._slots if slot.is_at_work and slot.group_index >= self.state.superfluous}
        if self.stacks.caller is not None:
            active.add(self._slots[-1])
        occupied = {slot for slot in self._slots if slot.is_occupied}
        for slot in self._autoscaler.decide(active, occupied):
            self._apply(Started(slot.group_index))
            failed = self.starter.replace(slot)
            if failed is not None:
                self._apply(Ended(slot.group_index, slot.number, failed, time.monotonic_ns()))
                return

    def _release(self) -> None:
        """Close all resources of the run in this process in every case; keep the accounts."""
        self.meter.close()
        last = self.meter.read()
        self.accounts = self._wiring.accounts(last)
        self.passed = self._wiring.passed(last)
        reported = () if self.state.left else self.state.failures
        texts = (each.unclean(each.outcome in reported) for each in self._all_workers if not each.was_dismissed)
        self.unclean = tuple(text for text in texts if text is not None)
        self.has_left_behind = any(each.left_behind for each in self._workers)
        self._wiring.close()
        # The writing end is closed first: a write without a reader would fail.
        with self._wake_lock:
            self._wake_writer.close()
            self._wake_reader.close()
        self.stacks.close()


def _poll(ready: Sequence[WorkerSlot]) -> list[tuple[WorkerSlot, StartedWorker, Report]]:
    """The reports of all workers in these slots."""
    polled = [(slot, worker, worker.handle.poll()) for slot in ready for worker in slot.running]
    return [(slot, worker, report) for slot, worker, report in polled if report is not None]
