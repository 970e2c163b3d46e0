"""Starts workers in processes that are kept: in one that fits, or in a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..ipc import parcels
from ..ipc.descriptors import Descriptor
from ..worker.worker import Worker
from .base import WorkerHandle
from .kept_process import Fit, KeptProcess
from .process_handle import ProcessHandle
from .start_methods import Method, StartedProcess

__all__ = ["Keeper", "KeepingExecutor", "keeping"]


class Keeper(Protocol):
    """Keeps processes without a worker. Any thread may use it."""

    def take(self, fit: Fit) -> ProcessHandle | None:
        """Return the handle of the last worker of a process that fits, which the caller now owns. None if none fits."""
        ...

    def give_back(self, handle: ProcessHandle) -> bool:
        """Keep a process that is ready. Returns False if it is to end instead."""
        ...

    def discard(self, handle: ProcessHandle) -> None:
        """End a process that was taken and can run no worker."""
        ...


class KeepingExecutor(Protocol):
    """An executor whose processes can be kept."""

    def start_kept(self, worker: Worker, keeper: Keeper) -> WorkerHandle:
        """Start one worker in a process that fits and has been kept, or in a new one, which is kept."""
        ...


def keeping(method: Method, keeper: Keeper) -> Callable[[Worker, Descriptor, Descriptor], StartedProcess]:
    """Return a function that starts a worker in a kept process that fits, or in a new process that is to be kept."""

    def start(worker: Worker, report_pipe: Descriptor, stack: Descriptor) -> StartedProcess:
        fit = Fit.of(worker, method)
        if fit is None:
            return method.start(worker, report_pipe, stack)
        while (handle := keeper.take(fit)) is not None:
            try:
                return handle.pass_on(worker, report_pipe, stack)
            except BaseException as error:
                keeper.discard(handle)
                if not isinstance(error, OSError):
                    raise
        end, its_end = parcels.parcel_socket()
        try:
            started = method.start(worker, report_pipe, stack, its_end)
        except BaseException:
            end.close()
            raise
        finally:
            its_end.close()
        return started._replace(kept=KeptProcess(fit, end, keeper.give_back))

    return start
