"""A process that is not the main one of a run, and makes and starts all of its workers."""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, TypeAlias

from chainpump import Processes, Runnable
from chainpump.engine.connections import Connections, Junction, junctions_of
from chainpump.engine.groups import Section, groups_of, sections_of, works_of
from chainpump.engine.worker_maker import WorkerMaker
from chainpump.errors import DeadItem
from chainpump.executors.base import WorkerHandle
from chainpump.ipc.checkpoint import Checkpoint
from chainpump.lazy_dataclass import replace
from chainpump.logs.receiver import Logs
from chainpump.pickling.shared_functions import SharedFunctions
from chainpump.transport.process_channel import PACKET_BYTES
from chainpump.worker.outcome import Finished
from chainpump.worker.seeds import Seed
from chainpump.worker.surroundings import Surroundings
from chainpump.worker.work import Work
from support.gate import WHOLE

__all__ = ["Described", "described", "run_all"]

Described: TypeAlias = tuple[list[Work], list[Section], list[Junction], list[SharedFunctions]]


def described(runnable: Runnable[Any]) -> Described:
    """The values of which the workers of a run are made."""
    groups = tuple(groups_of(runnable.plan().stages, iterated=False, apart=False))
    sections = list(sections_of(groups))
    works = works_of(groups, sections, {}, watched=True)
    return works, sections, junctions_of(groups, sections), [group.code for group in groups]


def run_all(
    works: Sequence[Work],
    sections: Sequence[Section],
    junctions: Sequence[Junction],
    codes: Sequence[SharedFunctions],
    *,
    imports_main: bool = True,
) -> tuple[Any, list[Any]]:
    """Make and start all workers of a run in this process. Returns the value of the sink and the dead items."""
    letters: list[DeadItem] = []
    logs, around = Logs(), replace(Surroundings.now(), imports_main=imports_main)
    rows = works[-1].stages[-1].siblings[-1] + 1
    with ExitStack() as stack:
        stack.callback(around.close)
        stack.callback(logs.close, went_well=True)
        stack.callback(logs.end)
        connections = Connections(rows, junctions, sections)
        stack.callback(connections.close)
        takers = [[letters.append] for _ in works]
        maker = WorkerMaker(
            works, codes, connections, Seed.of_run(7), takers, logs.pipe, lambda *_: around.without_input()
        )
        handles: dict[WorkerHandle, int] = {}
        for group, work in enumerate(works):
            for number in range(len(work.stages[0].siblings)):
                checkpoint = Checkpoint(PACKET_BYTES) if work.is_replaceable else None
                if checkpoint is not None:
                    stack.callback(checkpoint.close)
                handle = Processes().start(maker.worker(group, number, checkpoint=checkpoint))
                stack.callback(handle.close)
                handles[handle] = group
        connections.started()
        value = [finished(handles, group, connections) for group in range(len(works))][-1]
        return value, [letter.item for letter in letters]


def finished(handles: dict[WorkerHandle, int], group: int, connections: Connections) -> Any:
    """Wait until all workers of a group have finished, and seal the junction behind them."""
    value = None
    for handle in [each for each, its_group in handles.items() if its_group == group]:
        while not isinstance(outcome := handle.poll(), Finished):
            assert outcome is None, outcome
            poll = select.poll()
            for end in handle.waitables:
                poll.register(end, select.POLLIN)
            poll.poll(WHOLE * 1000)
        value = outcome.value
    if group < len(connections.channels):
        connections.channels[group].seal()
    return value
