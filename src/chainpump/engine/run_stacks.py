"""The stacks of all workers of a run: for the report of a stall, and for other processes that request them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from ..executors.thread_handle import stack_of
from ..ipc.board import Cell
from ..progress.reading import name_of_host
from ..worker.worker import Worker
from .introspection import Introspection
from .started_worker import StartedWorker
from .worker_slot import WorkerSlot
from .worker_status import Roster, WorkerStack

__all__ = ["STACKS_WITHIN", "RunStacks"]

# Seconds that workers have to write and send their stacks. Another process that has asked waits for 2 s.
STACKS_WITHIN = 0.5


class RunStacks:
    """Belongs to the supervisor's thread. It also shows where the thread is that has opened the run.

    caller: the worker in the caller's thread, if there is one. due: when `take_steps` must be called, in seconds of the
    monotonic clock; None if it need not.
    """

    def __init__(self, roster: Roster, slots: Sequence[WorkerSlot]) -> None:
        self._roster = roster
        self._slots = slots
        self._introspection = Introspection(roster)
        self._opener = threading.get_ident()
        self.caller: Worker | None = None
        self.due: float | None = None

    @property
    def _workers(self) -> Iterator[tuple[WorkerSlot, StartedWorker]]:
        return ((slot, slot.worker) for slot in self._slots if slot.worker is not None)

    def ask(self) -> None:
        """Request that each worker writes its stack."""
        for _, worker in self._workers:
            worker.handle.ask_stack()

    def read(self) -> Iterator[WorkerStack]:
        """The stacks that workers and their tasks have written."""
        return self._read(lambda _slot, _worker: True)

    def _read(self, is_wanted: Callable[[WorkerSlot, StartedWorker], bool]) -> Iterator[WorkerStack]:
        for slot, worker in self._workers:
            if worker.is_running and is_wanted(slot, worker):
                name = self._name(slot, worker.pid)
                yield WorkerStack(name, "", worker.handle.read_stack())
                yield from (WorkerStack(name, *task) for task in worker.handle.read_tasks())
        if self.caller is not None:
            yield WorkerStack(self._name(self._slots[-1], os.getpid()), "", stack_of(self.caller.thread))

    def _name(self, slot: WorkerSlot, pid: int) -> str:
        host = name_of_host(self._roster.hosts, slot.rows[0][Cell.HOST])
        return self._roster.groups[slot.group_index].who(slot.number, host).placed(pid)

    def request(self) -> None:
        """Another process requests the stacks. It asks the worker processes of this machine itself.

        Workers of other machines have some time to send theirs.
        """
        for worker in chain.from_iterable(slot.running for slot in self._slots):
            worker.handle.trim_stacks()
        elsewhere = [worker for slot, worker in self._workers if slot.group.is_elsewhere and worker.is_running]
        for worker in elsewhere:
            worker.handle.ask_stack()
        self.due = time.monotonic() + STACKS_WITHIN * bool(elsewhere)

    def take_steps(self, now: float) -> None:
        """Answer the other process when it is time to."""
        if self.due is None or now < self.due:
            return
        self.due = None
        opener = WorkerStack(f"the thread that has opened the run (pid {os.getpid()})", "", stack_of(self._opener))
        found = self._read(lambda slot, worker: slot.group.is_elsewhere or worker.pid == os.getpid())
        self._introspection.answer([*found, opener])

    def close(self) -> None:
        """Release the file for other processes, and the worker of the caller."""
        self._introspection.close()
        self.caller = None
