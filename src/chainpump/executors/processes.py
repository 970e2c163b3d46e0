"""Workers as processes of this machine.

main process                                    worker process
control pipe   <--- dead letters, one outcome ----  says how it ended, then closed
logs pipe      <--- records, warnings -----------   what it had sent before it died is not lost
lifeline pipe  ----- go, and nothing more ------>   its end of file kills the worker, whatever it is doing
sentinel       <---- exit code ------------------   death is seen by this, never by an end of file alone
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, process
from multiprocessing.context import ForkProcess, ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import Cancelled, StageOptionError
from ..faults import Point
from ..outcome import Buried, Failed, Interrupted, Outcome
from ..plan.plan import Reach, Workers, check_whole, check_workers, copies_of
from ..transport.descriptors import Descriptor, kept_by_fork, pipe, room_to_start
from ..transport.system import is_portable, shared_file
from ..worker import Worker
from .base import Lost
from .signals import on_sigterm, turn_deaf
from .speech import speak_through

__all__ = ["SHOW_STACK", "STACK", "ProcessHandle", "Processes", "StartMethod"]

StartMethod = Literal["forkserver", "spawn", "fork"]

PROCESSES: dict[StartMethod, type[BaseProcess]] = {
    "forkserver": ForkServerProcess,
    "spawn": SpawnProcess,
    "fork": ForkProcess,
}
_CHILDREN: set[BaseProcess] = vars(process)["_children"]  # private; it is made once and never replaced
NO_SERVER = {"_forkserver_pid": None, "_forkserver_alive_fd": None, "_forkserver_address": None}
GOES_WITHIN = 1.0  # seconds: a fork server that refuses to start a worker has ended by then, or it will not
GO = b"!"  # on the lifeline: the main process knows of the worker
LENGTH = struct.Struct("<Q")  # in front of the outcome: a stray child may hold the pipe, so its end is no sign
SHOW_STACK = signal.SIGUSR2
STACK = "chainpump-stack"  # a worker's stack as text, behind its process id
STACK_BYTES = 65_536  # of a stack, at most; the innermost calls come first
F_SETSIG = 10  # <linux/fcntl.h>; not in Python's fcntl module


@dataclass(frozen=True, slots=True, repr=False)
class Processes:
    """Run a stage on processes of this machine.

    >>> Processes(8)
    Processes(workers=8, start_method='forkserver')

    workers: "auto" begins with one, and gives it others while that makes the run faster: see docs/auto.md.
    start_method: "forkserver" (the default: clean and fast), "spawn", or "fork" (shares the memory of the main
    process, and whatever locks its threads hold at that moment).
    restarts: how often each worker of an element-wise stage (`map` and the like) is replaced when its process dies. Its
    successor goes on with the items that it had in hand: each may be dealt with more than once, but goes on once.
    Raises StageOptionError if workers < 1, restarts < 0 or the start method is unknown.
    """

    workers: Workers = 1
    start_method: StartMethod = field(default="forkserver", kw_only=True)
    restarts: int = field(default=0, kw_only=True)
    reach: Reach = field(default=Reach.HOST, init=False, repr=False)
    joins: bool = field(default=False, init=False, repr=False)
    awaits: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        check_workers(self, self.workers, or_auto=True)
        check_whole(self.restarts, "Processes: restarts", least=0)
        methods = get_args(StartMethod)
        if self.start_method not in methods:
            raise StageOptionError(
                f"Processes: start_method must be one of {', '.join(methods)} but got: {self.start_method!r}."
            )

    def __repr__(self) -> str:
        restarts = f", restarts={self.restarts}" if self.restarts else ""
        return f"Processes(workers={self.workers!r}, start_method={self.start_method!r}{restarts})"

    @property
    def copies(self) -> int:
        """One for each worker that there may be."""
        return copies_of(self.workers)

    @property
    def pickles(self) -> bool:
        """Only a fork inherits functions as they are."""
        return self.start_method != "fork"

    @property
    def imports_main(self) -> bool:
        """The same: what was pickled by reference has to be found again."""
        return self.pickles

    def start(self, worker: Worker) -> ProcessHandle:
        """Start one process."""
        return ProcessHandle(worker, self.start_method)


class ProcessHandle:
    """A started process."""

    def __init__(self, worker: Worker, start_method: StartMethod) -> None:
        self._control, said = pipe()
        os.set_blocking(self._control.fileno(), False)
        self._received = bytearray()
        self._sent_signals: set[int] = set()
        self._who = worker.who
        self._takers = worker.takers
        self._stack = shared_file(STACK, 0)
        self._asked_at = 0  # bytes that it had written there when it was asked; 0 if it was not, or not ready
        begin = _begin_by_server if start_method == "forkserver" else _begin
        try:
            with room_to_start():
                self._process, self._lifeline = begin(PROCESSES[start_method], worker, said, self._stack)
        except BaseException:
            for end in (self._control, self._stack):
                end.close()
            raise
        finally:
            said.close()
            worker.hand_over()
        # Readable when the process has died, even if a stray child of it lives on. The fork server tells of deaths
        # itself. The sentinels of the other methods are pipes, which a stray child inherits.
        self._waiter: threading.Thread | None = None
        if start_method == "forkserver":
            self._death = Descriptor(os.dup(self._process.sentinel))
        elif is_portable():
            self._death, self._waiter = _waiting_for(self._process)
        else:
            self._death = Descriptor(os.pidfd_open(self.pid))

    @property
    def pid(self) -> int:
        """The worker's process."""
        assert self._process.pid is not None  # it was started
        return self._process.pid

    @property
    def dies_within(self) -> float:
        """Long enough for SIGKILL on an overloaded machine; only a process stuck in the kernel outlives it."""
        return 30.0

    @property
    def waitables(self) -> Sequence[int]:
        """Its control pipe, until it has said how it ended, and its death."""
        return tuple(end.fileno() for end in (self._control, self._death) if not end.closed)

    def poll(self) -> Outcome | Lost | None:
        """How it ended, as soon as it says so or has died."""
        exit_code = self._process.exitcode  # before the last look at the pipe: what it said, it said before it died
        outcome = self._heard()
        if exit_code is None:
            return outcome
        self._death.close()
        if self._control.closed:
            return outcome
        self._control.close()
        return Interrupted() if -exit_code in self._sent_signals else Lost(exit_code)

    def _heard(self) -> Outcome | None:
        """Its outcome, once all of it has arrived; never waits for the rest, which a dead process owes for ever."""
        if self._control.closed:
            return None
        try:
            while chunk := os.read(self._control.fileno(), 1 << 20):
                self._received += chunk
        except BlockingIOError:
            pass
        while (message := self._message()) is not None:
            if not isinstance(message, Buried):
                self._control.close()
                return message.unpacked(self._who)
            self._takers[0](message.unpacked())  # its only stage's
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

    def interrupt(self) -> None:
        """Send SIGTERM, which raises Cancelled in its main thread."""
        self._sent_signals.add(signal.SIGTERM)
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._sent_signals.add(signal.SIGKILL)
        self._process.kill()

    def strike(self) -> None:
        """Send SIGKILL, to be told as its death."""
        self._process.kill()

    def ask_stack(self) -> None:
        """Have it write where it is."""
        if self._process.exitcode is not None:  # its number may be another's afterwards
            return
        self._asked_at = os.fstat(self._stack.fileno()).st_size
        if self._asked_at:  # it can be asked: one that has only been started would die of the signal
            with suppress(ProcessLookupError):
                os.kill(self.pid, SHOW_STACK)

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
        """Reap it and release the descriptors; closing the lifeline ends whatever is left of it."""
        for end in (self._control, self._death, self._lifeline, self._stack):
            end.close()
        if self._process.exitcode is not None:
            self._process.join()
            if self._waiter is not None:
                self._waiter.join()
            self._process.close()


