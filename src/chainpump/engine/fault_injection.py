"""Fault injection from outside: wraps a worker, its functions, its channels and its executor so that they fail.

    Worker            start    -> FaultyCode       its functions are loaded
      Endpoints       send     -> FaultySender
                      receive  -> FaultyReceiver
                      slab     -> FaultySlabs      shared memory of sent items
      reports         control  -> FaultyWorker     outcome of a worker process, or a dead letter
    Executor          spawn    -> started_by

`Wiring` wraps a worker only if the variable requests a fault of that worker. So the modules below this one do not know
about faults, and without the variable no object is wrapped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..errors import DeadItem
from ..executors.base import Executor, WorkerHandle
from ..executors.keeping import Keeper, KeepingExecutor
from ..ipc.checkpoint import Checkpoint
from ..ipc.descriptors import Descriptor
from ..ipc.wait_times import UNCOUNTED
from ..lazy_dataclass import dataclass, replace
from ..pickling.items import Large
from ..pickling.shared_functions import Loadable
from ..plan.bound import Bound
from ..transport.channel import EventLoop, Receiver, Sender
from ..transport.credits import Credits
from ..transport.frames import Frame, Span
from ..transport.process_channel import PacketSender
from ..transport.slab_source import Reserved, SlabAllocator, SlabSource
from ..transport.wire import WireOut
from ..worker.endpoints import Endpoints
from ..worker.outcome import Outcome
from ..worker.stage_run import StageRun
from ..worker.worker import Worker
from .fault_rules import Fault, Faults, FaultsOfWorker, Point

__all__ = ["FaultyCode", "FaultyReceiver", "FaultySender", "FaultySlabs", "FaultyWorker", "started_by", "with_faults"]


def with_faults(worker: Worker, faults: Faults, generation: int) -> Worker:
    """The worker with its faults; the same worker if it has none. generation: see `Faults.of_worker`."""
    names = [assignment.who.stage for assignment in worker.assignments]
    concerned = faults.of_worker(names, worker.who.number - 1, generation)
    return FaultyWorker(worker, concerned) if concerned is not None else worker


def started_by(executor: Executor, worker: Worker, keeper: Keeper | None) -> WorkerHandle:
    """Let an executor start a worker, or inject a fault first. Errors of the executor pass through.

    keeper: keeps processes for later runs; None if they end with this run. A worker with faults has a new process.
    """
    if isinstance(worker, FaultyWorker):
        if (fault := worker.faults.at(Point.SPAWN)) is not None:
            fault.inject()
        return executor.start(worker)
    if keeper is not None and executor.capabilities.can_be_kept:
        # The capability says that the executor has this method.
        keeping: KeepingExecutor = executor  # type: ignore[assignment]
        return keeping.start_kept(worker, keeper)
    return executor.start(worker)


class FaultyWorker(Worker):
    """A copy of a worker that has not been started, with calls that may fail."""

    def __init__(self, worker: Worker, faults: FaultsOfWorker) -> None:
        vars(self).update(vars(worker))
        self.faults = faults
        self._control = faults.at(Point.CONTROL)
        self._report: Callable[[Outcome], object] | None = None
        self._endpoints = _endpoints(self._endpoints, faults)
        if (start := faults.at(Point.START)) is not None:
            self.code = FaultyCode(self.code, start)

    def run(
        self, report_outcome: Callable[[Outcome], object] | None = None, drive: Callable[[StageRun], Any] | None = None
    ) -> Outcome:
        """Run like the original worker."""
        if self._sends_reports:
            self.takers = [self._faulty_taker(taker) for taker in self.takers]
        return super().run(self._faulty(report_outcome), drive)

    def close(self, outcome: Outcome, report_outcome: Callable[[Outcome], object] | None = None) -> None:
        """Close like the original worker."""
        super().close(outcome, self._faulty(report_outcome))
        # The function refers to this worker: that would be a reference cycle.
        self._report = None

    @property
    def _sends_reports(self) -> bool:
        """Whether it sends reports to another process, and they may fail."""
        return self._control is not None and os.getpid() != self.faults.process

    def _faulty_taker(self, taker: Callable[[DeadItem], object]) -> Callable[[DeadItem], object]:
        return self._control.before(taker) if self._control is not None else taker

    def _faulty(self, report_outcome: Callable[[Outcome], object] | None) -> Callable[[Outcome], object] | None:
        """The function that reports the outcome, wrapped at the first call."""
        control = self._control
        if control is None or report_outcome is None or not self._sends_reports:
            return report_outcome
        if self._report is None:

            def report(outcome: Outcome) -> None:
                # A terminated worker sends no report: its death is the report.
                if not self.was_terminated:
                    control.inject()
                report_outcome(outcome)

            self._report = report
        return self._report


@dataclass(frozen=True, slots=True)
class FaultyCode:
    """The functions of a worker, which may fail to load."""

    code: Loadable
    fault: Fault

    def load(self) -> Sequence[Bound]:
        """Load the functions, or fail before that."""
        self.fault.inject()
        return self.code.load()

    def digest(self) -> bytes | None:
        """Hash the original functions."""
        return self.code.digest()


def _endpoints(endpoints: Endpoints, faults: FaultsOfWorker) -> Endpoints:
    """The channel ends of a worker, with calls that may fail."""
    sender, receiver = endpoints.sender, endpoints.receiver
    if isinstance(sender, PacketSender) and (slab := faults.at(Point.SLAB)) is not None:
        sender.writer.slabs = FaultySlabs(sender.writer.slabs, slab)
    if sender is not None and (send := faults.at(Point.SEND)) is not None:
        sender = FaultySender(sender, send)
    if receiver is not None and (receive := faults.at(Point.RECEIVE)) is not None:
        receiver = FaultyReceiver(receiver, receive)
    return replace(endpoints, sender=sender, receiver=receiver)


@dataclass(frozen=True, slots=True)
class FaultySender:
    """The end of a producer, which may fail to send."""

    sender: Sender
    fault: Fault

    @property
    def flush_bytes(self) -> int:
        """The value of the wrapped sender. The same applies to all other members."""
        return self.sender.flush_bytes

    @property
    def credits(self) -> Credits | None:
        """The credits of `in_flight=n`."""
        return self.sender.credits

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self.sender.descriptors

    def open(self) -> None:
        """Prepare the end for use."""
        self.sender.open()

    @property
    def copies(self) -> Mapping[type, Callable[[Any], Any]]:
        """How to copy items."""
        return self.sender.copies

    def admit(self, item: Any) -> tuple[Any, int]:
        """The entry of an item, and its size in bytes."""
        return self.sender.admit(item)

    def send(
        self,
        entries: list[Any],
        snapshots: bool,
        span: Span,
        numbers: Sequence[int] | None,
        waits: AbstractContextManager[None] = UNCOUNTED,
    ) -> int:
        """Send a frame, or fail before that."""
        self.fault.inject()
        return self.sender.send(entries, snapshots, span, numbers, waits)

    def close(self) -> None:
        """Close the end."""
        self.sender.close()


@dataclass(frozen=True, slots=True)
class FaultyReceiver:
    """The end of a consumer, which may fail to receive."""

    receiver: Receiver
    fault: Fault

    @property
    def credits(self) -> Credits | None:
        """The value of the wrapped receiver. The same applies to all other members."""
        return self.receiver.credits

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self.receiver.descriptors

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint for a replacement."""
        return self.receiver.checkpoint

    def open(self) -> None:
        """Prepare the end for use."""
        self.receiver.open()

    def receive(self, wait: bool) -> Frame | None:
        """The next frame, or fail before that."""
        self.fault.inject()
        return self.receiver.receive(wait)

    def settle(self) -> None:
        """Report that the last frame has been processed."""
        self.receiver.settle()

    def wait(self, seconds: float) -> bool:
        """Wait until `receive` has a result."""
        return self.receiver.wait(seconds)

    def watch(self, loop: EventLoop, ready: Callable[[], object]) -> Callable[[], None]:
        """Have a loop call `ready` when `receive` has a result."""
        return self.receiver.watch(loop, ready)

    def close(self) -> None:
        """Close the end."""
        self.receiver.close()


@dataclass(frozen=True, slots=True)
class FaultySlabs:
    """A source of slabs, whose allocation may fail."""

    slabs: SlabSource
    fault: Fault

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self.slabs.descriptors

    def allocator(self, wire: WireOut) -> SlabAllocator:
        """An allocator that may fail."""
        return FaultyAllocator(self.slabs.allocator(wire), self.fault)


@dataclass(frozen=True, slots=True)
class FaultyAllocator:
    """An allocator of slabs that may fail."""

    allocator: SlabAllocator
    fault: Fault

    def put(self, item: Large, waits: AbstractContextManager[None] = UNCOUNTED) -> bytes:
        """Copy an item into a slab, or fail before that."""
        self.fault.inject()
        return self.allocator.put(item, waits)

    def reserve(self, nbytes: int) -> Reserved | None:
        """Reserve a slab."""
        return self.allocator.reserve(nbytes)

    def free_idle(self) -> None:
        """Free slabs that have been idle for long."""
        self.allocator.free_idle()

    def close(self) -> None:
        """Release all slabs that are not in use."""
        self.allocator.close()
