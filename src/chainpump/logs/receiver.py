"""What the worker processes of a run log and warn, handed on by a thread of its own.

So a slow handler keeps only those waiting who log, once their pipes are full.
"""

from __future__ import annotations

import os
import pickle
import select
import sys
import threading
from collections import deque

from ..ipc.descriptors import Descriptor, pipe
from ..messages.failure_texts import Who
from .message_pipe import ChunkReader
from .records import Levels, LogsEnd, Said, Told

__all__ = ["Logs"]

# What a pipe of Linux holds.
READ_BYTES = 1 << 16
# Seconds for one record, once a run has failed; a handler that takes longer is given up.
PATIENCE = 2.0


class Source:
    """The pipe of one worker."""

    def __init__(self, who: Who, end: Descriptor) -> None:
        self.who = who
        self.end = end
        self._reader = ChunkReader()

    def read(self) -> list[Told] | None:
        """What has come, oldest first; None if there is nothing. Closes its end once there will be no more."""
        if self.end.closed:
            return None
        try:
            data = os.read(self.end.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            self.end.close()
        return [pickle.loads(message) for message in self._reader.feed(data)]


class Logs:
    """The pipes of all worker processes of a run, and the thread that reads them, if there are any.

    Shared between threads: `_fresh` and `_said`, whose operations are atomic; `_handed`, which one thread counts;
    flags, which are set once; and `_bell`, which `_ringing` guards. All else belongs to who has taken `_reading`: the
    thread, or who closes logs before it has begun.
    """

    def __init__(self) -> None:
        self._levels = _levels_asked()
        # That the thread does not know of yet.
        self._fresh: deque[Source] = deque()
        # By the library itself.
        self._said: deque[Said] = deque()
        self._bell: tuple[Descriptor, Descriptor] | None = None
        # Reentrant: a finalizer that closes a run may break in anywhere.
        self._ringing = threading.RLock()
        # Taken once, for good.
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None
        # No worker is left.
        self._ended = False
        # Nobody waits any more.
        self._left = False
        # How much has been handed on.
        self._handed = 0

    def pipe(self, who: Who) -> LogsEnd:
        """A pipe for a worker, which is to be started with this end of it."""
        if self._bell is None:
            self._bell = pipe()
        reading, writing = pipe()
        os.set_blocking(reading.fileno(), False)
        self._fresh.append(Source(who, reading))
        self._ring()
        return LogsEnd(writing, self._levels)

    def say(self, text: str) -> None:
        """Have a warning of the library itself logged, by the thread: no handler holds who says it."""
        self._said.append(Said(text))
        self._ring()

    def start(self) -> None:
        """Begin to read, once the first workers are there: a fork must not copy the thread.

        If Cancelled breaks in, the thread may begin, now or later: whether it has is told by `_reading` alone.
        """
        if self._bell is not None:
            thread = threading.Thread(target=self._hand_on, args=self._bell[:1], name="chainpump logs", daemon=True)
            self._thread = thread
            thread.start()

    def end(self) -> None:
        """No worker is left: what is in the pipes is all there will be."""
        self._ended = True
        self._ring()

    def close(self, went_well: bool) -> None:
        """Wait until all that came has been handed on; if the run has failed, only as long as that goes on.

        Afterwards no more is handed on, also if Ctrl-C breaks off the wait; the thread of a handler that never returns
        is left behind.
        """
        thread = self._thread
        if self._reading.acquire(blocking=False):
            self._drain()
            self._unhang()
        elif thread is not None and thread is not threading.current_thread():
            handed = None
            try:
                while thread.is_alive() and handed != self._handed:
                    handed = self._handed
                    thread.join(None if went_well else PATIENCE)
            finally:
                self._left = True

    def _ring(self) -> None:
        with self._ringing:
            if self._bell is not None:
                os.write(self._bell[1].fileno(), b"!")

    def _hand_on(self, heard: Descriptor) -> None:
        # It begins late: all that came has been handed on.
        if not self._reading.acquire(blocking=False):
            return
        sources: list[Source] = []
        try:
            while not self._ended:
                while self._fresh:
                    sources.append(self._fresh.popleft())
                _wait(heard, sources)
                self._take_said()
                for source in sources:
                    self._take(source)
                sources = [source for source in sources if not source.end.closed]
            self._fresh.extend(sources)
            self._drain()
        finally:
            # Whatever a user's hook for exceptions of threads may raise: nobody is to wait for room in vain.
            self._unhang()
            for source in sources:
                source.end.close()

    def _unhang(self) -> None:
        """Nobody listens any more."""
        with self._ringing:
            bell, self._bell = self._bell, None
        for end in bell or ():
            end.close()

    def _drain(self) -> None:
        """Hand on what is left. The end of a pipe is no sign: a stray child may hold it open."""
        self._take_said()
        while self._fresh:
            source = self._fresh.popleft()
            while self._take(source):
                pass
            source.end.close()

    def _take_said(self) -> None:
        while self._said:
            said = self._said.popleft()
            if not self._left:
                _hand_on(said)
                self._handed += 1

    def _take(self, source: Source) -> bool:
        """Hand on what a worker has sent; returns False if there was nothing."""
        told = source.read()
        for each in told or ():
            if not self._left:
                _hand_on(each, source.who)
                self._handed += 1
        return told is not None


def _wait(heard: Descriptor, sources: list[Source]) -> None:
    """Until a worker has said something, or the bell rings."""
    poll = select.poll()
    for end in (heard, *(source.end for source in sources)):
        poll.register(end.fileno(), select.POLLIN)
    if (heard.fileno(), select.POLLIN) in poll.poll():
        os.read(heard.fileno(), 4096)


def _hand_on(told: Told | Said, *who: Who) -> None:
    try:
        told.hand_on(*who)
    except BaseException:
        # Of the user's `showwarning`; it must not end the thread for which workers wait.
        thread = threading.current_thread()
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))


def _levels_asked() -> Levels | None:
    """What the main process wants to be told; None where it has set no level, and given no logger a handler."""
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
