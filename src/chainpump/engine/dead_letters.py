"""The dead letters of a run. They are kept for the report, or a separate thread passes them to a function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from ..errors import DeadItem
from ..policies import Policy, taker
from .no_recorder import NoRecorder

__all__ = ["DeadLetters", "once"]

Taker: TypeAlias = Callable[[DeadItem], object]


class DeadLetters:
    """Collects dead letters from any thread.

    kept: the list of dead letters that no function receives. refused: called once, after the first exception of a
    function that receives dead letters. recorder: records each.
    """

    def __init__(self, kept: list[DeadItem], refused: Callable[[], None], recorder: NoRecorder) -> None:
        self.kept = kept
        # The first dead letter whose function raised an exception, and the exception.
        self.refusal: tuple[DeadItem, BaseException] | None = None
        self._refused = refused
        self._recorder = recorder
        self._is_closed = False
        self._queue: SimpleQueue[tuple[Taker, DeadItem] | None] = SimpleQueue()
        # True once a policy has a function that receives dead letters.
        self._needs_thread = False
        self._thread: threading.Thread | None = None

    def taker(self, policy: Policy) -> Taker:
        """The function that dead letters of this policy are passed to."""
        to = taker(policy)
        if to is None:
            return self._recorder.recording(self.kept.append)
        self._needs_thread = True
        return self._recorder.recording(lambda item: self._queue.put((to, item)))

    def start(self) -> None:
        """Start the thread if it is needed. Like the thread of `Logs`, it starts after the first workers."""
        if self._needs_thread:
            thread = threading.Thread(target=self._pass_on, name="chainpump dead letters", daemon=True)
            thread.start()
            self._thread = thread

    def _pass_on(self) -> None:
        while (entry := self._queue.get()) is not None:
            to, item = entry
            if self._is_closed or self.refusal is not None:
                continue
            try:
                to(item)
            except BaseException as error:
                # It ends the run, like an exception of a stage. A run that has ended stays as it is.
                if not self._is_closed:
                    self.refusal = (item, error)
                    self._refused()

    def end(self) -> None:
        """No worker is left: the queue holds all dead letters that will come."""
        self._queue.put(None)

    def wait(self, within: float | None) -> bool:
        """Wait until the thread has passed on all dead letters; returns whether it has. within: as for `close`."""
        if self._thread is None or self.is_current_thread():
            return True
        self._thread.join(within)
        return self.are_over

    def is_current_thread(self) -> bool:
        """Whether this code runs in a function that receives dead letters."""
        return self._thread is threading.current_thread()

    @property
    def are_over(self) -> bool:
        """Whether no further dead letter will be passed on."""
        return self._is_closed or self._thread is None or not self._thread.is_alive()

    def close(self, within: float | None) -> None:
        """Wait until the thread has passed on all dead letters. within: for this many seconds at most.

        Later dead letters are discarded, even if Ctrl-C interrupts the wait. If a function never returns, its thread
        is left behind.
        """
        self.end()
        try:
            self.wait(within)
        finally:
            self._is_closed = True


def once(take: Taker) -> Taker:
    """Take the dead letters of a stage, each once: work that is done again after the loss of a worker sends it again.

    All results of an item come to the stage in one frame, so its parts have the same numbers each time. Any thread may
    call the function.
    """
    taken: dict[tuple[int, int, int | None], object] = {}

    def take_new(item: DeadItem) -> None:
        # Two workers may have the same item. `setdefault` is atomic.
        own = object()
        if taken.setdefault((item.index, item.part, item.position), own) is own:
            take(item)

    return take_new
