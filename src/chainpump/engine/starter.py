"""Starts workers in their slots: the first ones, replacements, and successors of workers that retire.

    worker:     ── at work ──► prepares ── at work ──► retired, ends
                                  │                       │
    successor:                    └─ starts, set-up ─ waits ─ its turn ── at work ──►

A successor waits until its predecessor has reported that all of its results are sent. So a slot has one worker at work,
and both may use the same rows of the board and the same ends of channels. A successor that is not needed, that fails or
dies before its turn has no item, and costs nothing: where one is needed, another one is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ..executors.base import Lost
from ..messages import failure_texts
from ..worker.operator_run import Condemned
from ..worker.outcome import Failed, Outcome, SuccessorWanted
from .started_worker import StartedWorker
from .wiring import Wiring
from .worker_slot import Successor, WorkerSlot

__all__ = ["Starter"]


class Starter:
    """Starts workers. Belongs to the supervisor's thread, once that runs.

    grace: see `StartedWorker`.
    """

    def __init__(self, wiring: Wiring, grace: float) -> None:
        self._wiring = wiring
        self._grace = grace

    def start(self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None) -> None:
        """Start a worker in a slot where none runs. Errors of its executor pass through."""
        handle = self._wiring.start(slot, condemned)
        slot.fill(StartedWorker(handle, slot.who, self._grace, self._wiring.warn))

    def replace(self, slot: WorkerSlot, condemned: Mapping[int, Condemned] | None = None) -> Failed | None:
        """Let a worker follow in a slot whose worker has ended or died, while the run goes on.

        That is the successor if one waits. Returns the failure if no worker could be started.
        """
        slot.release_ended()
        # A successor that waits does not know condemned items.
        if not condemned and self._give_turn(slot):
            return None
        self.dismiss(slot)
        try:
            self.start(slot, condemned)
        except Exception as error:
            return Failed(failure_texts.not_started(slot.who, error), error)
        return None

    def prepare(self, slot: WorkerSlot) -> None:
        """Start the successor of the worker in a slot. If the system refuses that, one is started when it is needed."""
        if slot.successor is not None:
            return
        with suppress(Exception):
            handle, turn = self._wiring.start_waiting(slot)
            slot.set_successor(Successor(StartedWorker(handle, slot.who, self._grace, self._wiring.warn), turn))

    def end_of_other(self, slot: WorkerSlot, worker: StartedWorker, report: Lost | Outcome | SuccessorWanted) -> None:
        """Another worker than the current one of a slot has ended. It may be the one that waits for its turn."""
        if slot.successor is not None and worker is slot.successor.worker:
            self.dismiss(slot)
            self._wiring.warn(failure_texts.ended_before_turn(slot.who, worker.pid, _reason(report)))

    def dismiss(self, slot: WorkerSlot) -> None:
        """End the successor of a slot, which is not needed."""
        successor = slot.successor
        if successor is not None:
            slot.set_successor(None)
            slot.leaving = (*slot.leaving, successor.worker)
            successor.turn.close()
            successor.worker.dismiss()

    def _give_turn(self, slot: WorkerSlot) -> bool:
        """Let the successor work, if there is one that has not failed or died."""
        successor = slot.successor
        if successor is None or successor.worker.handle.poll() is not None:
            return False
        slot.set_successor(None)
        slot.begin_again()
        slot.set_pid(successor.worker.pid)
        slot.fill(successor.worker)
        successor.turn.give()
        return True


def _reason(report: Lost | Outcome | SuccessorWanted) -> str:
    if isinstance(report, Lost):
        return failure_texts.death(report.exit_code)
    return report.failure.headline if isinstance(report, Failed) else "it was interrupted"
