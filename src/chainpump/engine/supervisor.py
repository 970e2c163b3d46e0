"""The supervisor: the one thread that waits on workers, for what they say and for their deaths, all at once."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain

from ..executors.base import Lost
from ..executors.fork_hazards import fork_hazard, locks_in_forks
from ..executors.thread_handle import stack_of
from ..ipc.board import Cell, State
from ..ipc.descriptors import pipe
from ..lazy_dataclass import replace
from ..messages import failure_texts
from ..messages.names import Role
from ..progress.reading import Reading
from ..progress.scaling_rule import Decision
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed, Finished, Interrupted, Outcome
from ..worker.worker import Worker
from . import lifecycle, replacement
from .autoscaler import Staffing
from .introspection import ASKED, Inquiries
from .ledger import Account, Passed
from .lifecycle import Action, Cancel, Ended, Event, Left, Phase, Seal, Stalled, Started, UseForce
from .meter import Meter
from .run_settings import RunSettings
from .stalls import Stalls
from .started_worker import TELL_WHERE, StartedWorker
from .wiring import Wiring
from .worker_slot import WorkerSlot
from .worker_status import Whereabouts

__all__ = ["Supervisor"]


# Seconds until a worker that somebody has sent SIGTERM counts as lost. A scheduler that stops a whole job sends it to
# the main process as well, and what that makes of it decides how the run ends.
LEAVE_WITHIN = 0.25
TELL_ALL = 0.5  # the same for all workers of a run that does not move, for which nobody is in a hurry


class Supervisor:
    """Drives the lifecycle of one run, and owns its wiring and the slots of its workers from `start` to the end.

    Shared between threads: `_mail`, whose operations are atomic. All else belongs to the supervising thread until
    `join` has returned.
    """

    def __init__(self, wiring: Wiring, settings: RunSettings) -> None:
        self._wiring = wiring
        self.meter = Meter(wiring)
        self._slots = tuple(wiring.all_slots)
        self._staffing = Staffing(wiring, self.meter)
        self._grace = settings.grace
        self._mail: deque[Event] = deque()
        self._heard, self._ring = pipe()
        os.set_blocking(self._ring.fileno(), False)
        is_heard = settings.is_watched or not all(group.is_caller for group in wiring.groups)  # by a thread
        roster = wiring.roster(bell=os.fstat(self._heard.fileno()).st_ino if is_heard else 0)
        self._inquiries = Inquiries(roster)
        self._stalls: Stalls | None = None
        if settings.stall_timeout is not None:
            executors = [group.executor for group in wiring.groups]
            suspicion = fork_hazard(executors) or locks_in_forks(executors)
            self._stalls = Stalls(roster, settings.stall_timeout, suspicion)
        self._opener = threading.get_ident()
        # Guards the start, and `_ring`: closed between the look and the write, its number could be another file's.
        # Reentrant, since a finalizer that closes a run may break in anywhere.
        self._ringing = threading.RLock()
        self._is_concluded = False
        # Until it is concluded. No event: Ctrl-C can break into one, whose own lock then stays taken.
        self._going_on = threading.Lock()
        self._going_on.acquire()
        self._thread: threading.Thread | None = None
        self._is_started = False
        self._terminated: deque[tuple[float, WorkerSlot, Lost]] = deque()  # and when their workers count as lost
        self.state = lifecycle.Run((), wiring.has_caller)
        self.accounts: Sequence[Account] = ()  # once the run is over
        self.passed: Sequence[Passed] = ()  # the same
        self.unclean: Sequence[str] = ()  # the same: texts of who may not have cleaned up
        self.has_left_behind = False  # the same: a thread of the run still runs
        self._asked = 0.0  # when all were asked where they are, in seconds of the monotonic clock; 0 if they were not
        self.stalled: tuple[Reading, str] | None = None  # how and where all were when nothing moved for too long
        self.caller: Worker | None = None  # the caller's own
        self.defect: BaseException | None = None  # what ended the supervisor itself

    def start(self) -> None:
        """Watch the workers in all slots from a thread of its own; the caller's own worker alone needs none.

        They are all there are, even where a start has failed half-way. Does nothing the second time.
        """
        with self._ringing:
            if self._is_started:
                return
            self._is_started = True
            running = [sum(slot.worker is not None for slot in slots) for slots in self._wiring.slots]
            running[-1] += self.state.has_caller
            self.state = replace(self.state, running=tuple(running))
            if self._workers or self._stalls is not None:
                self._start_thread()
            elif self._mail:
                self._supervise()

    def _start_thread(self) -> None:
        """Raises RuntimeError if the system refuses it; then the workers have been ended from here."""
        self._thread = threading.Thread(target=self._supervise, name="chainpump supervisor", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            self.post(Left(time.monotonic_ns()))
            raise

    def post(self, event: Event) -> None:
        """Tell what the caller did. Any thread may call it, at any time; what comes before `start` waits for that."""
        if self._is_concluded:
            return
        self._mail.append(event)
        with self._ringing, suppress(BlockingIOError):  # then it rings already
            if self._thread is None:  # of a run without a thread the lock guards all: two may have something to tell
                if self._is_started and not self._is_concluded:
                    self._supervise()
            elif not self._ring.closed:
                os.write(self._ring.fileno(), b"!")

    def join(self) -> None:
        """Wait until the run is concluded, and its thread is over."""
        with self._going_on:
            pass
        if self._thread is not None:
            self._thread.join()

    @property
    def decisions(self) -> Sequence[Decision]:
        """How many workers were given and taken back so far, when and why."""
        return self._staffing.decisions

    def is_current_thread(self) -> bool:
        """Whether this code runs in a thread of the run, which must not wait for the end of the run."""
        return self._thread is threading.current_thread() or any(
            worker.handle.is_current_thread() for worker in self._workers
        )

    def _supervise(self) -> None:
        heard: Sequence[tuple[WorkerSlot, Outcome | Lost]] = ()
        try:
            while True:
                while self._mail:  # first: what the caller does may be the reason of what workers say
                    self._apply(self._mail.popleft())
                for slot, outcome in heard:
                    self._record(slot, outcome)
                for worker in self._everybody:
                    worker.end_remains()
                self._take_steps()
                if self.state.phase is Phase.OVER and not any(worker.is_running for worker in self._everybody):
                    return
                heard = self._hear()
        except BaseException as error:  # a defect here must end the run, and be told
            self.defect = error
            self._cancel(len(self._wiring.groups))
        finally:
            try:
                self._release()
            except BaseException as error:  # the same
                self.defect = error
            finally:
                self._is_concluded = True
                self._going_on.release()

    def _hear(self) -> Sequence[tuple[WorkerSlot, Outcome | Lost]]:
        """Wait, and hear how workers have ended.

        Whoever was cut off comes last, and is heard only once nobody else has anything to say: who has cut it off has
        said how it ended before that, and need not have been looked at yet.
        """
        heard = _polled(self._wait())
        if any(isinstance(outcome, Interrupted) for _, outcome in heard):
            heard += _polled(self._ready(0))
        return sorted(heard, key=lambda each: isinstance(each[1], Interrupted))

    def _wait(self) -> Sequence[WorkerSlot]:
        """Wait until workers have something to say or die, mail comes, or a step is due."""
        times = [worker.due for worker in self._everybody if worker.is_running and worker.due is not None]
        times += [due for due, _, _ in self._terminated]
        if self.state.phase is Phase.RUNNING:
            times += [self._stalls_due(self._stalls)] if self._stalls is not None else []
            times += [self._staffing.due] if self._staffing.due is not None else []
            at_work = [slot for slot in self._slots if slot.is_at_work]
            times += [due for slot in at_work if (due := replacement.due(slot)) is not None]
        return self._ready(max(0.0, min(times) - time.monotonic()) * 1000 if times else None)

    def _ready(self, timeout: float | None) -> Sequence[WorkerSlot]:
        """Whose worker has something to say or has died, after so many milliseconds at most.

        Answers who has asked meanwhile.
        """
        by_descriptor = {fd: slot for slot in self._slots for each in slot.running for fd in each.handle.waitables}
        poll = select.poll()
        for fd in (self._heard.fileno(), *by_descriptor):
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(timeout)]
        if self._heard.fileno() in ready and ASKED in os.read(self._heard.fileno(), 4096):
            for each in self._workers:
                if each.is_running:
                    each.handle.trim_stacks()
            self._inquiries.answer([*self._where(os.getpid()), Whereabouts(None, "", stack_of(self._opener))])
        return list(dict.fromkeys(by_descriptor[fd] for fd in ready if fd in by_descriptor))

    def _record(self, slot: WorkerSlot, outcome: Outcome | Lost) -> None:
        """A worker has ended, or has died. Its process gets the grace to end as well; another may take its place."""
        slot.end()
        if isinstance(outcome, Lost):
            told = None
            if self.state.phase is Phase.RUNNING and slot.group_index >= self.state.superfluous:
                told = replacement.after(slot, outcome.exit_code)
            if isinstance(told, Mapping):
                told = self._start(slot, told)
                if told is None:
                    return
            if told is None and outcome.exit_code == -signal.SIGTERM and not (self.state.left or self.state.failures):
                self._terminated.append((time.monotonic() + LEAVE_WITHIN, slot, outcome))
                return
            outcome = told or self._judge(slot, outcome)
        self._settle(slot, outcome)

    def _settle(self, slot: WorkerSlot, outcome: Outcome) -> None:
        """Take this for how its worker has ended."""
        worker = slot.worker
        assert worker is not None  # it is the one that has ended
        worker.outcome = outcome
        if isinstance(outcome, Finished) and self.state.phase is Phase.RUNNING:
            worker.let_end()
        else:
            worker.use_force()
        self._apply(Ended(slot.group_index, slot.number, outcome, time.monotonic_ns()))
        if isinstance(outcome, Failed) and worker.is_running:
            worker.interrupt()  # what has failed may be its flusher, while its function is in a long call

    def _start(self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None) -> Failed | None:
        """Start a worker while the run goes on, in a slot where none runs; whoever had it before is over."""
        slot.let_go()
        try:
            self.start_worker(slot, condemned)
        except Exception as error:
            return Failed(failure_texts.not_started(slot.who, error), error)
        return None

    def start_worker(self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None) -> None:
        """Have a worker started in a slot where none runs. Raises what that raises."""
        handle = self._wiring.start(slot, condemned)
        slot.fill(StartedWorker(handle, slot.who, self._grace, self._wiring.warn))

    @property
    def _workers(self) -> Sequence[StartedWorker]:
        """The worker of each slot that has had one."""
        return [worker for slot in self._slots if (worker := slot.worker) is not None]

    @property
    def _everybody(self) -> Sequence[StartedWorker]:
        """The same, and those that were replaced and have left something behind."""
        return [worker for slot in self._slots for worker in slot.workers]

    def _judge(self, slot: WorkerSlot, lost: Lost) -> Outcome:
        """What the death of a silent worker means: lost, unless the board says that it had done all its work."""
        state = slot.rows[-1][Cell.STATE]
        if lost.exit_code == -signal.SIGTERM and (self.state.left or self.state.failures):
            return Interrupted()
        if state >= State.DONE and slot.who.role is not Role.SINK:
            return Finished(early=state == State.STOPPED)
        return Failed(failure_texts.lost(slot.who, slot.pid, lost.exit_code, slot.in_hand, state != State.STARTING))

    def _apply(self, event: Event) -> None:
        if isinstance(event, Ended) and isinstance(event.outcome, Finished):
            self._wiring.slots[event.group][event.number].finished = event.outcome
        self.state, actions = lifecycle.step(self.state, event)
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Seal):
            self._wiring.channels[action.junction].seal()
        elif isinstance(action, Cancel):
            self._cancel(action.before)
        elif isinstance(action, UseForce):
            self._let_nobody_linger()

    def _cancel(self, before: int) -> None:
        """Flags first: who wakes because its channel was hung up must find out why."""
        for group in range(before):
            self._wiring.board.flag(group)[0] = 1
        self._wiring.wake(before)
        for slot in chain.from_iterable(self._wiring.slots[:before]):
            if slot.worker is not None and slot.is_at_work:
                slot.worker.use_force()
                slot.worker.interrupt()
        if self.state.phase is not Phase.RUNNING:
            self._let_nobody_linger()

    def _let_nobody_linger(self) -> None:
        """The processes of workers that have finished no longer have the time that they like to end."""
        for worker in self._workers:
            if worker.is_running and isinstance(worker.outcome, Finished):
                worker.use_force()
                worker.interrupt()

    def _take_steps(self) -> None:
        now = time.monotonic()
        while self._terminated and (self._terminated[0][0] <= now or self.state.left or self.state.failures):
            _, slot, lost = self._terminated.popleft()
            self._settle(slot, self._judge(slot, lost))
        for slot in self._slots:
            for worker in slot.workers:
                worker.take_steps(now)
            if slot.worker is not None and slot.worker.left_behind and slot.worker.outcome is None:
                self._record(slot, Interrupted())
            if slot.worker is not None and slot.is_at_work and replacement.is_overdue(slot):
                slot.worker.handle.ask_stack()
                slot.worker.add_step(now + TELL_WHERE, partial(_strike, slot, slot.worker))
        if self._staffing.due is not None and self.state.phase is Phase.RUNNING and self._staffing.due <= now:
            self._look_at_staff()
        if self._stalls is not None and self.state.phase is Phase.RUNNING and self._stalls_due(self._stalls) <= now:
            self._look_at_stall(self._stalls, now)

    def _look_at_staff(self) -> None:
        """Auto stages get more workers, or fewer."""
        active = {slot for slot in self._slots if slot.is_at_work and slot.group_index >= self.state.superfluous}
        if self.caller is not None:
            active.add(self._slots[-1])
        occupied = {slot for slot in self._slots if slot.is_occupied}
        for slot in self._staffing.look(active, occupied):
            self._apply(Started(slot.group_index))
            failed = self._start(slot)
            if failed is not None:
                self._apply(Ended(slot.group_index, slot.number, failed, time.monotonic_ns()))
                return

    def _stalls_due(self, stalls: Stalls) -> float:
        return self._asked + TELL_ALL if self._asked else stalls.due(self.meter.read())

    def _look_at_stall(self, stalls: Stalls, now: float) -> None:
        """Nothing has moved for too long: ask all where they are; once they have told, that is how the run ends."""
        if not self._asked:
            self._asked = now
            for worker in self._workers:
                worker.handle.ask_stack()
            return
        self._asked = 0.0
        reading = self.meter.read()
        if stalls.due(reading) <= now:  # still: asking has woken nobody
            self.stalled = (reading, stalls.where(reading, self._where()))
            self._apply(Stalled(Failed(stalls.failure(reading)), time.monotonic_ns()))

    def _where(self, pid: int | None = None) -> Iterator[Whereabouts]:
        """Where every worker is, and each of its tasks, as far as it has told. pid: only those of this process."""
        for slot in self._slots:
            if slot.worker is not None and slot.worker.is_running and pid in (None, slot.worker.pid):
                yield Whereabouts(slot.place, "", slot.worker.handle.read_stack())
                yield from (Whereabouts(slot.place, *task) for task in slot.worker.handle.read_tasks())
        if self.caller is not None:
            yield Whereabouts(self._slots[-1].place, "", stack_of(self.caller.thread))

    def _release(self) -> None:
        """Close all that the run held in this process, whatever has happened; keep the accounts."""
        self.meter.close()
        last = self.meter.read()
        self.accounts = self._wiring.accounts(last)
        self.passed = self._wiring.passed(last)
        reported = () if self.state.left else self.state.failures
        texts = (each.unclean(each.outcome in reported) for each in self._workers)
        self.unclean = tuple(text for text in texts if text is not None)
        self.has_left_behind = any(each.left_behind for each in self._workers)
        self._wiring.close()
        with self._ringing:  # the bell first: nobody is to ring where nobody listens
            self._ring.close()
            self._heard.close()
        self._inquiries.close()
        self.caller = None


def _polled(ready: Sequence[WorkerSlot]) -> list[tuple[WorkerSlot, Outcome | Lost]]:
    """What their workers have to say; those that were replaced only look at what they have left behind."""
    polled = [(slot, worker.handle.poll()) for slot in ready for worker in slot.running]
    return [(slot, outcome) for slot, outcome in polled if outcome is not None]


def _strike(slot: WorkerSlot, worker: StartedWorker) -> None:
    """Kill a worker that takes too long, unless it has come out of the item meanwhile."""
    if replacement.is_still_overdue(slot):
        worker.handle.strike()
