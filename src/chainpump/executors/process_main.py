"""The code that a worker process runs: it sets up the process, runs the worker, and reports how the worker ended."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
import time
from contextlib import suppress
from multiprocessing import process
from pathlib import Path

from ..errors import Cancelled, DeadItem
from ..ipc.descriptors import Descriptor
from ..logs.worker_setup import log_through_main
from ..worker.outcome import Interrupted, Outcome, PackedDeadItem
from ..worker.worker import Worker
from .bootstrap import BootstrapName
from .process_end import finish_process
from .report_pipe import send_report
from .signals import on_sigterm

__all__ = ["GO", "SHOW_STACK", "STACK", "run_worker"]

# This is sent on the lifeline when the main process has recorded the worker.
GO = b"!"
SHOW_STACK = signal.SIGUSR2
# The name of the file for a worker's stack. The process id precedes the stack in that file.
STACK = "chainpump-stack"
# The number is from <linux/fcntl.h>, because Python's fcntl module does not have it.
F_SETSIG = 10


def run_worker(
    worker: Worker, report_pipe: Descriptor, lifeline: Descriptor, stack: Descriptor, portably: bool
) -> None:
    """Run the worker to its end.

    portably: whether to use portable means only. The main process decides that, not this process's environment.
    """
    # The flusher may report a failure while the worker's thread sends a dead letter.
    sending = threading.Lock()

    def report_dead_item(item: DeadItem) -> None:
        dead_letter = PackedDeadItem.packed(item)
        # A message that is sent only in part would make all later messages unreadable.
        with worker.uninterrupted(), sending:
            send_report(report_pipe, dead_letter)

    def report_outcome(outcome: Outcome) -> None:
        # Another program sent SIGTERM. The main process learns that from the death of this process by the signal.
        if worker.was_terminated:
            return
        packed = outcome.packed(worker.who)
        with sending:
            send_report(report_pipe, packed)

    worker.takers = [report_dead_item]
    is_set_up = False
    try:
        on_sigterm(worker.interrupt, worker.take_back)
        # The main process, or the thread that started this process, may have blocked signals. SIGTERM must arrive here.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        this_process = process.current_process()
        # `start_methods` has set this name.
        assert isinstance(this_process.name, BootstrapName)
        this_process.name = this_process.name.finish()
        is_set_up = True
        _wait_for_go(lifeline)
        (_kill_group_with_main_portably if portably else _kill_group_with_main)(lifeline)
        _show_stack_in(stack)
        # The file is not empty any more, so the main process may request the stack from now on.
        os.write(stack.fileno(), b"%d\n" % os.getpid())
        if worker.logs is not None:
            log_through_main(worker.logs)
        worker.run(report_outcome)
        worker.publish_cost(_peak_memory(), time.process_time_ns(), _run_delay())
    except Cancelled:
        # The interruption arrived between two steps of the set-up, or after the worker had ended.
        worker.close(Interrupted(), report_outcome)
    report_pipe.close()
    # Otherwise a forked process would run the exit work of its parent.
    if is_set_up:
        _show_stack_in(stack, all_threads=True)
        finish_process()
    if worker.was_terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


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


def _show_stack_in(file: Descriptor, all_threads: bool = False) -> None:
    """Write the Python stack into the file on request, even within a call that does not return."""
    import faulthandler

    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, os.O_APPEND)
    faulthandler.register(SHOW_STACK, file=file.fileno(), all_threads=all_threads)


def _wait_for_go(lifeline: Descriptor) -> None:
    """Wait until the main process has recorded this process. If it has not, it may have started another one instead."""
    if os.read(lifeline.fileno(), len(GO)) != GO:
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_group_with_main_portably(lifeline: Descriptor) -> None:
    """Do the same as `_kill_group_with_main` by a thread. A call that holds the interpreter's lock delays it."""

    def wait() -> None:
        # The read fails if a stage has closed the descriptor. Another check reports that.
        with suppress(OSError):
            os.read(lifeline.fileno(), 1)
            os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="chainpump lifeline", daemon=True).start()


def _kill_group_with_main(lifeline: Descriptor) -> None:
    """Kill this process's group when the main process closes its end of the lifeline, or dies.

    The kernel sends the signal. PR_SET_PDEATHSIG is not used, because it depends on the thread that started the
    process, or on the fork server.
    """
    fd = lifeline.fileno()
    # A negative number means a process group.
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(fd, select.POLLIN)
    # The main process may have closed the lifeline before the kernel started to watch it.
    if closed.poll(0):
        os.killpg(os.getpid(), signal.SIGKILL)
