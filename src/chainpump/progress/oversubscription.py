"""Whether the worker processes of a stage compute on more threads than there are processors, and what could be done."""

from __future__ import annotations

from collections.abc import Sequence

from .reading import StageFacts, WorkerReading

__all__ = ["thread_advice"]

# The least share of their busy time for which the workers have waited for a processor. With less, there is little to
# gain.
WAITED = 0.1
SECOND = 1_000_000_000


def thread_advice(stage_facts: Sequence[StageFacts], stages: Sequence[Sequence[WorkerReading]], processors: int) -> str:
    """One line for each stage with too many threads, with the figures behind it; empty if there is none."""
    # Stages that share a worker tell the same of it.
    groups = {facts.group: (facts, workers) for facts, workers in zip(stage_facts, stages, strict=True)}
    lines = (_of_stage(facts, workers, processors) for facts, workers in groups.values())
    return "\n".join(filter(None, lines))


def _of_stage(facts: StageFacts, workers: Sequence[WorkerReading], processors: int) -> str:
    computing = [worker for worker in workers if worker.threads > 1]
    if not computing:
        return ""
    count, threads = len(computing), min(worker.threads for worker in computing)
    busy, waited = sum(worker.busy for worker in computing), sum(worker.delayed for worker in computing)
    if count * threads <= processors or waited < WAITED * busy:
        return ""
    told = f"{count} worker{'s' * (count > 1)} of '{facts.stage}' x {threads} threads = {count * threads} threads"
    share = max(processors // count, 1)
    return (
        f"{told} on {processors} processor{'s' * (processors > 1)}; in {busy / SECOND:.1f} s of work they waited "
        f"{waited / SECOND:.1f} s for one. Try Processes({facts.workers}, env={{'OMP_NUM_THREADS': '{share}'}})."
    )
