"""How many items a pipeline yields, if its stages say so without a run: `len(pipeline)`.

A generator stage of the library that makes a known number of results adds one line to `LENGTHS`. An operator says it by
its class: it keeps the number unless it `drops` items or makes `several` of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

from ..policies import keeps_items
from . import generator_stages as made_by
from .nested_source import NestedSource
from .planned_stage import PlannedStage

__all__ = ["length_of"]

# The function of a stage with one worker, and how many results it makes of so many items with these arguments.
LENGTHS: tuple[tuple[Callable[..., Any], Callable[..., int]], ...] = (
    (made_by.batch, lambda count, n: -(-count // n)),
    (made_by.window, lambda count, n, step: (count - n) // step + 1 if count >= n else 0),
    (made_by.take, min),
    (made_by.skip, lambda count, n: max(0, count - n)),
    (made_by.numbered, lambda count, *_: count),
    (made_by.shuffle, lambda count, *_: count),
)


def length_of(stages: Sequence[PlannedStage]) -> int:
    """Return how many items these stages yield. Raises TypeError if a stage does not say it, and names the stage."""
    source, *others = stages
    count = _length_of_source(source)
    for stage in others:
        count = _after(stage, count)
    return count


def _length_of_source(stage: PlannedStage) -> int:
    call = stage.call
    if isinstance(call, NestedSource):
        return sum(map(length_of, call.parts))
    if call.function is iter and isinstance(call.args[0], Sized):
        return len(call.args[0])
    raise _unknown(stage, "does not say how many items it makes")


def _after(stage: PlannedStage, count: int) -> int:
    """The number of results of a stage."""
    call, operator = stage.call, stage.operator
    if operator is not None:
        if operator.drops or operator.several:
            raise _unknown(stage, f"is a {operator.verb}, which makes any number of results of an item")
        if not keeps_items(operator.policy):
            raise _unknown(stage, f"may leave out items: on_error={operator.policy!r}")
        return count
    if stage.copies > 1:
        raise _unknown(stage, "has several workers, which divide the items as they come")
    # A function of a user may not be hashable, and comparing it may run any code.
    length = next((length for function, length in LENGTHS if function is call.function), None)
    if length is None:
        raise _unknown(stage, "may make any number of results")
    return length(count, *call.args)


def _unknown(stage: PlannedStage, why: str) -> TypeError:
    return TypeError(f"this pipeline has no length: {stage.label} {why}.\n  Count the items as they come.")
