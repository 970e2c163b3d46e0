"""A started worker as the supervisor follows it: what is done, and when, so that its process or thread ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ..errors import WorkerLostError
from ..executors.base import WorkerHandle
from ..messages import failure_texts
from ..messages.names import Who
from ..worker.outcome import Failed, Finished, Interrupted, Outcome

__all__ = ["STACK_WITHIN", "StartedWorker"]

# Parts of the grace after which a worker that has not heard is told again.
INTERRUPT_AGAIN = (0.01, 0.03, 0.1, 0.3)
# Seconds that a worker has to write where it is, before it is killed for it.
STACK_WITHIN = 0.1
# Seconds after which a worker that has finished, and whose process has not ended, is told of.
WARN_AFTER = 5.0


class StartedWorker:
    """A started worker. It belongs to the supervisor's thread.

    grace: seconds from a polite request to end until force is used. warn: logs a text while the run goes on.
    outcome: how it ended, once it has told or died. steps: what is done unless it ends before, and when, in seconds of
    the monotonic clock. Empty while it may run as long as it likes.
    """

    def __init__(self, handle: WorkerHandle, who: Who, grace: float, warn: Callable[[str], object]) -> None:
        self.handle = handle
        self.who = who
        self.pid = handle.pid
        self.outcome: Outcome | None = None
        self.was_replaced = False
        # To end, after the grace, and may not have cleaned up.
        self.was_forced = False
        # Where it was then, as far as it has told.
        self.forced_at = ""
        self.left_behind = False
        self._grace = grace
        self._warn = warn
        self._steps: deque[tuple[float, Callable[[], None]]] = deque()
        # Processes, which are being ended.
        self._has_left = False

    @property
    def is_running(self) -> bool:
        """Whether there is still something to wait for."""
        return not self.left_behind and bool(self.handle.waitables)

    @property
    def due(self) -> float | None:
        """When its next step is due."""
        return self._steps[0][0] if self._steps else None

    def add_step(self, due: float, step: Callable[[], None]) -> None:
        """Do this then, behind all other steps."""
        self._steps.append((due, step))

    def take_steps(self, now: float) -> None:
        """Do what is due. What comes late puts off the rest: our own process has not run, nor may the worker have."""
        while self.is_running and self._steps and self._steps[0][0] <= now:
            due, step = self._steps.popleft()
            step()
            self._steps = deque((later + now - due, step) for later, step in self._steps)

    def interrupt(self) -> None:
        """Tell it to end, and again: CPython may miss a signal that arrives just as it begins to wait."""
        if self._has_left:
            return
        self.handle.interrupt()
        now = time.monotonic()
        self._steps.extendleft((now + self._grace * part, self.handle.interrupt) for part in reversed(INTERRUPT_AGAIN))

    def let_end(self) -> None:
        """It has finished: its process may end as a program does, and take its time; if that is long, say so."""
        tell_at = time.monotonic() + WARN_AFTER
        self._steps = deque([(tell_at - STACK_WITHIN, self.handle.ask_stack), (tell_at, self._warn_of_late_end)])

    def _warn_of_late_end(self) -> None:
        self._warn(failure_texts.still_ending(self.who, self.pid, WARN_AFTER, self.handle.read_stack()))

    def use_force(self) -> None:
        """From now on it has the grace to end; then force is used, once; then it is given up.

        A thread that blocks for ever cannot be ended, and is left behind.
        """
        if self._has_left:
            return
        kill_at = time.monotonic() + self._grace
        leave_at = kill_at + self._grace + self.handle.dies_within
        self._steps = deque(
            [(kill_at - STACK_WITHIN, self.handle.ask_stack), (kill_at, self._force), (leave_at, self._leave_behind)]
        )

    def _force(self) -> None:
        self.was_forced = True
        self.forced_at = self.handle.read_stack()
        self.handle.kill()

    def _leave_behind(self) -> None:
        self.left_behind = True

    def unclean(self, is_reported: bool) -> str | None:
        """That it may not have cleaned up: it was forced to end, is left behind, or has died; None if it has.

        is_reported: the error of the run tells how it ended.
        """
        if self.left_behind:
            return failure_texts.left_behind(self.who, self.pid, self._grace, self.forced_at)
        if self.was_forced:
            return failure_texts.forced(self.who, self.pid, self._grace, self.forced_at)
        if isinstance(self.outcome, Failed) and self.outcome.failure.error is WorkerLostError and not is_reported:
            return failure_texts.unclean(self.outcome.failure)
        return None

    def end_remains(self) -> None:
        """If it has died, and left processes behind: have them end.

        1. It has finished: they may be about to end, as what it has sent them has ended. They have the grace.
        2. It has come to its end otherwise: they are told to end, and have the grace.
        3. It has died without having ended them: the same, which is worth a word.
        4. It was ended by force, after the grace: so are they, at once.
        """
        if self._has_left or not (left := self.handle.remains):
            return
        self._has_left = True
        now = time.monotonic()
        was_struck = self.was_replaced or not isinstance(self.outcome, (Finished, Interrupted))
        if self.was_forced:
            self._steps = deque([(now, self._force_remains)])
        else:
            self._steps = deque([(now + self._grace, self._force_remains)])
            if not isinstance(self.outcome, Finished):
                self.handle.interrupt()
                if was_struck:
                    self._warn(failure_texts.survived(self.who, self.pid, left, None))
        self.add_step(now + self._grace + self.handle.dies_within, self._leave_behind)

    def _force_remains(self) -> None:
        # They may have ended by now, where nothing tells of that.
        self.handle.poll()
        if self.handle.remains:
            self._warn(failure_texts.survived(self.who, self.pid, self.handle.remains, self._grace))
            self.handle.kill()
