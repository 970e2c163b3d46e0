"""The functions of tasks as the source, a stage or the sink of a pipeline.

Tasks are checked by their own rules, or not at all. So a pipeline sees functions of any items, which call those of the
tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...pickling.items import ItemFault, Large, Pickling
from ...plan.bound import Sink, Source, Stage
from .pipeline_task import Constants, Generator, PipelineTask

__all__ = ["only_of", "sink_of", "source_of", "stage_of"]


def source_of(task: PipelineTask, limit: int | None) -> Source[Any]:
    """The first task. limit: the most bytes of an item."""
    return Source(_made, (task.generator, task.constants_dict, limit), wraps=task.generator)


def stage_of(task: PipelineTask, limit: int | None) -> Stage[Any, Any]:
    """A task between two others. limit: the most bytes of an item that it makes."""
    return Stage(_processed, (task.generator, task.constants_dict, limit), wraps=task.generator)


def sink_of(task: PipelineTask) -> Sink[Any, None]:
    """The last task. What it returns is ignored."""
    return Sink(_consumed, (task.generator, task.constants_dict), wraps=task.generator)


def only_of(task: PipelineTask) -> Sink[Any, None]:
    """The only task, which takes no items."""
    return Sink(_run_alone, (task.generator, task.constants_dict), wraps=task.generator)


def _made(generator: Generator, constants: Constants, limit: int | None) -> Iterable[Any]:
    return _limited(generator(**constants), limit)


def _processed(items: Iterator[Any], generator: Generator, constants: Constants, limit: int | None) -> Iterable[Any]:
    return _limited(generator(items, **constants), limit)


def _consumed(items: Iterator[Any], generator: Generator, constants: Constants) -> None:
    generator(items, **constants)


def _run_alone(_: Iterator[Any], generator: Generator, constants: Constants) -> None:
    generator(**constants)


def _limited(items: Iterable[Any], limit: int | None) -> Iterable[Any]:
    return items if limit is None else _checked(items, limit)


def _checked(items: Iterable[Any], limit: int) -> Iterator[Any]:
    pickling = Pickling()
    for item in items:
        size = _size(item, pickling)
        if size > limit:
            raise ValueError(
                f"an item has {size} bytes as a pickle, and max_message_size of its task is {limit}.\n"
                "  Raise max_message_size, or leave it out: it makes nothing faster."
            )
        yield item


def _size(item: Any, pickling: Pickling) -> int:
    """How many bytes an item has in a channel."""
    try:
        data = pickling.snapshot(item)
    except ItemFault:
        # The channel refuses the item, and names its place.
        return 0
    return data.size if isinstance(data, Large) else len(data)
