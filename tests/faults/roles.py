"""Who meets a fault, in each place: a source, a stage or a sink. On tasks they are async, and take item by item."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from chainpump import Pipeline, Runnable, sink, source, stage
from faults import stages
from faults.places import beside, on
from support.gate import Gate

__all__ = ["Fail", "counted", "failing_sink", "failing_source", "failing_stage", "made", "passed", "stuck", "through"]

Fail = Callable[[], Any]
# The item at which they fail.
AT = 3


def counted(place: str, n: int = 10) -> Pipeline[Any]:
    """0 to n - 1, from a neighbour of who is in that place."""
    return Pipeline(source(stages.count, n), on=on(beside(place)))


def made(place: str, make: Callable[..., Any], *arguments: Any, name: str | None = None) -> Pipeline[Any]:
    """What a generator function makes, by a source in that place."""
    if place == "tasks":
        return Pipeline(source(stages.awaited_each, make, *arguments), on=on(place), name=name)
    return Pipeline(source(make, *arguments), on=on(place), name=name)


def through(pipeline: Pipeline[Any], place: str, workers: int = 1) -> Pipeline[Any]:
    """The same items, passed on by a stage in that place, which is called 'same'."""
    if place == "tasks":
        return pipeline.map(stages.awaited, on=on(place, workers), name="same")
    return pipeline.then(stages.same, on=on(place, workers))


def passed(place: str, workers: int, make: Callable[..., Any], *arguments: Any) -> Pipeline[Any]:
    """What a generator function makes, passed on by a stage: both are in that place."""
    return through(made(place, make, *arguments), place, workers)


def failing_source(fail: Fail, place: str) -> Pipeline[Any]:
    """The source 'failing', and a stage behind it."""
    make = stages.failing_source_async if place == "tasks" else stages.failing_source
    return Pipeline(source(make, fail, AT), on=on(place), name="failing").then(stages.same, on=on(beside(place)))


def failing_stage(fail: Fail, place: str) -> Pipeline[Any]:
    """The stage 'failing' between two others."""
    if place == "tasks":
        failing = counted(place).map(partial(stages.failing_item, fail, AT), on=on(place, 2), name="failing")
    else:
        failing = counted(place).then(stage(stages.failing_stage, fail, AT), on=on(place), name="failing")
    return failing.then(stages.same, on=on(beside(place)))


def failing_sink(fail: Fail, place: str) -> Runnable[Any]:
    """The sink 'failing', behind a source."""
    if place == "tasks":
        return counted(place).each(partial(stages.failing_item, fail, AT), on=on(place, 2), name="failing")
    return counted(place).into(sink(stages.failing_sink, fail, AT), on=on(place), name="failing")


def stuck(function: Callable[..., Any], gate: Gate, place: str) -> Pipeline[Any]:
    """A stage that comes to the gate and goes no further."""
    if place == "tasks":
        return counted(place, 3).map(partial(function, gate), on=on(place))
    return counted(place, 3).then(stage(function, gate), on=on(place))
