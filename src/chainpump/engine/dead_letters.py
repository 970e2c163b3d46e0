"""The dead letters of a run: kept for the report, or handed on as they come, by a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from ..errors import DeadItem
from ..policies import Policy, taker

__all__ = ["DeadLetters"]

Taker: TypeAlias = Callable[[DeadItem], object]


class DeadLetters:
    """Any thread may hand letters in.

    kept: where those go that nobody takes. refused: is called once if a function that takes them raises.
    """

    def __init__(self, kept: list[DeadItem], refused: Callable[[], None]) -> None:
        self.kept = kept
        # What was refused first, and how.
        self.refusal: tuple[DeadItem, BaseException] | None = None
        self._refused = refused
        # Nobody waits any more.
        self._left = False
        self._queue: SimpleQueue[tuple[Taker, DeadItem] | None] = SimpleQueue()
        # Somebody takes them.
        self._is_needed = False
        self._thread: threading.Thread | None = None

    def taker(self, policy: Policy) -> Taker:
        """Where the letters of this policy go."""
        to = taker(policy)
        if to is None:
            return self.kept.append
        self._is_needed = True
        return lambda item: self._queue.put((to, item))

    def start(self) -> None:
        """Begin to hand on, if there is anybody to take them, once the first workers are there: as for `Logs`."""
        if self._is_needed:
            thread = threading.Thread(target=self._hand_on, name="chainpump dead letters", daemon=True)
            thread.start()
            self._thread = thread

    def _hand_on(self) -> None:
        while (handed := self._queue.get()) is not None:
            to, item = handed
            if self._left or self.refusal is not None:
                continue
            try:
                to(item)
            except BaseException as error:
                # It ends the run, as one of a stage would.
                self.refusal = (item, error)
                self._refused()

    def close(self, within: float | None) -> None:
        """Wait until all that came has been handed on; or so many seconds at most, if nobody needs to know.

        Afterwards no more is handed on, also if Ctrl-C breaks off the wait; the thread of a function that never returns
        is left behind.
        """
        self._queue.put(None)
        thread, self._thread = self._thread, None
        try:
            if thread is not None and thread is not threading.current_thread():
                thread.join(within)
        finally:
            self._left = True
