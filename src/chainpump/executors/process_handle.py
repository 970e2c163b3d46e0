"""A worker process, as seen from the main process.

    main process                                    worker process
    report pipe    <--- dead letters, ..., outcome ---  closed after the outcome
    logs pipe      <--- records, warnings -----------   keeps what was sent before a death
    lifeline pipe  ----- go, and nothing more ------>   its end of file kills the worker at any moment
    sentinel       <---- exit code ------------------   shows a death; an end of file alone does not
    parcels        ----- further workers ----------->   only if the process is kept: see `kept_process`

`start_methods` starts these processes, and `process_main` is the code that they run.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from copy import copy

from ..durable.notes import Notes, unheard
from ..ipc.descriptors import Descriptor, pipe, room_to_start
from ..ipc.system import text_file, trim
from ..messages import failure_texts
from ..messages.names import WorkerName
from ..worker.outcome import Failed, Interrupted, Message, Outcome, PackedDeadItem, SuccessorWanted
from ..worker.worker import Worker
from .base import Lost
from .kept_process import Fit
from .leftovers import Leftovers, leftovers_of
from .process_run import SHOW_STACK, STACK
from .report_pipe import LENGTH
from .start_methods import StartedProcess

__all__ = ["ProcessHandle"]

# The most bytes that are read of a stack. The innermost calls come first.
STACK_BYTES = 65_536


class ProcessHandle:
    """A handle on a worker process.

    start: starts the process; it receives the worker, its report pipe, and the file for its stack.
    """

    def __init__(self, worker: Worker, start: Callable[[Worker, Descriptor, Descriptor], StartedProcess]) -> None:
        self._received = bytearray()
        # Whether the worker has closed the other end of the report pipe.
        self._is_at_eof = False
        # Whether the worker had already closed the report pipe without an outcome when it was killed.
        self._closed_pipe_before_kill = False
        # The processes that are left of its group. This is set when the worker has died.
        self._leftovers: Leftovers | None = None
        self._sent_signals: set[int] = set()
        self._who = worker.who
        self._takers, self._note = worker.takers, worker.note
        # The size of the stack file at the last request for a stack. It is 0 before a request, and before the worker
        # can handle one.
        self._stack_offset = 0
        with ExitStack() as undo:
            self._report_pipe, report_pipe = pipe()
            undo.callback(self._report_pipe.close)
            with closing(report_pipe):
                os.set_blocking(self._report_pipe.fileno(), False)
                self._stack = text_file(STACK)
                undo.callback(self._stack.close)
                with room_to_start():
                    self._started = start(worker, report_pipe, self._stack)
            undo.pop_all()
        self._process, self._lifeline, self._death_watch, self._kept = self._started
        # The worker has finished, and the process is kept: another handle has it.
        self._is_released = False
        worker.hand_over()

    @property
    def pid(self) -> int:
        """The process id of the worker."""
        # The process was started by the constructor.
        assert self._process.pid is not None
        return self._process.pid

    @property
    def dies_within(self) -> float:
        """Enough time for SIGKILL on an overloaded machine. Only a process that is stuck in the kernel lives longer."""
        return 30.0

    @property
    def waitables(self) -> Sequence[int]:
        """The report pipe until its end, and the descriptor that shows the death.

        After the death: its leftover processes.
        """
        if self._is_released:
            return ()
        if self._leftovers is not None:
            return self._leftovers.waitables
        waits = [] if self._report_pipe.closed or self._is_at_eof else [self._report_pipe.fileno()]
        kept = self._kept.waitables if self._kept is not None else ()
        return [*waits, *kept, self._death_watch.descriptor.fileno()]

    def poll(self) -> Outcome | Lost | SuccessorWanted | None:
        """Return how the worker ended, as soon as it has reported that or has died. Before that, its request."""
        if self._leftovers is not None:
            self._leftovers.refresh()
            return None
        # The death is checked before the last read of the pipe, because the worker sent every report before it died.
        # The exit code cannot be read any more if the program ignores SIGCHLD, or waits for any child as `os.wait`
        # does.
        has_died = self._death_watch.has_died
        if has_died:
            # The join returns at once, except under a debugger: a debugger that traces the process reads the exit code
            # first.
            self._process.join()
        exit_code = self._process.exitcode
        outcome = self._receive()
        if exit_code is None and not has_died:
            if self._report_pipe.closed:
                self._release_if_ready()
            return outcome
        self._death_watch.descriptor.close()
        self._leftovers = leftovers_of(self.pid)
        if self._report_pipe.closed:
            return outcome
        self._report_pipe.close()
        if not self._was_killed_by_handle(exit_code):
            return Lost(exit_code)
        return Failed(failure_texts.broken_off(self._who)) if self._closed_pipe_before_kill else Interrupted()

    def _release_if_ready(self) -> None:
        """If the process is ready for another worker, let its keeper have it. Otherwise it ends."""
        kept = self._kept
        if kept is None or not kept.waitables or not kept.check_ready():
            return
        idle = copy(self)
        # They refer to the run.
        idle._takers, idle._note = (), unheard  # noqa: SLF001  # of its own class
        # A signal may still be on its way to the process.
        self._is_released = not self._sent_signals and kept.give_back(idle)
        if not self._is_released:
            kept.end()

    def pass_on(self, worker: Worker, report_pipe: Descriptor, stack: Descriptor) -> StartedProcess:
        """Let the process, which has no worker now, run another one. This handle is of no more use then.

        Raises OSError if the process cannot run it.
        """
        assert self._kept is not None
        self._kept.run(worker, report_pipe, stack)
        self._stack.close()
        return self._started

    def end_process(self) -> None:
        """Let the process, which has no worker now, end as a program does. This handle supervises its end."""
        assert self._kept is not None
        self._kept.end()

    def fits(self, fit: Fit) -> bool:
        """Whether the process lives and can run such a worker."""
        return self._kept is not None and self._kept.fit == fit and not self.has_died

    @property
    def has_died(self) -> bool:
        """Whether the process has died."""
        return self._death_watch.has_died

    @property
    def who(self) -> WorkerName:
        """The name of its worker."""
        return self._who

    def _was_killed_by_handle(self, exit_code: int | None) -> bool:
        """Whether a signal that this handle sent killed the worker."""
        fatal = self._sent_signals - {signal.SIGTERM} if self._handles_sigterm else self._sent_signals
        return bool(fatal) if exit_code is None else -exit_code in fatal

    @property
    def _handles_sigterm(self) -> bool:
        """Whether SIGTERM interrupts the worker instead of killing it. This is so once it has installed its handler."""
        return os.fstat(self._stack.fileno()).st_size > 0

    def _receive(self) -> Outcome | SuccessorWanted | None:
        """Return the outcome once all of it has arrived, or a request before that.

        This never waits, because a dead process sends no more.
        """
        if self._report_pipe.closed:
            return None
        request: SuccessorWanted | None = None
        try:
            while chunk := os.read(self._report_pipe.fileno(), 1 << 20):
                self._received += chunk
            self._is_at_eof = True
        except BlockingIOError:
            pass
        while (message := self._next_message()) is not None:
            if isinstance(message, SuccessorWanted):
                request = message
            elif isinstance(message, PackedDeadItem):
                self._take_dead_item(message)
            elif isinstance(message, Notes):
                self._take_notes(message)
            else:
                self._report_pipe.close()
                return self._opened(message)
        return request

    def _take_dead_item(self, item: PackedDeadItem) -> None:
        # A worker process that sends dead letters has only one stage.
        self._takers[0](item.unpacked())

    def _take_notes(self, notes: Notes) -> None:
        self._note(notes)

    def _opened(self, outcome: Outcome) -> Outcome:
        return outcome.unpacked(self._who)

    def _next_message(self) -> Message | None:
        """Return the next message, if all of it has arrived."""
        if len(self._received) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
        if len(self._received) < end:
            return None
        message: Message = pickle.loads(memoryview(self._received)[LENGTH.size : end].tobytes())
        del self._received[:end]
        return message

    @property
    def remains(self) -> Sequence[str]:
        """The processes of the worker's group that are left after its death."""
        return self._leftovers.names if self._leftovers is not None else ()

    def interrupt(self) -> None:
        """Send SIGTERM, which raises Cancelled in the main thread of the worker."""
        if self._leftovers is not None:
            self._leftovers.send(signal.SIGTERM)
            return
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._leftovers is not None:
            self._leftovers.send(signal.SIGKILL)
            return
        self._closed_pipe_before_kill = self._is_at_eof
        self._send(signal.SIGKILL)

    def strike(self) -> None:
        """Send SIGKILL. The death counts as the loss of the worker."""
        self._send(signal.SIGKILL, expected=False)

    def _send(self, number: signal.Signals, *, expected: bool = True) -> None:
        """Send a signal, unless the process has died.

        Other code may have reaped it, and its id may belong to another one.

        expected: whether a death by this signal counts as an interruption, and not as the loss of the worker.
        """
        if self._death_watch.has_died:
            return
        if expected:
            self._sent_signals.add(number)
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ask_stack(self) -> None:
        """Request that the worker writes its stack."""
        # Before the worker has installed the handler, this signal would kill it.
        if self._handles_sigterm:
            self._stack_offset = os.fstat(self._stack.fileno()).st_size
            self._send(SHOW_STACK, expected=False)

    def trim_stacks(self) -> None:
        """Delete the written stacks if they are large. They are also written for requests from outside this process."""
        trim(self._stack)

    def read_stack(self) -> str:
        """Return the stack that the worker has written since the last request."""
        if not self._stack_offset:
            return ""
        return os.pread(self._stack.fileno(), STACK_BYTES, self._stack_offset).decode(errors="replace").rstrip()

    def read_tasks(self) -> Sequence[tuple[str, str]]:
        """A worker process has no tasks."""
        return ()

    def is_current_thread(self) -> bool:
        """Return False, because the worker is another process."""
        return False

    def close(self) -> None:
        """Reap the process and close the descriptors. This is done once.

        Closing the lifeline kills what is left of the worker.
        """
        if self._is_released or self._lifeline.closed:
            return
        has_died = self._death_watch.has_died
        for end in (self._report_pipe, self._death_watch.descriptor, self._lifeline, self._stack):
            end.close()
        if self._kept is not None:
            self._kept.close()
        if self._leftovers is not None:
            self._leftovers.close()
        if has_died and self._death_watch.thread is not None:
            self._death_watch.thread.join()
        if self._process.exitcode is not None:
            self._process.join()
            self._process.close()
