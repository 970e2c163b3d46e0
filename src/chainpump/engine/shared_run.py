"""A run whose items are the source of several pipelines: it runs once, and each of them gets every item.

    run ── one thread ──┬──► reader: the source of a pipeline
                        └──► reader: the source of another pipeline

The thread waits for the slowest reader, so all readers must be read at the same time, as the parts of a `Merge` are.
The run starts when all of them are read: a reader that never comes holds up the others until they are cancelled, and
nothing has started that nobody would end. A reader that is cancelled gets no further items, and the others go on. When
all have been cancelled, so is the run. If the run fails, all readers raise its error.

So no reader waits for another one: its wait ends with its own cancellation, or with the end of the run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any

from ..errors import Cancelled
from ..transport.thread_channel import MemoryChannel
from ..worker.stage_run import Nested
from .handing_on import items_received, send_items
from .run import Run

__all__ = ["SharedRun"]


class SharedRun:
    """A run that several readers share. All readers must be made before the first one is read.

    `_lock` guards the start of the thread. The thread sets `_run` and then reads whether all readers have left. A
    thread in which a reader leaves records that first, and then reads `_run`.
    """

    def __init__(self, begin: Callable[[], Run[Any]]) -> None:
        self._begin = begin
        self._readers: list[_Reader] = []
        self._run: Run[Any] | None = None
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def reader(self, in_flight: int | None) -> Callable[[], Iterable[Any]]:
        """Return the function of a source for one more pipeline, which runs once.

        in_flight: how many items the reader may have got and not finished; None for a bound in bytes.
        """
        reader = _Reader(self, MemoryChannel(1, 1, in_flight))
        self._readers.append(reader)

        def read() -> Iterable[Any]:
            return reader

        return read

    def start(self) -> None:
        """Start the run if all readers are read."""
        with self._lock:
            if self._thread is None and all(reader.is_read for reader in self._readers):
                thread = threading.Thread(
                    target=copy_context().run, args=(self._send,), name="chainpump shared run", daemon=True
                )
                thread.start()
                self._thread = thread

    def _send(self) -> None:
        senders = [reader.channel.sender(0) for reader in self._readers]
        try:
            with self._begin() as run:
                self._run = run
                if not self.is_over:
                    send_items(run, senders)
        except BaseException as error:
            # The readers raise it again, unless it is the effect of `cancel`.
            if not self.is_over:
                self.error = error
        finally:
            for sender in senders:
                sender.close()

    @property
    def is_over(self) -> bool:
        """Whether no reader needs further items."""
        return all(reader.is_over for reader in self._readers)

    def cancel(self) -> None:
        """End the run early if no reader needs further items. Any thread may call it."""
        run = self._run
        if run is not None and self.is_over:
            run.cancel()

    def join(self) -> None:
        """Wait until the run has completely ended, if no reader needs further items."""
        if self.is_over:
            with self._lock:
                thread = self._thread
            if thread is not None:
                thread.join()


class _Reader(Nested):
    """The items of a shared run. Its channel is closed when it is dropped: a late `cancel` may still use it."""

    def __init__(self, shared: SharedRun, channel: MemoryChannel) -> None:
        self._shared = shared
        self.channel = channel
        self.is_read = False
        self._has_ended = False
        self._is_cancelled = False

    @property
    def is_over(self) -> bool:
        """Whether it has all items, or needs no more."""
        return self._has_ended or self._is_cancelled

    def __iter__(self) -> Iterator[Any]:
        self.is_read = True
        self._shared.start()
        yield from items_received(self.channel.receiver())
        if self._is_cancelled:
            raise Cancelled("the run was cancelled")
        if self._shared.error is not None:
            raise self._shared.error
        self._has_ended = True

    def cancel(self) -> None:
        """Take no further items, unless this reader has all of them. Without readers, the run ends."""
        if not self._has_ended:
            self._is_cancelled = True
            self._shared.cancel()
            self.channel.hang_up()

    def close(self) -> None:
        """Do the same. The last reader waits until all resources of the run are released."""
        self.cancel()
        self._shared.join()
