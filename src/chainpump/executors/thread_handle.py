"""A worker thread, as the supervisor sees it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from ..errors import Cancelled
from ..ipc.descriptors import pipe
from ..messages import failure_texts
from ..worker.current_worker import worker_of_context
from ..worker.outcome import Failed, Interrupted, Outcome
from ..worker.worker import Worker
from .base import Lost
from .swallowed_cancellations import UnraisableHook

__all__ = ["ThreadHandle", "line_of", "stack_of"]


class ThreadHandle:
    """A handle on a worker thread.

    `_lock` guards the flags of `kill`, so that `kill` interrupts only the worker's code.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._outcome: Outcome | None = None
        self._report_reader, self._report_writer = pipe()
        self._exit_reader, self._exit_writer = pipe()
        self._lock = threading.Lock()
        self._interruptible = True
        self._killed = False
        # The hook is installed from the first `kill` until the end, because it refers to this handle.
        self._unraisable_hook: UnraisableHook | None = None
        who = worker.who
        name = f"chainpump {who.stage} {who.number}/{who.of}"
        # The stages that share a thread have one context, so they are found by the call stack only.
        if len(worker.assignments) == 1:
            worker.context.run(worker_of_context.set, worker.assignments[0].current_worker)
        self._thread = threading.Thread(target=worker.context.run, args=(self._run,), name=name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            for end in (self._report_reader, self._report_writer, self._exit_reader, self._exit_writer):
                end.close()
            raise

    def _run(self) -> None:
        try:
            try:
                outcome = self._work()
            finally:
                self._stop_interruptions()
        except Cancelled:
            # `kill` raised this after the worker had handled its own exceptions.
            outcome = Interrupted()
            self._worker.close(outcome)
        except BaseException as error:
            # A defect in closing must be reported. Otherwise the run would wait for ever.
            outcome = Failed(failure_texts.raised(self._worker.who, self.pid, error, None), error)
        self._report(outcome)
        self._finish()
        self._exit_writer.close()

    def _report(self, outcome: Outcome) -> None:
        """Report how the worker ended. A second report has no effect."""
        if not self._report_writer.closed:
            self._outcome = outcome
            # The supervisor's end becomes readable at this end of file.
            self._report_writer.close()

    def _work(self) -> Outcome:
        return self._worker.run(self._report)

    def _finish(self) -> None:
        """Wait for helper threads after the outcome was reported. A plain thread has none."""

    def _stop_interruptions(self) -> None:
        with self._lock:
            self._interruptible = False
            if self._killed:
                # This takes back a cancellation that has not arrived yet.
                _raise_in(threading.get_ident(), None)
            if self._unraisable_hook is not None:
                self._unraisable_hook.remove()
                self._unraisable_hook = None

    @property
    def pid(self) -> int:
        """The process id of the main process."""
        return os.getpid()

    @property
    def dies_within(self) -> float:
        """There is no extra time: a thread may block in a call for ever."""
        return 0.0

    @property
    def waitables(self) -> Sequence[int]:
        """Descriptors that become readable when the worker has reported, and when its thread has ended."""
        return tuple(end.fileno() for end in (self._report_reader, self._exit_reader) if not end.closed)

    def poll(self) -> Outcome | Lost | None:
        """Return the outcome. At the second call, the thread ends within a few instructions."""
        if not self._report_reader.closed:
            self._report_reader.close()
            return self._outcome
        self._thread.join()
        self._exit_reader.close()
        return None

    @property
    def remains(self) -> Sequence[str]:
        """It is empty: processes that the thread started belong to the main process."""
        return ()

    def interrupt(self) -> None:
        """Wake the worker from a pause. Its channels wake it too, and the next item raises Cancelled."""
        self._worker.wake()

    def kill(self) -> None:
        """Raise Cancelled at the next bytecode of the thread. A blocking call is not interrupted."""
        with self._lock:
            if self._interruptible and self._thread.ident is not None:
                self._killed = True
                self._unraisable_hook = (
                    self._unraisable_hook or UnraisableHook(self._is_lost_cancellation, self.kill).install()
                )
                _raise_in(self._thread.ident, Cancelled)

    def _is_lost_cancellation(self, error: BaseException | None) -> bool:
        return isinstance(error, Cancelled) and self.is_current_thread()

    def strike(self) -> None:
        """Raise NotImplementedError, because a thread is never replaced."""
        raise NotImplementedError

    def ask_stack(self) -> None:
        """There is nothing to do: this process can read the stacks of its own threads."""

    def trim_stacks(self) -> None:
        """There is nothing to do, because threads write no stacks."""

    def read_stack(self) -> str:
        """The current stack, in the format of `faulthandler`."""
        return stack_of(self._worker.thread)

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """A plain thread has no tasks."""
        return ()

    def is_current_thread(self) -> bool:
        """Whether this code runs in the worker's thread."""
        return self._thread is threading.current_thread()

    def close(self) -> None:
        """Close the supervisor's ends of the pipes. A thread that was left behind closes its own ends."""
        self._report_reader.close()
        self._exit_reader.close()


def stack_of(thread: int | None) -> str:
    """The stack of a thread of this process, innermost call first. It is empty if the thread does not run."""
    frame = sys._current_frames().get(thread or 0)  # noqa: SLF001  # it is documented for debuggers
    lines = []
    while frame is not None:
        lines.append(line_of(frame))
        frame = frame.f_back
    return "\n".join(lines)


def line_of(frame: FrameType) -> str:
    """One call, in the format of `faulthandler`."""
    return f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}'


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an exception at the next bytecode of a thread. None takes back an exception that has not arrived.

    Before CPython 3.13, one flag informs all threads that an exception is pending for some thread. The flag is cleared
    only when an exception arrives. It stays set when the exception was taken back, and for a long time when the thread
    waits. Meanwhile all threads run slower. On 3.11, code that is traced by a debugger or for coverage does not advance
    at all. So a second exception is raised in a short-lived thread, where it arrives and clears the flag. A thread with
    a pending exception sets the flag again when it wakes.
    """
    _set_async_exception(thread, error)
    if sys.version_info < (3, 13):
        arriving = threading.Thread(target=_receive_one, name="chainpump receives", daemon=True)
        # No thread can be started when the program ends or has no memory left.
        with suppress(RuntimeError):
            arriving.start()
            arriving.join()


def _receive_one() -> None:
    with suppress(Cancelled):
        _set_async_exception(threading.get_ident(), Cancelled)
        while True:
            # The exception arrives between bytecodes, so the thread needs some to execute.
            pass


def _set_async_exception(thread: int, error: type[BaseException] | None) -> None:
    # The import is late because only a run that has to kill a thread needs it.
    import ctypes

    exception = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
