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
from .control_pipe import LENGTH
from .leftovers import Remains, remains_of
from .process_main import SHOW_STACK, STACK
from .start_methods import Begun

__all__ = ["ProcessHandle"]

# Of a stack, at most; the innermost calls come first.
STACK_BYTES = 65_536


class ProcessHandle:
    """A started process. begin: starts it; given the worker, its control pipe and the file that its stack goes to."""

    def __init__(self, worker: Worker, begin: Callable[[Worker, Descriptor, Descriptor], Begun]) -> None:
        self._received = bytearray()
        # The other end of the control pipe is closed.
        self._has_ended = False
        # It was already when the process was killed, which had said nothing.
        self._was_mute = False
        # Of its group, once it has died.
        self._remains: Remains | None = None
        self._sent_signals: set[int] = set()
        self._who = worker.who
        self._takers = worker.takers
        # Bytes that it had written of where it is when it was asked; 0 if it was not, or not ready.
        self._asked_at = 0
        with ExitStack() as undo:
            self._control, said = pipe()
            undo.callback(self._control.close)
            with closing(said):
                os.set_blocking(self._control.fileno(), False)
                self._stack = text_file(STACK)
                undo.callback(self._stack.close)
                with room_to_start():
                    self._process, self._lifeline, self._death = begin(worker, said, self._stack)
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
        if self._remains is not None:
            return self._remains.waitables
        waits = [] if self._control.closed or self._has_ended else [self._control.fileno()]
        return [*waits, self._death.end.fileno()]

    def poll(self) -> Outcome | Lost | None:
        """How it ended, as soon as it says so or has died."""
        if self._remains is not None:
            self._remains.look()
            return None
        # Before the last look at the pipe: what it said, it said before it died. The exit code is lost for good where
        # the program ignores SIGCHLD, or waits for any child as `os.wait` does.
        has_died = self._death.has_come
        if has_died:
            # At once, but where a debugger traces it: that is given the exit code first.
            self._process.join()
        exit_code = self._process.exitcode
        outcome = self._heard()
        if exit_code is None and not has_died:
            return outcome
        self._death.end.close()
        self._remains = remains_of(self.pid)
        if self._control.closed:
            return outcome
        self._control.close()
        if not self._was_ended_by_us(exit_code):
            return Lost(exit_code)
        return Failed(failure_texts.broken_off(self._who)) if self._was_mute else Interrupted()

    def _was_ended_by_us(self, exit_code: int | None) -> bool:
        """Whether it has died of a signal that was sent from here."""
        deadly = self._sent_signals - {signal.SIGTERM} if self._hears else self._sent_signals
        return bool(deadly) if exit_code is None else -exit_code in deadly

    @property
    def _hears(self) -> bool:
        """Whether it has come so far that SIGTERM interrupts it: then it says so, and does not die of ours."""
        return os.fstat(self._stack.fileno()).st_size > 0

    def _heard(self) -> Outcome | None:
        """Its outcome, once all of it has arrived; never waits for the rest, which a dead process owes for ever."""
        if self._control.closed:
            return None
        try:
            while chunk := os.read(self._control.fileno(), 1 << 20):
                self._received += chunk
            self._has_ended = True
        except BlockingIOError:
            pass
        while (message := self._message()) is not None:
            if not isinstance(message, Buried):
                self._control.close()
                return message.unpacked(self._who)
            # Its only stage's.
            self._takers[0](message.unpacked())
        return None

    def _message(self) -> Buried | Outcome | None:
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
        return self._remains.names if self._remains is not None else ()

    def interrupt(self) -> None:
        """Send SIGTERM, which raises Cancelled in its main thread."""
        if self._remains is not None:
            self._remains.send(signal.SIGTERM)
            return
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._remains is not None:
            self._remains.send(signal.SIGKILL)
            return
        self._was_mute = self._has_ended
        self._send(signal.SIGKILL)

    def strike(self) -> None:
        """Send SIGKILL, to be told as its death."""
        self._send(signal.SIGKILL, ours=False)

    def _send(self, number: signal.Signals, *, ours: bool = True) -> None:
        """Send a signal, unless it has died: where other code takes its exit code, its number may be another's then.

        ours: if it dies of that, it is no death to be told of.
        """
        if self._death.has_come:
            return
        if ours:
            self._sent_signals.add(number)
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ask_stack(self) -> None:
        """Have it write where it is."""
        # And can be asked: one that has only been started would die of the signal.
        if self._hears:
            self._asked_at = os.fstat(self._stack.fileno()).st_size
            self._send(SHOW_STACK, ours=False)

    def trim_stacks(self) -> None:
        """Throw away what it has written of where it was, if that is much: whoever looks from outside asks for it."""
        trim(self._stack)

    def read_stack(self) -> str:
        """What it has written of where it is, since it was asked."""
        if not self._asked_at:
            return ""
        return os.pread(self._stack.fileno(), STACK_BYTES, self._asked_at).decode(errors="replace").rstrip()

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
        has_died = self._death.has_come
        for end in (self._control, self._death.end, self._lifeline, self._stack):
            end.close()
        if self._remains is not None:
            self._remains.close()
        if has_died and self._death.waiter is not None:
            self._death.waiter.join()
        if self._process.exitcode is not None:
            self._process.join()
            self._process.close()