def _begin(
    kind: type[BaseProcess], worker: Worker, said: Descriptor, stack: Descriptor
) -> tuple[BaseProcess, Descriptor]:
    """Start a process of this kind; returns it and its lifeline.

    Whatever of it is there although this raises ends at once: it has not been told to go, and never will be.
    """
    who = worker.who
    going, lifeline = pipe()
    begun = kind(
        target=_main,
        args=(worker, said, going, stack, is_portable()),
        name=_DeafName(f"chainpump-{who.stage}-{who.number}"),
    )
    try:
        with kept_by_fork((*worker.descriptors, said, going, stack)):
            begun.start()
        # Off the list that `multiprocessing` polls whenever any thread starts a process: an exit code can be read
        # once, and it is the handle's to read.
        _CHILDREN.discard(begun)
        os.write(lifeline.fileno(), GO)
    except BaseException:
        lifeline.close()
        raise
    finally:
        going.close()
    return begun, lifeline


def _begin_by_server(
    kind: type[BaseProcess], worker: Worker, said: Descriptor, stack: Descriptor
) -> tuple[BaseProcess, Descriptor]:
    """The same through the fork server; through another one if the first is just going down."""
    _preload()
    with suppress(ChildProcessError):  # somebody else has reaped it: that will be seen again
        forkserver.ensure_running()
    asked = _fork_server()["_forkserver_pid"]
    try:
        return _begin(kind, worker, said, stack)
    except (ConnectionError, EOFError, ChildProcessError):
        if not _has_gone(asked):
            raise
    return _begin(kind, worker, said, stack)


