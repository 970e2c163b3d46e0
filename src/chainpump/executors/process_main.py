"""The code that a worker process runs: it sets up the process, runs the worker, and ends as a program does.

A process that is kept runs one worker after the other: see `kept_loop`.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
from contextlib import suppress
from multiprocessing import process

from ..ipc.descriptors import Descriptor
from ..worker.worker import Worker
from .bootstrap import BootstrapName
from .kept_loop import run_next_workers
from .process_end import finish_process
from .process_run import ProcessRun

__all__ = ["GO", "run_worker"]

# This is sent on the lifeline when the main process has recorded the worker.
GO = b"!"
# The number is from <linux/fcntl.h>, because Python's fcntl module does not have it.
F_SETSIG = 10


def run_worker(
    worker: Worker,
    report_pipe: Descriptor,
    lifeline: Descriptor,
    stack: Descriptor,
    portably: bool,
    next_workers: Descriptor | None = None,
) -> None:
    """Run the worker to its end.

    portably: whether to use portable means only. The main process decides that, not this process's environment.
    next_workers: brings further workers, if the process is kept.
    """
    is_set_up = False

    def set_up() -> None:
        nonlocal is_set_up
        # The main process, or the thread that started this process, may have blocked signals. SIGTERM must arrive here.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        this_process = process.current_process()
        # `start_methods` has set this name.
        assert isinstance(this_process.name, BootstrapName)
        this_process.name = this_process.name.finish()
        is_set_up = True
        _wait_for_go(lifeline)
        (_kill_group_with_main_portably if portably else _kill_group_with_main)(lifeline)

    run = ProcessRun(worker, report_pipe, stack)
    run.set_ups.outlives_worker = next_workers is not None
    run.run(set_up)
    if next_workers is not None:
        run = run_next_workers(run, next_workers)
    # Otherwise a forked process would run the exit work of its parent.
    if is_set_up:
        run.show_stack(all_threads=True)
        finish_process()
    if run.was_terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


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
