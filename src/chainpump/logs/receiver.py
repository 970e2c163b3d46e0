"""Receives what the worker processes of a run log, warn and, above a live table, print; a thread hands it on.

A slow handler therefore delays only workers that log, and only once their pipes are full.
"""

from __future__ import annotations

import os
import pickle
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from ..ipc.descriptors import Descriptor, pipe
from ..messages.names import WorkerName
from .message_pipe import ChunkReader
from .records import LOGGER, Levels, LibraryWarning, LogsEnd, WorkerMessage

__all__ = ["Logs"]

# The capacity of a pipe on Linux.
READ_BYTES = 1 << 16
# The most bytes of a line that wait for its end.
LONGEST = 1 << 20
# Seconds that a handler may take for one record once a run has failed; after that the run no longer waits for it.
PATIENCE = 2.0


class Source(Protocol):
    """A pipe that workers write."""

    end: Descriptor

    def read(self) -> list[Callable[[], object]] | None:
        """What to do with what has arrived, oldest first; None if nothing has. Closes the pipe at its end."""
        ...

    def rest(self) -> list[Callable[[], object]]:
        """What to do with what has arrived only in part, if no more will come."""
        ...


class MessageSource:
    """The pipe with the log records and warnings of one worker."""

    def __init__(self, who: WorkerName, end: Descriptor) -> None:
        self.who = who
        self.end = end
        self._reader = ChunkReader()

    def read(self) -> list[Callable[[], object]] | None:
        """As for `Source`."""
        data = _read(self.end)
        if data is None:
            return None
        messages: list[WorkerMessage] = [pickle.loads(message) for message in self._reader.feed(data)]
        return [partial(message.hand_on, self.who) for message in messages]

    def rest(self) -> list[Callable[[], object]]:
        """A message of which only a part has arrived is lost with its worker."""
        return []


class OutputSource:
    """The pipe with the output of all workers, if this process draws in their terminal. show: gets whole lines."""

    def __init__(self, end: Descriptor, show: Callable[[str], object]) -> None:
        self.end = end
        self._show = show
        self._begun = b""

    def read(self) -> list[Callable[[], object]] | None:
        """As for `Source`."""
        data = _read(self.end)
        if data is None:
            return None
        whole, newline, self._begun = (self._begun + data).rpartition(b"\n")
        if self.end.closed or len(self._begun) > LONGEST:
            whole, self._begun = whole + newline + self._begun, b""
        return [partial(self._show, text_of_output(whole))] if whole or newline else []

    def rest(self) -> list[Callable[[], object]]:
        """A line without its end."""
        begun, self._begun = self._begun, b""
        return [partial(self._show, text_of_output(begun))] if begun else []


def _read(end: Descriptor) -> bytes | None:
    """What has arrived in a pipe; None if nothing has. Closes the pipe at its end."""
    if end.closed:
        return None
    try:
        data = os.read(end.fileno(), READ_BYTES)
    except BlockingIOError:
        return None
    if not data:
        end.close()
    return data


def text_of_output(data: bytes) -> str:
    """The lines of an output. Of a line that is drawn again and again, such as a progress bar, the last state."""
    lines = data.decode(errors="backslashreplace").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


