"""The sending side of a worker: collects items into frames, and lets none wait.

A frame leaves when it holds as many items as the consumer asked for, or 64 KB; 2 ms after its first item, by the
flusher; before the worker waits for anything; and at once if nothing has left for 2 ms: a lone item never waits.

    worker thread:   item -> [pending] -- full, or about to wait --> send
    flusher thread:          [pending] -- 2 ms old ----------------> send
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import Cancelled
from .board import Cell
from .channel import Sender
from .codec import SCALARS, STRINGS, ItemFault, Large
from .flow import FLUSH_BYTES, FLUSH_NS

__all__ = ["Outlet"]

SCALAR_BYTES = 8  # about what an int takes in a pickle


class Outlet:
    """What a worker yields goes in here. Only the worker's own thread calls it; the flusher is its second thread.

    `_pending` grows by `append` alone, which is atomic, and shrinks only under `_lock`, which also orders the
    sends. So an item costs no lock, and a frame costs one.
    """

    def __init__(self, sender: Sender, row: memoryview, hint: memoryview, cancelled: memoryview) -> None:
        self._sender = sender
        self._credits = sender.credits
        self._row = row
        self._hint = hint
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._pending: list[Any] = []
        self._snapshots = False  # whether `_pending` holds snapshots; changes under `_lock`, or while it is empty
        self._sent = 0
        self._last_sent = 0  # ns
        self._since = 0  # ns; when the first pending item came
        self._holds_slot = False
        self._flusher = _Flusher(self.flush_old)

    def pump(self, items: Iterable[Any]) -> None:
        """Send all items. Raises Cancelled, ItemFault, or what `items` raises."""
        pending = self._pending
        append = pending.append
        limit = self._limit()
        size = 0
        for item in items if self._credits is None else self._metered(items):
            kind = type(item)
            if kind in SCALARS and not self._snapshots:
                nbytes = SCALAR_BYTES
            elif kind in STRINGS and not self._snapshots:
                nbytes = len(item)
            else:
                item, nbytes = self._admit(item, kind)  # noqa: PLW2901  # from here on its entry stands for it
            append(item)
            waiting = len(pending)
            size = nbytes if waiting == 1 else size + nbytes  # the flusher may have taken what was there before
            if waiting >= limit or size >= FLUSH_BYTES:
                self.flush()
                limit = self._limit()
            elif waiting == 1:
                self._first_pending()

    @property
    def blocked_ns(self) -> int:
        """Nanoseconds that the worker's thread has spent sending, or waiting for credit."""
        return int(self._row[Cell.BLOCKED])

    def _limit(self) -> int:
        return self._hint[0] or 1

    def _admit(self, item: Any, kind: type) -> tuple[Any, int]:
        """The entry of an item that may be changed later, or that joins a frame of snapshots."""
        if not self._pending:
            self._snapshots = False
            if kind in SCALARS or kind in STRINGS:
                return item, SCALAR_BYTES if kind in SCALARS else len(item)
        try:
            entry, nbytes = self._sender.admit(item)
        except ItemFault as fault:
            with self._lock:
                fault.index = self._sent + len(self._pending)
            raise
        if isinstance(entry, Large):
            self.flush()  # it travels alone
        if not self._snapshots:
            with self._lock:
                self._pending[:] = [self._sender.admit(earlier)[0] for earlier in self._pending]
                self._snapshots = True
        return entry, nbytes

    def _first_pending(self) -> None:
        now = time.monotonic_ns()
        if now - self._last_sent >= FLUSH_NS:
            self.flush()
        else:
            self._since = now
            self._flusher.arm()

    def _metered(self, items: Iterable[Any]) -> Iterator[Any]:
        """Take a slot before each item is made: `in_flight=` is exact."""
        iterator = iter(items)
        while True:
            self._take_slot()
            try:
                item = next(iterator)
            except StopIteration:
                self._give_slot()
                return
            self._holds_slot = False  # it travels with the item
            yield item

    def _take_slot(self) -> None:
        assert self._credits is not None
        while not self._credits.take():
            self.flush()
            before = time.monotonic_ns()
            self._credits.wait()
            self._row[Cell.BLOCKED] += time.monotonic_ns() - before
            self._check_cancelled()
        self._holds_slot = True

    def _give_slot(self) -> None:
        if self._holds_slot and self._credits is not None:
            self._holds_slot = False
            self._credits.give()

    def before_wait(self) -> bool:
        """The worker is about to wait for input: send what is pending, and let another worker use the slot.

        Without the latter, a worker that waits for input with a slot could starve one that has input and no slot.
        Returns whether there was a slot, which `after_wait` takes again.
        """
        self.flush()
        held = self._holds_slot
        self._give_slot()
        return held

    def after_wait(self, held: bool) -> None:
        """Input has come: take the slot again, if there was one."""
        if held:
            self._take_slot()

    def flush(self) -> None:
        """Send what is pending. Raises Cancelled."""
        if self._pending or self._flusher.error:
            before = time.monotonic_ns()
            self._send_pending()
            self._row[Cell.BLOCKED] += time.monotonic_ns() - before
            self._flusher.raise_error()

    def flush_old(self) -> int:
        """For the flusher: send what is pending if it is old enough; returns ns to wait for the next look, or 0."""
        if not self._pending:
            return 0
        left = self._since + FLUSH_NS - time.monotonic_ns()
        if left > 0:
            return left
        self._send_pending()
        return FLUSH_NS if self._pending else 0  # one that came meanwhile was not the first, and has armed nobody

    def _send_pending(self) -> None:
        with self._lock:
            count = len(self._pending)
            if not count:
                return
            self._check_cancelled()
            entries = self._pending[:count]
            snapshots = self._snapshots  # read before the deletion: it may change once nothing is pending
            del self._pending[:count]
            self._sender.send(entries, snapshots, self._sent)
            self._sent += count
            self._last_sent = time.monotonic_ns()
            self._row[Cell.SENT] = self._sent
            self._row[Cell.MOVED] = self._last_sent

    def _check_cancelled(self) -> None:
        if self._cancelled[0]:
            raise Cancelled("the run was cancelled")

    def finish(self) -> None:
        """Send all that is left. Raises Cancelled."""
        self._flusher.stop()
        self.flush()

    def close(self) -> None:
        """Stop the flusher without sending, and close this end."""
        self._flusher.stop()
        self._sender.close()


class _Flusher:
    """A thread that sends frames which have waited for 2 ms; it sleeps while nothing is pending."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look: Callable[[], int] | None = look  # sends what is old; says in how many ns to look again, or 0
        self._armed = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None  # written by the thread once, read by the worker

    def arm(self) -> None:
        """Something is pending."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="chainpump flusher", daemon=True)
            self._thread.start()
        self._armed.set()

    def _run(self) -> None:
        while True:
            self._armed.wait()
            self._armed.clear()
            left = FLUSH_NS
            while left and not self._stopped.wait(left / 1e9):
                try:
                    left = self._look() if self._look is not None else 0
                except BaseException as error:  # raised again in the worker's own thread
                    self.error = error
                    return
            if self._stopped.is_set():
                return

    def raise_error(self) -> None:
        """Raise in the worker's thread what ended the flusher."""
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End the thread; a send that it is in ends first, or is woken by the channel's hang-up."""
        self._stopped.set()
        self._armed.set()
        if self._thread is not None and self._thread.is_alive():  # it is not, if Cancelled broke into its start
            self._thread.join()
        self._look = None  # it belongs to the outlet, which belongs to nobody now: no cycle keeps the board mapped
