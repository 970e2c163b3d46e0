"""One worker in a worker process: its reports, signals, stack file and logs. A kept process runs several workers."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from ..durable.notes import Notes
from ..errors import Cancelled, DeadItem
from ..ipc.board import Cell
from ..ipc.descriptors import Descriptor
from ..logs.message_pipe import ChunkWriter
from ..logs.sender import LogSender
from ..logs.worker_setup import log_through_main
from ..worker.outcome import Finished, Interrupted, Outcome, PackedDeadItem, SuccessorWanted
from ..worker.set_up import SetUps
from ..worker.worker import Worker
from .native_threads import computing_threads
from .report_pipe import send_report
from .signals import SigtermHandler

__all__ = ["SHOW_STACK", "STACK", "ProcessRun", "reset_peak_memory"]

SHOW_STACK = signal.SIGUSR2
# The name of the file for a worker's stack. The process id precedes the stack in that file.
STACK = "chainpump-stack"


class ProcessRun:
    """Runs one worker in this process.

    earlier: the run before it, if this process is kept. It has set up the logs. items: how many items the process has
    had from workers that are recycled.
    code: its functions. set_ups: what their factories have made. was_terminated: SIGTERM has ended it although its run
    was not cancelled.
    sender: sends what this process logs; None before that is set up.
    """

    def __init__(
        self, worker: Worker, report_pipe: Descriptor, stack: Descriptor, earlier: ProcessRun | None = None
    ) -> None:
        self.code = worker.code
        if earlier is not None:
            worker.set_ups = earlier.set_ups
        self.set_ups: SetUps = worker.set_ups
        self.was_terminated = False
        self._worker = worker
        self._stack = stack
        self.sender: LogSender | None = earlier.sender if earlier is not None else None
        self._items_before: int | None = earlier.items if earlier is not None else None
        self.items: int = self._items_before or 0
        self._cpu_before, self._delay_before = (time.process_time_ns(), _run_delay()) if earlier is not None else (0, 0)
        self._report_pipe = report_pipe
        # The flusher may report a failure while the worker's thread sends a dead letter.
        self._sending = threading.Lock()
        # It refers to the interruption by way of the worker, which `release` empties. Otherwise this run would refer to
        # itself, because the stages that the interruption has refer to this run, and its files would stay open.
        self._sigterm = SigtermHandler(
            worker.interrupt,
            lambda lost: worker.interruption.take_back(lost),  # noqa: PLW0108
        )
        self._has_finished = False

    @property
    def has_ended_well(self) -> bool:
        """Whether the worker has reported that it has finished, and nothing has interrupted it."""
        return self._has_finished and not self.was_terminated

    def run(self, set_up: Callable[[], None]) -> None:
        """Run the worker to its end. set_up: prepares the process first; SIGTERM may interrupt it."""
        worker = self._worker
        worker.takers = [self._report_dead_item]
        worker.note = self._send_whole
        if worker.retirement is not None:
            worker.retirement.prepare = self._request_successor
            worker.retirement.items_before = self._items_before
        try:
            self._sigterm.install()
            set_up()
            self.show_stack()
            # The file is not empty any more, so the main process may request the stack from now on.
            os.write(self._stack.fileno(), b"%d\n" % os.getpid())
            self._log()
            worker.run(self._report_outcome)
        except Cancelled:
            # The interruption arrived between two steps of the set-up, or after the worker had ended.
            self._has_finished = False
            worker.close(Interrupted(), self._report_outcome)
        self.was_terminated = worker.was_terminated
        if worker.retirement is not None:
            self.items = worker.retirement.items
        self._report_pipe.close()

    def _publish_cost(self) -> None:
        """Publish what the worker has cost: peak memory in bytes, ns of CPU time and of waiting for a CPU, threads."""
        cpu, delay = time.process_time_ns() - self._cpu_before, _run_delay() - self._delay_before
        memory, threads = _peak_memory(), computing_threads()
        for row in self._worker.rows:
            row[Cell.THREADS], row[Cell.MEMORY] = threads, max(row[Cell.MEMORY], memory)
            row[Cell.CPU] += cpu
            row[Cell.DELAYED] += delay

    def release(self) -> None:
        """Free what belongs to this run: items, channels and the board. The process continues."""
        self._sigterm.remove()
        if self.sender is not None:
            self.sender.close()
        board = self._worker.board
        # Its stages and their inputs refer to it and to each other.
        vars(self._worker).clear()
        board.release(with_views=True)

    def show_stack(self, *, all_threads: bool = False) -> None:
        """Write the Python stack into the file on request, even within a call that does not return."""
        import faulthandler

        fcntl.fcntl(self._stack.fileno(), fcntl.F_SETFL, os.O_APPEND)
        faulthandler.register(SHOW_STACK, file=self._stack.fileno(), all_threads=all_threads)

    def _log(self) -> None:
        logs = self._worker.logs
        if logs is None:
            return
        if self.sender is None:
            self.sender = log_through_main(logs)
        else:
            self.sender.redirect(ChunkWriter(logs.pipe))

    def _report_dead_item(self, item: DeadItem) -> None:
        self._send_whole(PackedDeadItem.packed(item))

    def _request_successor(self) -> None:
        self._send_whole(SuccessorWanted())

    def _send_whole(self, message: PackedDeadItem | SuccessorWanted | Notes) -> None:
        # A message that is sent only in part would make all later messages unreadable. An interruption can only come in
        # the worker's own thread.
        is_own = threading.get_ident() == self._worker.thread
        with self._worker.interruption.delayed() if is_own else nullcontext(), self._sending:
            send_report(self._report_pipe, message)

    def _report_outcome(self, outcome: Outcome) -> None:
        # The cost comes first: a successor uses the same row of the board afterwards.
        self._publish_cost()
        # Another program sent SIGTERM. The main process learns that from the death of this process by the signal.
        if self._worker.was_terminated:
            return
        packed = outcome.packed(self._worker.who)
        # The process of a worker that has retired is not kept: a fresh one is wanted.
        self._has_finished = isinstance(packed, Finished) and not packed.retired
        with self._sending:
            send_report(self._report_pipe, packed)


def reset_peak_memory() -> None:
    """Let the peak memory begin again with what this process uses now, if the system can do that."""
    with suppress(OSError):
        # The number is from proc(5).
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> int:
    """The most memory that this process has used, in bytes.

    getrusage(2) is not used: its figure for a program includes that of the process that started it.
    """
    return next((1024 * int(line.split()[1]) for line in _proc_lines("status") if line.startswith("VmHWM:")), 0)


def _run_delay() -> int:
    """The nanoseconds for which the main thread was ready to run, but other threads used the processors."""
    return next((int(line.split()[1]) for line in _proc_lines("schedstat")), 0)


def _proc_lines(name: str) -> list[str]:
    """The lines of a file of this process in `/proc/self`. There are none if the file does not exist."""
    try:
        return Path("/proc/self", name).read_text().splitlines()
    except OSError:
        return []
