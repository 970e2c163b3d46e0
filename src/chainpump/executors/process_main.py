"""What a worker process runs: it does as the main process says, and tells it how it has ended."""

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
from ..worker.outcome import Buried, Interrupted, Outcome
from ..worker.worker import Worker
from .bootstrap import BootstrapName
from .process_end import finish_process
from .report_pipe import send_report
from .signals import on_sigterm

__all__ = ["GO", "SHOW_STACK", "STACK", "run_worker"]

# On the lifeline: the main process knows of the worker.
GO = b"!"
SHOW_STACK = signal.SIGUSR2
# A worker's stack as text, behind its process id.
STACK = "chainpump-stack"
# <linux/fcntl.h>; not in Python's fcntl module.
F_SETSIG = 10


def run_worker(
    worker: Worker, report_pipe: Descriptor, lifeline: Descriptor, stack: Descriptor, portably: bool
) -> None:
    """Run it to its end. said: the control pipe. portably: as the main process does, whatever the environment says."""
    # The flusher tells what it has failed of while the worker may be in a dead letter.
    sending = threading.Lock()

    def report_dead_item(item: DeadItem) -> None:
        dead_letter = Buried.packed(item)
        # Half a letter would make nonsense of all that follows.
        with worker.uninterrupted(), sending:
            send_report(report_pipe, dead_letter)

    def report_outcome(outcome: Outcome) -> None:
        # By somebody else: its death by that signal tells so.
        if worker.was_terminated:
            return
        packed = outcome.packed(worker.who)
        with sending:
            send_report(report_pipe, packed)

    worker.takers = [report_dead_item]
    is_set_up = False
    try:
        on_sigterm(worker.interrupt, worker.take_back)
        # The main process, or the thread that started this one, may have blocked signals. SIGTERM must arrive here.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        this_process = process.current_process()
        # `starts` has given it.
        assert isinstance(this_process.name, BootstrapName)
        this_process.name = this_process.name.finish()
        is_set_up = True
        _wait_for_go(lifeline)
        (_kill_group_with_main_portably if portably else _kill_group_with_main)(lifeline)
        _show_stack_in(stack)
        # From now on it can be asked.
        os.write(stack.fileno(), b"%d\n" % os.getpid())
        if worker.logs is not None:
            log_through_main(worker.logs)
        worker.run(report_outcome)
        worker.tell_cost(_peak_memory(), time.process_time_ns(), _run_delay())
    except Cancelled:
        # Between two steps above.
        worker.close(Interrupted(), report_outcome)
    report_pipe.close()
    # Else a fork would end what is its parent's.
    if is_set_up:
        _show_stack_in(stack, all_threads=True)
        finish_process()
    if worker.was_terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _peak_memory() -> int:
    """Bytes. Not from getrusage(2), which a program that was just started takes over from who started it."""
    return next((1024 * int(line.split()[1]) for line in _proc_lines("status") if line.startswith("VmHWM:")), 0)


def _run_delay() -> int:
    """Nanoseconds in which its main thread was ready to run and others had the processors."""
    return next((int(line.split()[1]) for line in _proc_lines("schedstat")), 0)


def _proc_lines(name: str) -> list[str]:
    """What the kernel tells of this process in a file; nothing where it has none."""
    try:
        return Path("/proc/self", name).read_text().splitlines()
    except OSError:
        return []


def _show_stack_in(file: Descriptor, all_threads: bool = False) -> None:
    """Write the Python stack there when asked, even in the middle of a call that does not return. of_all: threads."""
    import faulthandler

    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, os.O_APPEND)
    faulthandler.register(SHOW_STACK, file=file.fileno(), all_threads=all_threads)


def _wait_for_go(lifeline: Descriptor) -> None:
    """Wait until the main process knows that this one is there; if it does not, it may have started another instead."""
    if os.read(lifeline.fileno(), len(GO)) != GO:
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_group_with_main_portably(lifeline: Descriptor) -> None:
    """As `_die_with`, by a thread: so a call that keeps the interpreter's lock puts it off."""

    def wait() -> None:
        # A stage that has closed it is told of otherwise.
        with suppress(OSError):
            os.read(lifeline.fileno(), 1)
            os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="chainpump lifeline", daemon=True).start()


def _kill_group_with_main(lifeline: Descriptor) -> None:
    """Have the kernel kill this process's group when the other end of the lifeline closes, however that comes about.

    Not PR_SET_PDEATHSIG: that follows the thread that started a process, or the fork server.
    """
    fd = lifeline.fileno()
    # Negative: a group.
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(fd, select.POLLIN)
    # Before the kernel was told to watch it.
    if closed.poll(0):
        os.killpg(os.getpid(), signal.SIGKILL)
