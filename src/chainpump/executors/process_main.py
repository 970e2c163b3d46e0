"""What a worker process runs: it does as the main process says, and tells it how it has ended."""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import process
from pathlib import Path
from types import TracebackType
from typing import Self

from .. import blame
from ..blame import Who
from ..errors import Cancelled, DeadItem
from ..faults import Point
from ..loading import become_worker
from ..outcome import Buried, Failed, Interrupted, Outcome
from ..transport.descriptors import Descriptor
from ..worker import Worker
from .exits import begin_afresh, end_in_order
from .signals import is_deaf, on_sigterm, restore_in_forks, turn_deaf
from .speech import speak_through

__all__ = ["GO", "LENGTH", "SHOW_STACK", "STACK", "FirstName", "run_worker"]

GO = b"!"  # on the lifeline: the main process knows of the worker
LENGTH = struct.Struct("<Q")  # in front of each message: a stray child may hold the pipe, so its end is no sign
SHOW_STACK = signal.SIGUSR2
STACK = "chainpump-stack"  # a worker's stack as text, behind its process id
F_SETSIG = 10  # <linux/fcntl.h>; not in Python's fcntl module


class FirstName(str):
    """The name of a worker's process: the first thing that it reads, before it imports the program's main file.

    That may take seconds, and fail. From the moment that it reads its name, the process is deaf to Ctrl-C, which is for
    the main process, and what the import raises is told there: `said` is a control pipe, and `who` its worker.
    """

    __slots__ = ("_said", "_who")
    _said: Descriptor | None
    _who: Who

    def __new__(cls, name: str, said: Descriptor, who: Who) -> Self:
        """A descriptor can be handed over once, so this needs one of its own."""
        first = super().__new__(cls, name)
        first._said, first._who = said, who
        return first

    def __reduce__(self) -> tuple[Callable[..., str], tuple[object, ...]]:
        # It is pickled twice: with what prepares the process, and with its object, which is read after the import.
        said, self._said = self._said, None
        return (_read_name, (str(self), said, self._who, os.getpid())) if said is not None else (str, (str(self),))


def _read_name(name: str, said: Descriptor, who: Who, parent: int) -> str:
    _begin()
    # `multiprocessing` says whose child this is only after the import. A main file that asks is to be told so at once.
    vars(process)["_parent_process"] = vars(process)["_ParentProcess"]("MainProcess", parent, None)
    sys.excepthook = _ImportHook(said, who)
    return name


def _begin() -> None:
    """Become a worker's process: as it reads its name, or where it is a fork, which reads none."""
    become_worker()
    if not is_deaf():
        turn_deaf()
        begin_afresh()
        restore_in_forks()


class _ImportHook:
    """Tells the main process what has ended this one before a worker ran in it."""

    def __init__(self, said: Descriptor, who: Who) -> None:
        self._said = said
        self._who = who

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and _imports(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        failure = blame.not_started(self._who, error.with_traceback(traceback))
        _tell(self._said, Failed(failure, error).packed(self._who))

    def close(self) -> None:
        """Nothing more to tell: the worker does that."""
        sys.excepthook = sys.__excepthook__
        self._said.close()


def _imports(path: str) -> bool:
    return path.startswith((process.__file__.removesuffix("process.py"), "<frozen ", "<string>"))


def run_worker(worker: Worker, said: Descriptor, lifeline: Descriptor, stack: Descriptor, portably: bool) -> None:
    """Run it to its end. said: the control pipe. portably: as the main process does, whatever the environment says."""
    tell = _tell if worker.fate is None else worker.fate.before(Point.CONTROL, _tell)
    speaking = threading.Lock()  # the flusher tells what it has failed of while the worker may be in a dead letter

    def bury(item: DeadItem) -> None:
        letter = Buried.packed(item)
        with worker.uninterrupted(), speaking:  # half a letter would make nonsense of all that follows
            tell(said, letter)

    def tell_end(outcome: Outcome) -> None:
        if worker.was_terminated:  # by somebody else: to be told as the death by a signal that it is
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        packed = outcome.packed(worker.who)
        with speaking:
            tell(said, packed)

    worker.takers = [bury]
    try:
        on_sigterm(worker.interrupt, worker.take_back)
        # The main process, or the thread that started this one, may have blocked signals. SIGTERM must arrive here.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        this = process.current_process()
        this.name = str(this.name)  # nobody is to read it a second time
        _begin()
        if isinstance(sys.excepthook, _ImportHook):
            sys.excepthook.close()
        _await_go(lifeline)
        (_die_portably_with if portably else _die_with)(lifeline)
        _show_stack_in(stack)
        os.write(stack.fileno(), b"%d\n" % os.getpid())  # from now on it can be asked
        if worker.logs is not None:
            speak_through(worker.logs)
        worker.run(tell_end)
        worker.tell_cost(_peak_memory(), time.process_time_ns(), _delayed())
    except Cancelled:  # between two steps above
        worker.close(Interrupted(), tell_end)
    said.close()
    _show_stack_in(stack, of_all=True)
    end_in_order()


def _peak_memory() -> int:
    """Bytes. Not from getrusage(2), which a program that was just started takes over from who started it."""
    return next((1024 * int(line.split()[1]) for line in _told("status") if line.startswith("VmHWM:")), 0)


def _delayed() -> int:
    """Nanoseconds in which its main thread was ready to run and others had the processors."""
    return next((int(line.split()[1]) for line in _told("schedstat")), 0)


def _told(name: str) -> list[str]:
    """What the kernel tells of this process in a file; nothing where it has none."""
    try:
        return Path("/proc/self", name).read_text().splitlines()
    except OSError:
        return []


def _tell(said: Descriptor, message: Buried | Outcome) -> None:
    data = pickle.dumps(message, 5)
    # A broken pipe: this worker was given up for lost, or the main process has died.
    with suppress(BrokenPipeError), open(said.fileno(), "wb", closefd=False) as stream:
        stream.write(LENGTH.pack(len(data)) + data)


def _show_stack_in(file: Descriptor, of_all: bool = False) -> None:
    """Write the Python stack there when asked, even in the middle of a call that does not return. of_all: threads."""
    import faulthandler

    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, os.O_APPEND)
    faulthandler.register(SHOW_STACK, file=file.fileno(), all_threads=of_all)


def _await_go(lifeline: Descriptor) -> None:
    """Wait until the main process knows that this one is there; if it does not, it may have started another instead."""
    if os.read(lifeline.fileno(), len(GO)) != GO:
        os.kill(os.getpid(), signal.SIGKILL)


def _die_portably_with(lifeline: Descriptor) -> None:
    """As `_die_with`, by a thread: so a call that keeps the interpreter's lock puts it off."""

    def wait() -> None:
        with suppress(OSError):  # a stage that has closed it is told of otherwise
            os.read(lifeline.fileno(), 1)
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="chainpump lifeline", daemon=True).start()


def _die_with(lifeline: Descriptor) -> None:
    """Have the kernel kill this process when the other end of the lifeline closes, however that comes about.

    Not PR_SET_PDEATHSIG: that follows the thread that started a process, or the fork server.
    """
    fd = lifeline.fileno()
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(fd, select.POLLIN)
    if closed.poll(0):  # before the kernel was told to watch it
        os.kill(os.getpid(), signal.SIGKILL)
