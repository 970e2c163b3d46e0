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
from .bootstrap import BootstrapName
from .process_main import GO

__all__ = ["METHODS", "ChildProcess", "Method", "StartMethod", "StartedProcess", "watch_by_kernel"]


class ChildProcess(Protocol):
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


class DeathWatch(NamedTuple):
    """end: readable when the process has died, even if a stray child of it lives on, and whoever takes its exit code.
    waiter: who closes it then, if it is not the kernel or the fork server.
    """

    descriptor: Descriptor
    thread: threading.Thread | None = None

    @property
    def has_died(self) -> bool:
        """Whether the process has died."""
        if self.descriptor.closed:
            return True
        poll = select.poll()
        poll.register(self.descriptor.fileno(), select.POLLIN)
        return bool(poll.poll(0))


class StartedProcess(NamedTuple):
    """A process that was started. lifeline: its end of file kills it."""

    process: ChildProcess
    lifeline: Descriptor
    death_watch: DeathWatch


@dataclass(frozen=True, slots=True)
class Method:
    """A start method. kind: of process. death_of: how the death of one is seen."""

    kind: Callable[..., BaseProcess]
    watch_death: Callable[[BaseProcess], DeathWatch]

    def start(self, worker: Worker, report_pipe: Descriptor, stack: Descriptor) -> StartedProcess:
        """Start a worker in a process; raises what the system makes of it.

        Whatever of it is there although this raises ends at once: it has not been told to go, and never will be.
        """
        who = worker.who
        lifeline_reader, lifeline = pipe()
        bootstrap_pipe = report_pipe.dup()
        child = self.kind(
            target=process_main.run_worker,
            args=(worker, report_pipe, lifeline_reader, stack, is_portable()),
            name=BootstrapName(f"chainpump-{who.stage}-{who.number}", bootstrap_pipe, who, worker.surroundings),
        )
        try:
            with kept_by_fork((*worker.descriptors, report_pipe, lifeline_reader, stack)):
                child.start()
            # Off the list that `multiprocessing` polls whenever any thread starts a process: an exit code can be read
            # once, and it is the handle's to read. Private, and another one in each process.
            vars(process)["_children"].discard(child)
            death_watch = self.watch_death(child)
            os.write(lifeline.fileno(), GO)
        except BaseException:
            lifeline.close()
            if child.pid is not None:
                child.join()
            raise
        finally:
            lifeline_reader.close()
            bootstrap_pipe.close()
        return StartedProcess(child, lifeline, death_watch)


class ForkServerMethod(Method):
    """Through the fork server; through another one if the first is just going down."""

    __slots__ = ()

    def start(self, worker: Worker, report_pipe: Descriptor, stack: Descriptor) -> StartedProcess:
        """The same."""
        server = fork_server.ensure_running(f"{__package__}.fork_server_preload")
        try:
            return super().start(worker, report_pipe, stack)
        except (ConnectionError, EOFError, ChildProcessError):
            if not fork_server.has_ended(server):
                raise
        fork_server.exclude_main()
        return super().start(worker, report_pipe, stack)


def _watch_by_fork_server(child: BaseProcess) -> DeathWatch:
    return DeathWatch(Descriptor(os.dup(child.sentinel)))


def watch_by_kernel(child: ChildProcess) -> DeathWatch:
    """Not the sentinel: that is a pipe, which a stray child inherits."""
    if is_portable():
        return _watch_by_thread(child)
    # It was started.
    assert child.pid is not None
    return DeathWatch(Descriptor(os.pidfd_open(child.pid)))


def _watch_by_thread(child: ChildProcess) -> DeathWatch:
    """Without a pidfd: a thread waits for the child."""
    reader, writer = pipe()

    def wait() -> None:
        # Beside `exitcode`, which may be the one that reaps it: then it has been stored there.
        child.join()
        writer.close()

    thread = threading.Thread(target=wait, name=f"chainpump waits for {child.name}", daemon=True)
    thread.start()
    return DeathWatch(reader, thread)


METHODS: dict[StartMethod, Method] = {
    "forkserver": ForkServerMethod(ForkServerProcess, _watch_by_fork_server),
    "spawn": Method(SpawnProcess, watch_by_kernel),
    "fork": Method(ForkProcess, watch_by_kernel),
}
