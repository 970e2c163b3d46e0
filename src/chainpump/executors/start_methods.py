"""How each start method starts a process, and how its death is seen."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from multiprocessing import process
from multiprocessing.context import ForkProcess, ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import NamedTuple, Protocol

from ..ipc.descriptors import Descriptor, kept_by_fork, pipe
from ..ipc.system import is_portable
from ..lazy_dataclass import dataclass
from ..plan.placement import StartMethod
from ..worker.worker import Worker
from . import fork_server, process_main
from .bootstrap import FirstName
from .process_main import GO

__all__ = ["METHODS", "Begun", "Method", "StartMethod", "StartedProcess", "told_by_kernel"]


class StartedProcess(Protocol):
    """A process that was started, as `multiprocessing` has it. Only the supervisor's thread uses it, and who waits."""

    @property
    def name(self) -> str:
        """For the names of threads."""
        ...

    @property
    def pid(self) -> int | None:
        """Its number."""
        ...

    @property
    def exitcode(self) -> int | None:
        """Negative for a signal; None while it runs, and if other code of the program has taken it from the system."""
        ...

    def join(self) -> None:
        """Wait until it has died."""
        ...

    def close(self) -> None:
        """Release what this holds; it has died."""
        ...


class Death(NamedTuple):
    """end: readable when the process has died, even if a stray child of it lives on, and whoever takes its exit code.
    waiter: who closes it then, if it is not the kernel or the fork server.
    """

    end: Descriptor
    waiter: threading.Thread | None = None

    @property
    def has_come(self) -> bool:
        """Whether the process has died."""
        if self.end.closed:
            return True
        poll = select.poll()
        poll.register(self.end.fileno(), select.POLLIN)
        return bool(poll.poll(0))


class Begun(NamedTuple):
    """A process that was started. lifeline: its end of file kills it."""

    process: StartedProcess
    lifeline: Descriptor
    death: Death


@dataclass(frozen=True, slots=True)
class Method:
    """A start method. kind: of process. death_of: how the death of one is seen."""

    kind: Callable[..., BaseProcess]
    death_of: Callable[[BaseProcess], Death]

    def begin(self, worker: Worker, said: Descriptor, stack: Descriptor) -> Begun:
        """Start a worker in a process; raises what the system makes of it.

        Whatever of it is there although this raises ends at once: it has not been told to go, and never will be.
        """
        who = worker.who
        going, lifeline = pipe()
        early = said.dup()
        begun = self.kind(
            target=process_main.run_worker,
            args=(worker, said, going, stack, is_portable()),
            name=FirstName(f"chainpump-{who.stage}-{who.number}", early, who, worker.surroundings),
        )
        try:
            with kept_by_fork((*worker.descriptors, said, going, stack)):
                begun.start()
            # Off the list that `multiprocessing` polls whenever any thread starts a process: an exit code can be read
            # once, and it is the handle's to read. Private, and another one in each process.
            vars(process)["_children"].discard(begun)
            death = self.death_of(begun)
            os.write(lifeline.fileno(), GO)
        except BaseException:
            lifeline.close()
            if begun.pid is not None:
                begun.join()
            raise
        finally:
            going.close()
            early.close()
        return Begun(begun, lifeline, death)


class ByServer(Method):
    """Through the fork server; through another one if the first is just going down."""

    __slots__ = ()

    def begin(self, worker: Worker, said: Descriptor, stack: Descriptor) -> Begun:
        """The same."""
        asked = fork_server.ensure_running(f"{__package__}.fork_server_preload")
        try:
            return super().begin(worker, said, stack)
        except (ConnectionError, EOFError, ChildProcessError):
            if not fork_server.has_gone(asked):
                raise
        fork_server.leave_main_out()
        return super().begin(worker, said, stack)


def _told_by_server(begun: BaseProcess) -> Death:
    return Death(Descriptor(os.dup(begun.sentinel)))


def told_by_kernel(begun: StartedProcess) -> Death:
    """Not the sentinel: that is a pipe, which a stray child inherits."""
    if is_portable():
        return _waited_for(begun)
    # It was started.
    assert begun.pid is not None
    return Death(Descriptor(os.pidfd_open(begun.pid)))


def _waited_for(begun: StartedProcess) -> Death:
    """Without a pidfd: a thread waits for the child."""
    dead, alive = pipe()

    def wait() -> None:
        # Beside `exitcode`, which may be the one that reaps it: then it has been stored there.
        begun.join()
        alive.close()

    thread = threading.Thread(target=wait, name=f"chainpump waits for {begun.name}", daemon=True)
    thread.start()
    return Death(dead, thread)


METHODS: dict[StartMethod, Method] = {
    "forkserver": ByServer(ForkServerProcess, _told_by_server),
    "spawn": Method(SpawnProcess, told_by_kernel),
    "fork": Method(ForkProcess, told_by_kernel),
}
