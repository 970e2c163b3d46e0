"""A started worker from the supervisor's view: the steps that make its process or thread end, and their times."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ..errors import WorkerLostError
from ..executors.base import WorkerHandle
from ..messages import failure_texts
from ..messages.names import WorkerName
from ..worker.outcome import Failed, Finished, Interrupted, Outcome

__all__ = ["STACK_WITHIN", "StartedWorker"]

# Parts of the grace period after which a worker is interrupted again.
INTERRUPT_AGAIN = (0.01, 0.03, 0.1, 0.3)
# The part of the grace period after which a worker that is not needed is interrupted.
DISMISSED_FOR = 0.2
# Seconds that a worker has to write its stack before it is killed.
STACK_WITHIN = 0.1
# Seconds after which a warning is logged if the process of a finished worker has not ended.
WARN_AFTER = 5.0


class StartedWorker:
    """A started worker. It belongs to the supervisor's thread.

    grace: seconds from a polite request to end until force is used. warn: logs a text while the run goes on.
    outcome: how it ended, once it has reported or died. was_replaced: another worker runs in its slot. was_forced: it
    was killed after the grace period, and may not have cleaned up. was_dismissed: it was not needed,
    and has had no items. forced_at: its last stack before that.
    left_behind: it could not be ended, and is not waited for any more.
    """

    def __init__(self, handle: WorkerHandle, who: WorkerName, grace: float, warn: Callable[[str], object]) -> None:
        self.handle = handle
        self.who = who
        self.outcome: Outcome | None = None
        self.was_replaced = False
        self.was_forced = False
        self.was_dismissed = False
        self.forced_at = ""
        self.left_behind = False
        self._grace = grace
        self._warn = warn
        # The steps to take if it does not end before, with their times in seconds of the monotonic clock.
        # There are none while it may run for any length of time.
        self._steps: deque[tuple[float, Callable[[], None]]] = deque()
        # True once processes that it has left behind are being ended.
        self._ends_remains = False

    @property
    def pid(self) -> int:
        """Its process id. 0 while it is not known, because it starts on another machine."""
        return self.handle.pid

    @property
    def is_running(self) -> bool:
        """Whether its end, or the end of its processes, is still awaited."""
        return not self.left_behind and bool(self.handle.waitables)

    @property
    def due(self) -> float | None:
        """When its next step is due."""
        return self._steps[0][0] if self._steps else None

    def add_step(self, due: float, step: Callable[[], None]) -> None:
        """Add a step after all other steps."""
        self._steps.append((due, step))

    def take_steps(self, now: float) -> None:
        """Take the steps that are due. A late step delays the later ones: the worker may have been suspended, too."""
        while self.is_running and self._steps and self._steps[0][0] <= now:
            due, step = self._steps.popleft()
            step()
            self._steps = deque((later + now - due, step) for later, step in self._steps)

    def interrupt(self) -> None:
        """Interrupt it several times: CPython may miss a signal that arrives just before it begins to wait."""
        if self._ends_remains:
            return
        self.handle.interrupt()
        now = time.monotonic()
        self._steps.extendleft((now + self._grace * part, self.handle.interrupt) for part in reversed(INTERRUPT_AGAIN))

    def let_end(self) -> None:
        """Let the process of a finished worker end as a program does. Log a warning if that takes long."""
        warn_at = time.monotonic() + WARN_AFTER
        self._steps = deque([(warn_at - STACK_WITHIN, self.handle.ask_stack), (warn_at, self._warn_of_late_end)])

    def _warn_of_late_end(self) -> None:
        self._warn(failure_texts.still_ending(self.who, self.pid, WARN_AFTER, self.handle.read_stack()))

    def use_force(self) -> None:
        """Give it the grace period to end. After that, kill it once. If it still runs then, leave it behind.

        A thread that blocks for ever cannot be ended, so it is left behind.
        """
        if self._ends_remains:
            return
        kill_at = time.monotonic() + self._grace
        leave_at = kill_at + self._grace + self.handle.dies_within
        self._steps = deque(
            [(kill_at - STACK_WITHIN, self.handle.ask_stack), (kill_at, self._force), (leave_at, self._leave_behind)]
        )

    def dismiss(self) -> None:
        """It is not needed, and has been told so. It may be in the middle of its start: then interrupt it."""
        self.was_dismissed = True
        self.use_force()
        self._steps.appendleft((time.monotonic() + self._grace * DISMISSED_FOR, self.handle.interrupt))

    def _force(self) -> None:
        self.was_forced = True
        self.forced_at = self.handle.read_stack()
        self.handle.kill()

    def _leave_behind(self) -> None:
        self.left_behind = True

    def unclean(self, is_reported: bool) -> str | None:
        """A warning that it may not have cleaned up: it was killed, is left behind, or has died. None if it has.

        is_reported: the error of the run already says how it ended.
        """
        if self.left_behind:
            return failure_texts.left_behind(self.who, self.pid, self._grace, self.forced_at)
        if self.was_forced:
            return failure_texts.forced(self.who, self.pid, self._grace, self.forced_at)
        if isinstance(self.outcome, Failed) and self.outcome.failure.error is WorkerLostError and not is_reported:
            return failure_texts.unclean(self.outcome.failure)
        return None

    def end_remains(self) -> None:
        """If it has ended and has left processes behind, make them end.

        1. It has finished: its processes may be about to end, too, because their input has ended. They have the grace
           period.
        2. It was interrupted: its processes are interrupted, and have the grace period.
        3. It has died or failed: the same, and a warning is logged.
        4. It was killed after the grace period: its processes are killed at once.
        """
        if self._ends_remains or not (left := self.handle.remains):
            return
        self._ends_remains = True
        now = time.monotonic()
        is_unexpected = self.was_replaced or not isinstance(self.outcome, (Finished, Interrupted))
        if self.was_forced:
            self._steps = deque([(now, self._force_remains)])
        else:
            self._steps = deque([(now + self._grace, self._force_remains)])
            if not isinstance(self.outcome, Finished):
                self.handle.interrupt()
                if is_unexpected:
                    self._warn(failure_texts.survived(self.who, self.pid, left, None))
        self.add_step(now + self._grace + self.handle.dies_within, self._leave_behind)

    def _force_remains(self) -> None:
        # On some systems, nothing reports that they have ended.
        self.handle.poll()
        if self.handle.remains:
            self._warn(failure_texts.survived(self.who, self.pid, self.handle.remains, self._grace))
            self.handle.kill()
