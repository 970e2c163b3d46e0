"""A run whose items are the source of several pipelines: it runs once, and each of them gets every item.

    run ── one thread ──┬──► reader: the source of a pipeline
                        └──► reader: the source of another pipeline

The thread waits for the slowest reader, so all readers must be read at the same time, as the parts of a `Merge` are. If
the run fails, all readers raise its error. If one reader is cancelled, so is the run; the others wait until they are
cancelled as well, because the failure that has ended the first one is not theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any

from ..errors import Cancelled
from ..ipc.wakeups import Event
from ..transport.thread_channel import MemoryChannel
from ..worker.stage_run import Nested
from .handing_on import items_received, send_items
from .run import Run

__all__ = ["SharedRun"]


class SharedRun:
    """A run that several readers share. The first of them that is read starts it; all must be made before that.

    `_lock` guards the start of the thread. A thread adds `_run` and then reads `is_cancelled`; a thread that cancels
    sets `is_cancelled` and then reads `_run`.
    """

    def __init__(self, begin: Callable[[], Run[Any]]) -> None:
        self._begin = begin
        self._channels: list[MemoryChannel] = []
        self._run: Run[Any] | None = None
        self.is_cancelled = False
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def reader(self, in_flight: int | None) -> Callable[[], Iterable[Any]]:
        """Return the function of a source for one more pipeline.

        in_flight: how many items the reader may have got and not finished; None for a bound in bytes.
        """
        channel = MemoryChannel(1, 1, in_flight)
        self._channels.append(channel)

        def read() -> Iterable[Any]:
            return _Reader(self, channel)

        return read

    def start(self) -> None:
        """Start the run, unless it has been started."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=copy_context().run, args=(self._send,), name="chainpump shared run", daemon=True
                )
                self._thread.start()

    def _send(self) -> None:
        senders = [channel.sender(0) for channel in self._channels]
        try:
            with self._begin() as run:
                self._run = run
                if not self.is_cancelled:
                    send_items(run, senders, lambda: self.is_cancelled)
        except BaseException as error:
            # The readers raise it again, unless it is the effect of `cancel`.
            if not self.is_cancelled:
                self.error = error
        finally:
            for sender in senders:
                sender.close()

    def cancel(self) -> None:
        """End the run early, and wake all threads that wait for it. Any thread may call it."""
        self.is_cancelled = True
        run = self._run
        if run is not None:
            run.cancel()
        for channel in self._channels:
            channel.hang_up()

    def join(self) -> None:
        """Wait until the run has completely ended. It has been cancelled, or all readers are at their ends."""
        if self._thread is not None:
            self._thread.join()


class _Reader(Nested):
    """The items of a shared run. Its channel is closed when it is dropped: a late `cancel` may still use it."""

    def __init__(self, shared: SharedRun, channel: MemoryChannel) -> None:
        self._shared = shared
        self._channel = channel
        self._has_ended = False
        self._cancelled = Event()

    def __iter__(self) -> Iterator[Any]:
        self._shared.start()
        yield from items_received(self._channel.receiver())
        if self._shared.error is not None:
            raise self._shared.error
        if self._shared.is_cancelled:
            self._cancelled.wait(-1)
            raise Cancelled("the run was cancelled")
        self._has_ended = True

    def cancel(self) -> None:
        """Cancel the shared run, unless this reader has all items."""
        if not self._has_ended:
            self._shared.cancel()
        self._cancelled.set()

    def close(self) -> None:
        """Cancel it, and wait until all its resources are released."""
        if not self._has_ended:
            self._shared.cancel()
            self._shared.join()