class Logs:
    """The pipes of all worker processes of a run, and the thread that reads them. A run without worker processes has
    this thread only from the first warning of the library on.

    Shared between threads: `_new_sources` and `_warnings`, whose operations are atomic; `_handed`, which one thread
    counts; flags, which are set once; and `_wakeup` and `_thread`, which `_wakeup_lock` guards. All else belongs to the
    holder of `_reading`: the thread, or the caller of `close` if the thread has not begun.
    """

    def __init__(self) -> None:
        self._levels = _configured_levels()
        # The pipes that the thread does not read yet.
        self._new_sources: deque[Source] = deque()
        # Warnings of the library itself.
        self._warnings: deque[LibraryWarning] = deque()
        self._wakeup: tuple[Descriptor, Descriptor] | None = None
        # Reentrant: a finalizer may close a run anywhere, also while this thread holds the lock.
        self._wakeup_lock = threading.RLock()
        # Taken once and never released: by whoever reads the pipes.
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None
        # No worker is left.
        self._ended = False
        # The run no longer waits: what still arrives is dropped.
        self._left = False
        # The number of messages handed to loggers.
        self._handed = 0

    def pipe(self, who: WorkerName) -> LogsEnd:
        """Make the pipe of a worker; the worker is started with the end that this returns."""
        reading, writing = pipe()
        self._add(MessageSource(who, reading))
        return LogsEnd(writing, self._levels)

    def output_pipe(self, show: Callable[[str], object]) -> Descriptor:
        """Make a pipe for the output of workers. show: gets the lines, in the thread that reads the pipe."""
        reading, writing = pipe()
        self._add(OutputSource(reading, show))
        return writing

    def _add(self, source: Source) -> None:
        if self._wakeup is None:
            self._wakeup = pipe()
        os.set_blocking(source.end.fileno(), False)
        self._new_sources.append(source)
        self._wake()

    def warn(self, text: str, logger: str = LOGGER) -> None:
        """Have the thread log a warning of the library itself; the caller does not wait for handlers."""
        self._warnings.append(LibraryWarning(text, logger))
        with self._wakeup_lock:
            if self._wakeup is None and self._thread is None:
                # If the system refuses a pipe or a thread, `close` logs the warning.
                with suppress(OSError, RuntimeError):
                    self._wakeup = pipe()
                    self.start()
        self._wake()

    def start(self) -> None:
        """Start the thread, once the first workers are started: a fork must not copy it.

        If Cancelled interrupts this, the thread may or may not begin; only `_reading` says whether it has.
        """
        with self._wakeup_lock:
            if self._wakeup is not None and self._thread is None:
                thread = threading.Thread(
                    target=self._hand_on, args=self._wakeup[:1], name="chainpump logs", daemon=True
                )
                self._thread = thread
                thread.start()

    def end(self) -> None:
        """No worker is left: the pipes hold all that will come."""
        self._ended = True
        self._wake()

    def close(self, went_well: bool) -> None:
        """Wait until every message has been handed on. If the run has failed, wait only while handlers make progress.

        Afterwards no more is handed on, also if Ctrl-C interrupts the wait. A thread whose handler never returns
        is left running.
        """
        thread = self._thread
        if self._reading.acquire(blocking=False):
            self._drain()
            self._close_wakeup()
        elif thread is not None and thread is not threading.current_thread():
            handed = None
            try:
                while thread.is_alive() and handed != self._handed:
                    handed = self._handed
                    thread.join(None if went_well else PATIENCE)
            finally:
                self._left = True

    def _wake(self) -> None:
        with self._wakeup_lock:
            if self._wakeup is not None:
                os.write(self._wakeup[1].fileno(), b"!")

    def _hand_on(self, wakeup: Descriptor) -> None:
        # The thread begins after `close`, which has handed on all messages.
        if not self._reading.acquire(blocking=False):
            return
        sources: list[Source] = []
        try:
            while not self._ended:
                while self._new_sources:
                    sources.append(self._new_sources.popleft())
                _wait(wakeup, sources)
                self._take_warnings()
                for source in sources:
                    self._take(source)
                sources = [source for source in sources if not source.end.closed]
            self._new_sources.extend(sources)
            self._drain()
        finally:
            # Also if the user's `threading.excepthook` raises: no worker may wait for room in a pipe that nobody reads.
            self._close_wakeup()
            for source in sources:
                source.end.close()

    def _close_wakeup(self) -> None:
        """Close the pipe that wakes the thread."""
        with self._wakeup_lock:
            wakeup, self._wakeup = self._wakeup, None
        for end in wakeup or ():
            end.close()

    def _drain(self) -> None:
        """Hand on what is left. This does not wait for the end of a pipe: a stray child process may hold it open."""
        self._take_warnings()
        while self._new_sources:
            source = self._new_sources.popleft()
            while self._take(source):
                pass
            self._do(source.rest())
            source.end.close()

    def _take_warnings(self) -> None:
        while self._warnings:
            warning = self._warnings.popleft()
            self._do([warning.hand_on])

    def _take(self, source: Source) -> bool:
        """Hand on what a worker has sent; returns whether there was anything."""
        found = source.read()
        self._do(found or [])
        return found is not None

    def _do(self, found: list[Callable[[], object]]) -> None:
        for each in found:
            if not self._left:
                _call(each)
                self._handed += 1


def _wait(wakeup: Descriptor, sources: list[Source]) -> None:
    """Wait until a worker has sent something, or the thread is woken."""
    poll = select.poll()
    for end in (wakeup, *(source.end for source in sources)):
        poll.register(end.fileno(), select.POLLIN)
    if (wakeup.fileno(), select.POLLIN) in poll.poll():
        os.read(wakeup.fileno(), 4096)


def _call(hand_on: Callable[[], object]) -> None:
    try:
        hand_on()
    except BaseException:
        # The user's `showwarning` raised. It must not end the thread: workers wait for it.
        thread = threading.current_thread()
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


def _configured_levels() -> Levels | None:
    """The levels of the main process; None where it has set no level and added no handler."""
    if "logging" not in sys.modules:
        return None
    import logging

    known = logging.root.manager.loggerDict.copy().values()
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    are_handled = not all(isinstance(handler, logging.NullHandler) for each in loggers for handler in each.handlers)
    levels = {each.name: each.level for each in loggers if each.level or each is logging.root}
    disabled = logging.root.manager.disable
    if not (are_handled or disabled) and levels == {logging.root.name: logging.WARNING}:
        return None
    return Levels(levels, disabled, are_handled)
