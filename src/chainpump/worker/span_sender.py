"""How a worker at the end of a durable run tells which items are done: it gathers spans, and sends them together.

worker thread:   span -> [gathered] -- commit, or end ---> notes -> the journal of the run
flusher thread:          [gathered] -- 50 ms old --------> notes
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..durable.notes import Notes
from ..errors import Cancelled
from ..transport.flusher import Flusher
from ..transport.frames import Span
from .commits import with_commits
from .recorded_input import RecordedInput
from .taken_items import TakenItems

__all__ = ["SpanSender"]

# Nanoseconds. A message for each span would cost more than the items of a fast stage, and the journal is written once a
# second.
GATHER_NS = 50_000_000


class SpanSender:
    """Tells which items of one worker are done.

    note: sends notes. autocommits: what the worker has finished is done. If False, its function takes all items, and
    commits.
    """

    def __init__(self, note: Callable[[Notes], object], *, autocommits: bool) -> None:
        self._note = note
        self._autocommits = autocommits
        self.taken = TakenItems(self.add, autocommits=autocommits)
        # Guards the next attribute, and orders the notes.
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._flusher = Flusher(self._send_old, name="chainpump done items", after_ns=GATHER_NS)

    # Any: as for `RecordedInput`.
    def input(self, *place: Any) -> RecordedInput:
        """Make the input of the worker, which notes what is taken from it."""
        return RecordedInput(self.taken, *place)

    def run(self, start: Callable[[], Any]) -> Any:
        """Call what runs the stage of the worker, whose commits come here."""
        return start() if self._autocommits else with_commits(start, self._commit)

    def add(self, span: Span) -> None:
        """The items of this span are done."""
        with self._lock:
            last = self._spans[-1] if self._spans else None
            if last is not None and last.is_before(span):
                self._spans[-1] = last._replace(stop=span.stop, last=span.last)
            else:
                self._spans.append(span)
        if last is None:
            try:
                self._flusher.arm()
            except OSError:
                # There is no thread that could send it later.
                self.send()

    def _commit(self) -> None:
        self.taken.commit()
        self.send()

    def send(self) -> None:
        """Send what is gathered. Nobody receives it after the outcome of the worker."""
        with self._lock:
            spans, self._spans = self._spans, []
            if spans:
                # A span is a tuple. Without its class, the message is half as long.
                self._note(Notes(done=[tuple(span) for span in spans]))

    def _send_old(self) -> int:
        self.send()
        # There is nothing left for a later call.
        return 0

    def finish(self, *, stopped: bool) -> None:
        """Send all, and what the function has not committed. stopped: it has ended before its input, as it may."""
        self.close()
        if self.taken.uncommitted or stopped:
            self._note(Notes(uncommitted=self.taken.uncommitted, stopped=stopped))

    def close_early(self) -> None:
        """Do the same as `close` in a worker that fails or is cancelled: what it has done before is done."""
        with suppress(Exception, Cancelled):
            self.close()

    def close(self) -> None:
        """Send what is gathered, and stop. Later calls do nothing."""
        self._flusher.stop()
        self.send()
