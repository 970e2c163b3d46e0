"""Whether a function of one item takes less than the way of its items to a worker of its own and back."""

from __future__ import annotations

from collections.abc import Sequence

from .reading import StageFacts, WorkerReading

__all__ = ["hop_advice"]

# Nanoseconds. The time of its workers that could be saved at least: a run that is soon over needs no advice.
WORTH_IT = 500_000_000
MICROSECOND = 1_000


def hop_advice(stage_facts: Sequence[StageFacts], stages: Sequence[Sequence[WorkerReading]]) -> str:
    """One line for each such function on processes, with the figures behind it; empty if there is none."""
    lines = (_of_stage(facts, workers) for facts, workers in zip(stage_facts, stages, strict=True))
    return "\n".join(filter(None, lines))


def _of_stage(facts: StageFacts, workers: Sequence[WorkerReading]) -> str:
    items, called = sum(worker.received for worker in workers), sum(worker.called for worker in workers)
    # What a worker does beside calling the function: it receives the items and sends the results.
    hop = sum(worker.busy for worker in workers) - called
    if not (facts.on_processes and items and called and hop > max(called, WORTH_IT)):
        return ""
    each, way = (ns / items / MICROSECOND for ns in (called, hop))
    return (
        f"'{facts.stage}' takes {each:.2g} us an item, and receiving and sending it {way:.2g} us: "
        "call it in the function of a neighbour, or place it beside one with on=Inline()."
    )