def _has_gone(server: int) -> bool:
    """Whether this fork server has ended, or is about to; reaps it, so that the next start has another one."""
    known = _fork_server()
    with known["_lock"]:
        if known["_forkserver_pid"] != server:
            return True
        alive = known["_forkserver_alive_fd"]
        poll = select.poll()
        poll.register(alive, 0)  # no events asked: reports only that it has closed its end, which it does as it dies
        if not poll.poll(GOES_WITHIN * 1000):
            return False
        with suppress(ChildProcessError):  # somebody else has reaped it
            os.waitpid(server, 0)
        os.close(alive)
        known.update(NO_SERVER)
        return True


def _fork_server() -> dict[str, Any]:
    """What `multiprocessing` knows of its fork server; there is no public way to any of it."""
    return vars(forkserver._forkserver)  # noqa: SLF001  # see above


def _forget_fork_server() -> None:
    """In a forked worker: the fork server is its parent's child, and asking for it raises. It may start its own."""
    alive = _fork_server()["_forkserver_alive_fd"]
    if _fork_server()["_forkserver_pid"] is not None:
        os.close(alive)
        _fork_server().update(NO_SERVER)


def _preload() -> None:
    """Have the fork server import this module once, rather than each worker by itself: 20 times faster starts.

    And what a worker needs to tell of a failure, lest it has no descriptor left to read that with.
    Adds to what the program has asked to preload, which has no public getter; does nothing once the server runs.
    """
    preloaded = _fork_server()["_preload_modules"]
    if __name__ not in preloaded:
        forkserver.set_forkserver_preload([*preloaded, __name__, "traceback"])


class _DeafName(str):
    """The name of a process that is deaf to Ctrl-C from the moment that it reads its name.

    That is the first thing it reads, before it imports the program's main file, which may take seconds. Ctrl-C is for
    the main process; in a worker it would only print a traceback.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[str], str], tuple[str]]:
        return _read_name, (str(self),)


def _read_name(name: str) -> str:
    turn_deaf()
    return name


def _main(worker: Worker, said: Descriptor, lifeline: Descriptor, stack: Descriptor, portably: bool) -> None:
    """What a worker process runs."""
    tell = _tell if worker.fate is None else worker.fate.before(Point.CONTROL, _tell)
    worker.takers = [lambda item: tell(said, Buried.packed(item))]
    try:
        on_sigterm(worker.interrupt)
        this = process.current_process()
        this.name = _read_name(str(this.name))  # a fork has not read it; and nobody is to read it a second time
        _forget_fork_server()
        _await_go(lifeline)
        (_die_portably_with if portably else _die_with)(lifeline)
        _show_stack_in(stack)
        if worker.logs is not None:
            speak_through(worker.logs)
        outcome = worker.run(lambda failed: tell(said, failed.packed(worker.who)))
        worker.tell_cost(_peak_memory(), time.process_time_ns(), _delayed())
    except Cancelled:  # between two steps above
        outcome = Interrupted()
        worker.close(outcome)
    if worker.was_terminated:  # by somebody else: to be told as the death by a signal that it is
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    if not isinstance(outcome, Failed):  # which it has told
        tell(said, outcome.packed(worker.who))
    said.close()


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


def _show_stack_in(file: Descriptor) -> None:
    """Write the Python stack there when asked, even in the middle of a call that does not return."""
    import faulthandler

    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, os.O_APPEND)
    faulthandler.register(SHOW_STACK, file=file.fileno(), all_threads=False)
    os.write(file.fileno(), b"%d\n" % os.getpid())  # from now on it can be asked


def _waiting_for(child: BaseProcess) -> tuple[Descriptor, threading.Thread]:
    """In place of a pidfd: what becomes readable when a child of this process has died, and the thread that waits."""
    dead, alive = pipe()

    def wait() -> None:
        child.join()  # beside `exitcode`, which may be the one that reaps it: then it has been stored there
        alive.close()

    thread = threading.Thread(target=wait, name=f"chainpump waits for {child.name}", daemon=True)
    thread.start()
    return dead, thread


def _await_go(lifeline: Descriptor) -> None:
    """Wait until the main process knows that this one is there; if it does not, it may have started another instead."""
    if os.read(lifeline.fileno(), len(GO)) != GO:
        os.kill(os.getpid(), signal.SIGKILL)


def _die_portably_with(lifeline: Descriptor) -> None:
    """As `_die_with`, by a thread: so a call that keeps the interpreter's lock puts it off."""

    def wait() -> None:
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
    if select.select([lifeline], [], [], 0)[0]:  # it closed before the kernel was told to watch it
        os.kill(os.getpid(), signal.SIGKILL)
