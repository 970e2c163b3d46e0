"""The functions of tasks as the source, a stage or the sink of a pipeline.

Tasks are checked by their own rules, or not at all. So a pipeline sees functions of any items, which call those of the
tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...plan.bound import Sink, Source, Stage
from .pipeline_task import Constants, Generator, PipelineTask

__all__ = ["sink_of", "source_of", "stage_of"]


def source_of(task: PipelineTask, most_bytes: int | None) -> Source[Any]:
    """The first task. most_bytes: of an item."""
    return Source(_made, (task.generator, task.constants_dict), wraps=task.generator, most_bytes=most_bytes)


def stage_of(task: PipelineTask, most_bytes: int | None) -> Stage[Any, Any]:
    """A task between two others. most_bytes: of an item that it makes."""
    return Stage(_processed, (task.generator, task.constants_dict), wraps=task.generator, most_bytes=most_bytes)


def sink_of(task: PipelineTask) -> Sink[Any, None]:
    """The last task. What it returns is ignored."""
    return Sink(_consumed, (task.generator, task.constants_dict), wraps=task.generator)


def _made(generator: Generator, constants: Constants) -> Iterable[Any]:
    made: Iterable[Any] = generator(**constants)
    return made


def _processed(items: Iterator[Any], generator: Generator, constants: Constants) -> Iterable[Any]:
    made: Iterable[Any] = generator(items, **constants)
    return made


def _consumed(items: Iterator[Any], generator: Generator, constants: Constants) -> None:
    generator(items, **constants)
