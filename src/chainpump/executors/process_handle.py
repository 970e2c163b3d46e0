"""A worker process, as the main process sees it.

main process                                    worker process
control pipe   <--- dead letters, one outcome ----  says how it ended, then closed
logs pipe      <--- records, warnings -----------   what it had sent before it died is not lost
lifeline pipe  ----- go, and nothing more ------>   its end of file kills the worker, whatever it is doing
sentinel       <---- exit code ------------------   death is seen by this, never by an end of file alone

`start_methods` starts them, `process_main` is what they run.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress

from ..ipc.descriptors import Descriptor, pipe, room_to_start
from ..ipc.system import text_file, trim
from ..messages import failure_texts
from ..worker.outcome import Buried, Failed, Interrupted, Outcome
from ..worker.worker import Worker
from .base import Lost
from .leftovers import Leftovers, leftovers_of
from .process_main import SHOW_STACK, STACK
from .report_pipe import LENGTH
from .start_methods import StartedProcess

__all__ = ["ProcessHandle"]

# Of a stack, at most; the innermost calls come first.
STACK_BYTES = 65_536


class ProcessHandle:
    """A started process. begin: starts it; given the worker, its control pipe and the file that its stack goes to."""

    def __init__(self, worker: Worker, start: Callable[[Worker, Descriptor, Descriptor], StartedProcess]) -> None:
        self._received = bytearray()
        # The other end of the control pipe is closed.
        self._is_at_eof = False
        # It was already when the process was killed, which had said nothing.
        self._died_without_report = False
        # Of its group, once it has died.
        self._leftovers: Leftovers | None = None
        self._sent_signals: set[int] = set()
        self._who = worker.who
        self._takers = worker.takers
        # Bytes that it had written of where it is when it was asked; 0 if it was not, or not ready.
        self._stack_offset = 0
        with ExitStack() as undo:
            self._report_pipe, report_pipe = pipe()
            undo.callback(self._report_pipe.close)
            with closing(report_pipe):
                os.set_blocking(self._report_pipe.fileno(), False)
                self._stack = text_file(STACK)
                undo.callback(self._stack.close)
                with room_to_start():
                    self._process, self._lifeline, self._death_watch = start(worker, report_pipe, self._stack)
            undo.pop_all()
        worker.hand_over()

    @property
    def pid(self) -> int:
        """The worker's process."""
        # It was started.
        assert self._process.pid is not None
        return self._process.pid

    @property
    def dies_within(self) -> float:
        """Long enough for SIGKILL on an overloaded machine; only a process stuck in the kernel outlives it."""
        return 30.0

    @property
    def waitables(self) -> Sequence[int]:
        """Its control pipe, until it has said how it ended or can say no more, its death, and what it leaves behind."""
        if self._leftovers is not None:
            return self._leftovers.waitables
        waits = [] if self._report_pipe.closed or self._is_at_eof else [self._report_pipe.fileno()]
        return [*waits, self._death_watch.descriptor.fileno()]

    def poll(self) -> Outcome | Lost | None:
        """How it ended, as soon as it says so or has died."""
        if self._leftovers is not None:
            self._leftovers.refresh()
            return None
        # Before the last look at the pipe: what it said, it said before it died. The exit code is lost for good where
        # the program ignores SIGCHLD, or waits for any child as `os.wait` does.
        has_died = self._death_watch.has_died
        if has_died:
            # At once, but where a debugger traces it: that is given the exit code first.
            self._process.join()
        exit_code = self._process.exitcode
        outcome = self._receive()
        if exit_code is None and not has_died:
            return outcome
        self._death_watch.descriptor.close()
        self._leftovers = leftovers_of(self.pid)
        if self._report_pipe.closed:
            return outcome
        self._report_pipe.close()
        if not self._was_ended_by_us(exit_code):
            return Lost(exit_code)
        return Failed(failure_texts.broken_off(self._who)) if self._died_without_report else Interrupted()

    def _was_ended_by_us(self, exit_code: int | None) -> bool:
        """Whether it has died of a signal that was sent from here."""
        fatal = self._sent_signals - {signal.SIGTERM} if self._handles_sigterm else self._sent_signals
        return bool(fatal) if exit_code is None else -exit_code in fatal

    @property
    def _handles_sigterm(self) -> bool:
        """Whether it has come so far that SIGTERM interrupts it: then it says so, and does not die of ours."""
        return os.fstat(self._stack.fileno()).st_size > 0

    def _receive(self) -> Outcome | None:
        """Its outcome, once all of it has arrived; never waits for the rest, which a dead process owes for ever."""
        if self._report_pipe.closed:
            return None
        try:
            while chunk := os.read(self._report_pipe.fileno(), 1 << 20):
                self._received += chunk
            self._is_at_eof = True
        except BlockingIOError:
            pass
        while (message := self._next_message()) is not None:
            if not isinstance(message, Buried):
                self._report_pipe.close()
                return message.unpacked(self._who)
            # Its only stage's.
            self._takers[0](message.unpacked())
        return None

    def _next_message(self) -> Buried | Outcome | None:
        """What it has said next, if all of that has arrived."""
        if len(self._received) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
        if len(self._received) < end:
            return None
        message: Buried | Outcome = pickle.loads(memoryview(self._received)[LENGTH.size : end].tobytes())
        del self._received[:end]
        return message

    @property
    def remains(self) -> Sequence[str]:
        """The processes of its group, once it has ended."""
        return self._leftovers.names if self._leftovers is not None else ()

    def interrupt(self) -> None:
        """Send SIGTERM, which raises Cancelled in its main thread."""
        if self._leftovers is not None:
            self._leftovers.send(signal.SIGTERM)
            return
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._leftovers is not None:
            self._leftovers.send(signal.SIGKILL)
            return
        self._died_without_report = self._is_at_eof
        self._send(signal.SIGKILL)

    def strike(self) -> None:
        """Send SIGKILL, to be told as its death."""
        self._send(signal.SIGKILL, expected=False)

    def _send(self, number: signal.Signals, *, expected: bool = True) -> None:
        """Send a signal, unless it has died: where other code takes its exit code, its number may be another's then.

        ours: if it dies of that, it is no death to be told of.
        """
        if self._death_watch.has_died:
            return
        if expected:
            self._sent_signals.add(number)
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ask_stack(self) -> None:
        """Have it write where it is."""
        # And can be asked: one that has only been started would die of the signal.
        if self._handles_sigterm:
            self._stack_offset = os.fstat(self._stack.fileno()).st_size
            self._send(SHOW_STACK, expected=False)

    def trim_stacks(self) -> None:
        """Throw away what it has written of where it was, if that is much: whoever looks from outside asks for it."""
        trim(self._stack)

    def read_stack(self) -> str:
        """What it has written of where it is, since it was asked."""
        if not self._stack_offset:
            return ""
        return os.pread(self._stack.fileno(), STACK_BYTES, self._stack_offset).decode(errors="replace").rstrip()

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """None."""
        return ()

    def is_current_thread(self) -> bool:
        """Never: it is another process."""
        return False

    def close(self) -> None:
        """Reap it and release the descriptors; closing the lifeline ends whatever is left of it. Once only."""
        if self._lifeline.closed:
            return
        has_died = self._death_watch.has_died
        for end in (self._report_pipe, self._death_watch.descriptor, self._lifeline, self._stack):
            end.close()
        if self._leftovers is not None:
            self._leftovers.close()
        if has_died and self._death_watch.thread is not None:
            self._death_watch.thread.join()
        if self._process.exitcode is not None:
            self._process.join()
            self._process.close()
