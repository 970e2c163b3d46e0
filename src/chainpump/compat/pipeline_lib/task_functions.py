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

__all__ = ["sink_of", "source_of", "stage_of"]

# Types whose pickles have a few bytes.
SMALL = frozenset((type(None), bool, float, complex))
# Bytes. The most that the pickle of a number, or of an array of numbers, has beside the number or the buffer.
MOST_HEAD = 1024


def source_of(task: PipelineTask, limit: int | None) -> Source[Any]:
    """The first task. limit: the most bytes of an item."""
    return Source(_made, (task.generator, task.constants_dict, limit), wraps=task.generator)


def stage_of(task: PipelineTask, limit: int | None) -> Stage[Any, Any]:
    """A task between two others. limit: the most bytes of an item that it makes."""
    return Stage(_processed, (task.generator, task.constants_dict, limit), wraps=task.generator)


def sink_of(task: PipelineTask) -> Sink[Any, None]:
    """The last task. What it returns is ignored."""
    return Sink(_consumed, (task.generator, task.constants_dict), wraps=task.generator)


def _made(generator: Generator, constants: Constants, limit: int | None) -> Iterable[Any]:
    return _limited(generator(**constants), limit)


def _processed(items: Iterator[Any], generator: Generator, constants: Constants, limit: int | None) -> Iterable[Any]:
    return _limited(generator(items, **constants), limit)


def _consumed(items: Iterator[Any], generator: Generator, constants: Constants) -> None:
    generator(items, **constants)


def _limited(items: Iterable[Any], limit: int | None) -> Iterable[Any]:
    return items if limit is None else _checked(items, limit)


def _checked(items: Iterable[Any], limit: int) -> Iterator[Any]:
    pickling = Pickling()
    for item in items:
        if _most(item) > limit and (size := _size(item, pickling)) > limit:
            raise ValueError(
                f"Tried to pass item of serialized size {size}, but max_message_size of its task is {limit}.\n"
                "  Raise max_message_size, or leave it out: it makes nothing faster."
            )
        yield item


def _most(item: Any) -> float:
    """The most bytes that an item can have as a pickle, if this is known without one: pickling twice costs time."""
    kind = type(item)
    if kind in SMALL:
        return MOST_HEAD
    if kind is int:
        return MOST_HEAD + int(item.bit_length())
    # Arrays of numbers. The description of another type, or with metadata, may be of any size.
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray" and (of := item.dtype).kind in "biufc":
        return MOST_HEAD + int(item.nbytes) if of.metadata is None else float("inf")
    return float("inf")


def _size(item: Any, pickling: Pickling) -> int:
    """How many bytes an item has in a channel."""
    try:
        data = pickling.snapshot(item)
    except ItemFault:
        # The channel refuses the item, and names its place.
        return 0
    return data.size if isinstance(data, Large) else len(data)
