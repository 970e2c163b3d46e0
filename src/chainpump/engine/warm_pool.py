"""Pools that stay warm: worker processes that are kept between runs.

    run ──start_kept──► take: a process that fits ──► its next worker ──ready──► give_back ──► idle
                                                                                    │
               thread of the pool: ends what is idle for too long, and reaps what has died

A pool owns the processes that have no worker. While a process has one, the run of the worker owns it.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from ..executors.kept_process import Fit
from ..executors.process_handle import ProcessHandle
from ..ipc.descriptors import pipe
from ..logs.records import warn
from ..worker.outcome import Finished
from .kept_hints import KeptHints
from .started_worker import StartedWorker

__all__ = ["WarmPool", "current_pool"]


class WarmPool:
    """Keeps the worker processes of runs for later runs. `warm()` makes it; use it in a `with` block, or close it.

    hints: the batch sizes of earlier runs.
    Any thread may use it. `_lock` guards changes of `_idle`, `_leaving`, `_is_closed` and the start of the thread. It
    is held for a few instructions. All else belongs to the thread of the pool.
    """

    def __init__(self, idle: float, grace: float) -> None:
        self._seconds = idle
        self._grace = grace
        self._process = os.getpid()
        self.hints = KeptHints()
        self._lock = threading.Lock()
        # Idle processes and when each of them is to end, the one that has waited longest first.
        self._idle: list[tuple[ProcessHandle, float]] = []
        # Processes that the thread is to end.
        self._leaving: list[ProcessHandle] = []
        self._is_closed = False
        self._is_urgent = False
        self._thread: threading.Thread | None = None
        # The thread holds it to its end. `Thread.join` cannot be called again after Ctrl-C has interrupted it.
        self._running = threading.Lock()
        self._wake_reader, self._wake_writer = pipe()
        os.set_blocking(self._wake_writer.fileno(), False)
        self._at_exit = partial(self.close, urgent=True)
        atexit.register(self._at_exit)
        _POOLS.append(self)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{len(self._idle)} idle"
        return f"<WarmPool: {state}>"

    @property
    def idle_pids(self) -> Sequence[int]:
        """The ids of the processes that wait for a run."""
        # Without the lock: in a forked process, a thread that does not exist there may hold it. The copy is atomic.
        return [handle.pid for handle, _ in tuple(self._idle)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(urgent=error is not None)

    def close(self, *, urgent: bool = False) -> None:
        """End all idle processes and wait for their end. Others end with their run. A second call does nothing.

        urgent: whether to kill a process that has not ended after the grace. Otherwise its clean-up may take any time,
        and a warning is logged if it takes long. Ctrl-C makes it urgent.
        """
        # In a forked process, this object is a copy: the processes belong to the parent.
        if os.getpid() != self._process:
            return
        try:
            self._close(urgent)
        except BaseException:
            # Ctrl-C may have interrupted any line.
            self._close(urgent=True)
            raise

    def _close(self, urgent: bool) -> None:
        with self._lock:
            self._is_closed = True
            self._is_urgent |= urgent
            self._leaving, self._idle = [*self._leaving, *(handle for handle, _ in self._idle)], []
        with suppress(ValueError):
            _POOLS.remove(self)
        atexit.unregister(self._at_exit)
        self._wake()
        if self._thread is None:
            self._close_wakeup()
            return
        with self._running:
            pass
        self._thread.join()

    def take(self, fit: Fit) -> ProcessHandle | None:
        """Return the handle of a process that fits, which the caller now owns. The one that was used last comes first.

        A process that has died is not taken. The thread reaps it.
        """
        with self._lock:
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0].fits(fit):
                    return self._idle.pop(index)[0]
        return None

    def give_back(self, handle: ProcessHandle) -> bool:
        """Keep a process that is ready. Returns False if the pool is closed, or if the system refuses it a thread."""
        with self._lock:
            if self._is_closed or not self._start():
                return False
            self._idle.append((handle, time.monotonic() + self._seconds))
        self._wake()
        return True

    def discard(self, handle: ProcessHandle) -> None:
        """End a process that was taken and can run no worker."""
        handle.kill()
        with self._lock:
            self._leaving.append(handle)
        self._wake()

    def _start(self) -> bool:
        """Start the thread if there is none."""
        if self._thread is None:
            thread = threading.Thread(target=self._supervise, name="chainpump warm pool", daemon=True)
            self._running.acquire()
            try:
                thread.start()
            except RuntimeError:
                self._running.release()
                return False
            self._thread = thread
        return True

    def _wake(self) -> None:
        # It is closed if the thread has ended. A full pipe wakes the thread already.
        with self._lock, suppress(BlockingIOError):
            if not self._wake_writer.closed:
                os.write(self._wake_writer.fileno(), b"!")

    def _close_wakeup(self) -> None:
        with self._lock:
            self._wake_writer.close()
            self._wake_reader.close()

    def _supervise(self) -> None:
        """End processes until the pool is closed and none is left."""
        ending: list[StartedWorker] = []
        was_urgent = False
        try:
            while True:
                leaving, is_closed = self._next_to_leave()
                ending += [self._end(handle) for handle in leaving]
                if self._is_urgent and not was_urgent:
                    was_urgent = True
                    for worker in ending:
                        worker.use_force()
                for worker in tuple(ending):
                    worker.handle.poll()
                    worker.end_remains()
                    worker.take_steps(time.monotonic())
                    if not worker.is_running:
                        ending.remove(worker)
                        _release(worker)
                if is_closed and not ending:
                    return
                self._wait(ending)
        finally:
            self._close_wakeup()
            self._running.release()

    def _next_to_leave(self) -> tuple[Sequence[ProcessHandle], bool]:
        """The processes that are to end now, and whether the pool is closed."""
        now = time.monotonic()
        with self._lock:
            leaving, self._leaving = self._leaving, []
            stay = []
            for handle, until in self._idle:
                if until > now and not handle.has_died:
                    stay.append((handle, until))
                else:
                    leaving.append(handle)
            self._idle = stay
            return leaving, self._is_closed

    def _end(self, handle: ProcessHandle) -> StartedWorker:
        """Begin to end a process."""
        handle.end_process()
        worker = StartedWorker(handle, handle.who, self._grace, warn)
        # Then processes that it leaves behind have the grace period, as those of a finished worker have it.
        worker.outcome = Finished()
        if self._is_urgent:
            worker.use_force()
        else:
            worker.let_end()
        return worker

    def _wait(self, ending: Sequence[StartedWorker]) -> None:
        """Wait until a process has died, a step is due, or another thread has something to do for this one."""
        with self._lock:
            # Another thread may take an idle process, and close its descriptors, as soon as the lock is free.
            waitables = [fd for handle, _ in self._idle for fd in handle.waitables]
            times = [until for _, until in self._idle[:1]]
        waitables += [fd for worker in ending for fd in worker.handle.waitables]
        times += [worker.due for worker in ending if worker.due is not None]
        poll = select.poll()
        for fd in (self._wake_reader.fileno(), *waitables):
            poll.register(fd, select.POLLIN)
        timeout = max(0.0, min(times) - time.monotonic()) * 1000 if times else None
        if (self._wake_reader.fileno(), select.POLLIN) in poll.poll(timeout):
            os.read(self._wake_reader.fileno(), 4096)


def _release(worker: StartedWorker) -> None:
    """Release the resources of a process that has ended."""
    text = worker.unclean(is_reported=False)
    worker.handle.close()
    if text is not None:
        warn(text)


# The pools that are open in this process, the newest last. A run uses the newest, whichever thread starts it: a
# context variable would hide the pool from the threads of a service. Appending and removing are atomic.
_POOLS: list[WarmPool] = []
os.register_at_fork(after_in_child=_POOLS.clear)


def current_pool() -> WarmPool | None:
    """The pool that runs of this process use now."""
    return _POOLS[-1] if _POOLS else None
