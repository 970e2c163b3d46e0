"""The start methods: how each starts a process, and how it detects the death of that process."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from multiprocessing import process
from multiprocessing.context import ForkProcess, ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..ipc.descriptors import Descriptor, kept_by_fork, opened, pipe
from ..ipc.system import is_portable
from ..lazy_dataclass import dataclass
from ..plan.placement import StartMethod
from ..worker.worker import Worker
from . import fork_server, process_main
from .bootstrap import BootstrapName
from .process_end import flush_c_streams
from .process_main import GO

if TYPE_CHECKING:
    from .kept_process import KeptProcess

__all__ = ["METHODS", "ChildProcess", "Method", "StartMethod", "StartedProcess", "before_imports", "watch_by_kernel"]


class ChildProcess(Protocol):
    """A started process, with the interface of `multiprocessing`.

    The supervisor's thread and the waiting thread use it.
    """

    @property
    def name(self) -> str:
        """The name, which also names the thread that waits for it."""
        ...

    @property
    def pid(self) -> int | None:
        """The process id."""
        ...

    @property
    def exitcode(self) -> int | None:
        """The exit code, negative for a signal. It is None while the process runs, or if other code has read it."""
        ...

    def join(self) -> None:
        """Wait until the process has died."""
        ...

    def close(self) -> None:
        """Release the resources. The process has died."""
        ...


class DeathWatch(NamedTuple):
    """Detects the death of a process.

    descriptor: becomes readable when the process has died. It does not matter whether a child of the process still
    runs, or which code reads the exit code.
    thread: closes the descriptor's other end, unless the kernel or the fork server does that.
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
    """A started process. lifeline: the process is killed when this is closed. kept: set if it is to be kept."""

    process: ChildProcess
    lifeline: Descriptor
    death_watch: DeathWatch
    kept: KeptProcess | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """A start method. kind: the class of process. watch_death: starts to watch for the death of a process."""

    kind: Callable[..., BaseProcess]
    watch_death: Callable[[BaseProcess], DeathWatch]

    def start(
        self, worker: Worker, report_pipe: Descriptor, stack: Descriptor, next_workers: Descriptor | None = None
    ) -> StartedProcess:
        """Start a worker in a process. Raises the errors of the system.

        next_workers: the end of a connection that brings further workers, for a process that is to be kept.
        If this raises, a process that was started ends at once, because it never receives GO.
        """
        who = worker.who
        lifeline_reader, lifeline = pipe()
        bootstrap_pipe = report_pipe.dup()
        child = self.kind(
            target=process_main.run_worker,
            args=(worker, report_pipe, lifeline_reader, stack, is_portable(), next_workers),
            name=BootstrapName(
                f"chainpump-{who.stage}-{who.number}", bootstrap_pipe, worker.assignments[-1], worker.surroundings
            ),
        )
        try:
            with kept_by_fork((*worker.descriptors, report_pipe, lifeline_reader, stack)):
                child.start()
            # `multiprocessing` polls the processes of this set whenever a thread starts a process. That could take the
            # exit code, which can be read only once, and the handle must read it. The set is private, and each process
            # has its own.
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


class ForkMethod(Method):
    """The start method that forks this process."""

    __slots__ = ()

    def start(
        self, worker: Worker, report_pipe: Descriptor, stack: Descriptor, next_workers: Descriptor | None = None
    ) -> StartedProcess:
        """Start a worker by a fork. Otherwise both processes would write what C libraries have in their buffers."""
        flush_c_streams()
        return super().start(worker, report_pipe, stack, next_workers)


class ForkServerMethod(Method):
    """The start method that uses the fork server. It starts a new fork server if the first one is about to end."""

    __slots__ = ()

    def start(
        self, worker: Worker, report_pipe: Descriptor, stack: Descriptor, next_workers: Descriptor | None = None
    ) -> StartedProcess:
        """Start a worker by the fork server."""
        if worker.surroundings is not None and not worker.surroundings.imports_main:
            fork_server.exclude_main()
        server = fork_server.ensure_running()
        try:
            return super().start(worker, report_pipe, stack, next_workers)
        except (ConnectionError, EOFError, ChildProcessError):
            if not fork_server.has_ended(server):
                raise
        fork_server.exclude_main()
        return super().start(worker, report_pipe, stack, next_workers)


def _watch_by_fork_server(child: BaseProcess) -> DeathWatch:
    return DeathWatch(opened(os.dup, child.sentinel))


def watch_by_kernel(child: ChildProcess) -> DeathWatch:
    """Watch the process by a pidfd. The sentinel is a pipe, which a child of the process inherits and may keep open."""
    if is_portable():
        return _watch_by_thread(child)
    # The process was started.
    assert child.pid is not None
    return DeathWatch(opened(os.pidfd_open, child.pid))


def _watch_by_thread(child: ChildProcess) -> DeathWatch:
    """Watch the process by a thread that waits for it, where there are no pidfds."""
    reader, writer = pipe()

    def wait() -> None:
        # `exitcode` may reap the process at the same time. Then it stores the exit code for the join.
        child.join()
        writer.close()

    thread = threading.Thread(target=wait, name=f"chainpump waits for {child.name}", daemon=True)
    thread.start()
    return DeathWatch(reader, thread)


METHODS: dict[StartMethod, Method] = {
    "forkserver": ForkServerMethod(ForkServerProcess, _watch_by_fork_server),
    "spawn": Method(SpawnProcess, watch_by_kernel),
    "fork": ForkMethod(ForkProcess, watch_by_kernel),
}


def before_imports(method: Method) -> Method:
    """The method to use instead of this one for a worker that must not have imported anything of the program.

    A fork server may have imported modules that have already read their environment variables. Then the worker is
    spawned. A fork has what the main process has imported.
    """
    return METHODS["spawn"] if isinstance(method, ForkServerMethod) and fork_server.imports_program() else method
