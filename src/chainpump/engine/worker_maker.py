"""Makes the workers of a run: in its main process, or in another process that starts some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Context

from ..durable.notes import Notes, unheard
from ..errors import DeadItem
from ..ipc.checkpoint import Checkpoint
from ..lazy_dataclass import dataclass, field
from ..logs.records import LogsEnd
from ..messages.names import WorkerName
from ..pickling.shared_functions import Loadable
from ..worker.commits import without_commits
from ..worker.operator_run import Condemned
from ..worker.receipts import Receipts
from ..worker.retirement import Retirement
from ..worker.seeds import Seed
from ..worker.stage_run import ChannelInput
from ..worker.surroundings import Surroundings
from ..worker.turn import Turn
from ..worker.work import Work
from ..worker.worker import Worker
from .connections import Connections
from .fault_injection import with_faults
from .fault_rules import Faults

__all__ = ["WorkerMaker"]


@dataclass(frozen=True, slots=True)
class WorkerMaker:
    """Makes the worker of any slot, from values and objects that any process can have.

    works, codes, takers: by group. takers: receive the dead letters, one for each element-wise stage of the group.
    seed: of the run. log_pipe, surroundings: for a worker with an interpreter of its own; `surroundings` gets the
    group, the number and the name of the worker. context: the context variables for workers that are threads.
    inputs: by group, what makes the inputs of its workers, if they are not usual ones. note: takes what workers tell
    the journal of a durable run.
    """

    works: Sequence[Work]
    codes: Sequence[Loadable]
    connections: Connections
    seed: Seed
    takers: Sequence[Sequence[Callable[[DeadItem], object]]]
    log_pipe: Callable[[WorkerName], LogsEnd]
    surroundings: Callable[[int, int, WorkerName], Surroundings]
    # A copy is needed because other threads may start workers later.
    context: Context = field(default_factory=without_commits)
    faults: Faults = field(default_factory=Faults.requested)
    inputs: Mapping[int, Callable[..., ChannelInput]] = field(default_factory=dict)
    note: Callable[[Notes], object] = unheard

    def worker(
        self,
        group: int,
        number: int,
        generation: int = 0,
        *,
        checkpoint: Checkpoint | None = None,
        condemned: Mapping[int, Condemned] | None = None,
        turn: Turn | None = None,
        receipts: Receipts | None = None,
    ) -> Worker:
        """A new worker with its own channel ends. It must be started or closed.

        generation: how many workers have been made for its slot before. checkpoint: of the slot, if its workers are
        replaceable. condemned: the items of which earlier workers of the slot have died. turn: it waits for its turn.
        receipts: it waits for them before it sends what follows a dead letter.
        """
        work = self.works[group]
        assignments = work.assignments(number, generation)
        who, is_apart = assignments[0].who, work.has_own_interpreter
        worker = Worker(
            work,
            assignments,
            self.codes[group],
            self.connections.board,
            self.connections.endpoints(group, number, assignments[-1].row, checkpoint, turn, receipts),
            takers=self.takers[group],
            note=self.note,
            condemned=condemned,
            retirement=Retirement(work.share, turn) if work.share is not None else None,
            logs=self.log_pipe(who) if is_apart else None,
            surroundings=self.surroundings(group, number, who) if is_apart else None,
            seed=self.seed.derived(group, number, generation) if is_apart else None,
            context=self.context.copy(),
            input_of=self.inputs.get(group, ChannelInput),
        )
        return with_faults(worker, self.faults, generation)
