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
from ..worker.outcome import Failed, Interrupted, Outcome
from ..worker.worker import Worker
from .base import Lost
from .swallowed_cancellations import UnraisableHook

__all__ = ["ThreadHandle", "line_of", "stack_of"]


class ThreadHandle:
    """A started thread. `_lock` guards the two flags of `kill`: it only ever interrupts the worker's code."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._outcome: Outcome | None = None
        self._report_reader, self._report_writer = pipe()
        self._exit_reader, self._exit_writer = pipe()
        self._lock = threading.Lock()
        self._interruptible = True
        self._killed = False
        # From the first `kill` to the end: it refers to this handle.
        self._unraisable_hook: UnraisableHook | None = None
        who = worker.who
        name = f"chainpump {who.stage} {who.number}/{who.of}"
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
            # Sent by `kill`, and arrived behind the worker's own handling.
            outcome = Interrupted()
            self._worker.close(outcome)
        except BaseException as error:
            # A defect in closing must be told, not leave the run waiting.
            outcome = Failed(failure_texts.raised(self._worker.who, self.pid, error, None), error)
        self._report(outcome)
        self._finish()
        self._exit_writer.close()

    def _report(self, outcome: Outcome) -> None:
        """Say how it ended; what was said first stands."""
        if not self._report_writer.closed:
            self._outcome = outcome
            # End of file: readable.
            self._report_writer.close()

    def _work(self) -> Outcome:
        return self._worker.run(self._report)

    def _finish(self) -> None:
        """It has said how it ended: wait for what of it still runs."""

    def _stop_interruptions(self) -> None:
        with self._lock:
            self._interruptible = False
            if self._killed:
                # Takes back one that has not arrived yet.
                _raise_in(threading.get_ident(), None)
            if self._unraisable_hook is not None:
                self._unraisable_hook.remove()
                self._unraisable_hook = None

    @property
    def pid(self) -> int:
        """The main process."""
        return os.getpid()

    @property
    def dies_within(self) -> float:
        """No longer than the grace: a thread that blocks in a call may do so for ever."""
        return 0.0

    @property
    def waitables(self) -> Sequence[int]:
        """Readable once the worker has ended, and once its thread is over."""
        return tuple(end.fileno() for end in (self._report_reader, self._exit_reader) if not end.closed)

    def poll(self) -> Outcome | Lost | None:
        """Its outcome; at the second call the thread is over, but for a few instructions."""
        if not self._report_reader.closed:
            self._report_reader.close()
            return self._outcome
        self._thread.join()
        self._exit_reader.close()
        return None

    @property
    def remains(self) -> Sequence[str]:
        """None: processes that it has started are the main process's."""
        return ()

    def interrupt(self) -> None:
        """Wake it from a pause; its channels wake it too, and its next item raises Cancelled."""
        self._worker.wake()

    def kill(self) -> None:
        """Raise Cancelled at its next bytecode; a call that blocks is not interrupted."""
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
        """Never: a thread has no successor."""
        raise NotImplementedError

    def ask_stack(self) -> None:
        """Nothing to do: this process sees its own threads."""

    def trim_stacks(self) -> None:
        """Nothing to do: it writes none."""

    def read_stack(self) -> str:
        """Where it is, as `faulthandler` would write it."""
        return stack_of(self._worker.thread)

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """None."""
        return ()

    def is_current_thread(self) -> bool:
        """Whether this code runs in it."""
        return self._thread is threading.current_thread()

    def close(self) -> None:
        """Release the pipes; a thread that was left behind closes its own ends."""
        self._report_reader.close()
        self._exit_reader.close()


def stack_of(thread: int | None) -> str:
    """Where a thread of this process is, the innermost call first; empty if it has ended, or has not begun."""
    frame = sys._current_frames().get(thread or 0)  # noqa: SLF001  # documented, for this purpose
    lines = []
    while frame is not None:
        lines.append(line_of(frame))
        frame = frame.f_back
    return "\n".join(lines)


def line_of(frame: FrameType) -> str:
    """A call, as `faulthandler` would write it."""
    return f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}'


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise it at a thread's next bytecode; with None, take back what has not arrived.

    Until CPython 3.13, one flag tells all threads that an exception is on its way to one of them, and only one that
    arrives takes it down: not one that was taken back, and not soon one for a thread that waits. Meanwhile all run
    slower, and on 3.11 whatever is traced, by a debugger or for coverage, stands still. So one is sent that arrives: a
    thread that has one coming puts the flag up again as it wakes.
    """
    _set_async_exception(thread, error)
    if sys.version_info < (3, 13):
        arriving = threading.Thread(target=_receive_one, name="chainpump receives", daemon=True)
        # No thread can be started, at the end of the program or of its memory.
        with suppress(RuntimeError):
            arriving.start()
            arriving.join()


def _receive_one() -> None:
    with suppress(Cancelled):
        _set_async_exception(threading.get_ident(), Cancelled)
        while True:
            # A bytecode for it to arrive at.
            pass


def _set_async_exception(thread: int, error: type[BaseException] | None) -> None:
    # Only a run that has to kill a thread pays for it.
    import ctypes

    exception = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
