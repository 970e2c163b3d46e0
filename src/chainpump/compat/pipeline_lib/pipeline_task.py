"""A task of a pipeline, and the errors of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ...hints.objects import name_of
from ...lazy_dataclass import dataclass

__all__ = [
    "DEFAULT_NUM_WORKERS",
    "DEFAULT_PACKETS_IN_FLIGHT",
    "Constants",
    "Generator",
    "InactivityError",
    "PipelineTask",
    "TaskError",
]

DEFAULT_NUM_WORKERS = 1
DEFAULT_PACKETS_IN_FLIGHT = 1

# Any: tasks are functions with any arguments.
Generator: TypeAlias = Callable[..., Any]
Constants: TypeAlias = dict[str, Any]


class TaskError(RuntimeError):
    """A task has failed without an exception of its own: its process died, or it returned before its input ended.

    As the cause of another exception, it has the traceback of the process that raised it.
    """


class InactivityError(RuntimeError):
    """No task has sent or received an item for `inactivity_timeout` seconds."""


@dataclass
class PipelineTask:
    """A function of a pipeline, and how it runs.

    >>> PipelineTask(print, {"sep": ","}).name
    'print'

    generator: the first task makes items, each other task takes an iterable of the items of the task before it.
    constants: its other arguments, by name. They may hold `Value`, `Event` and other objects of `multiprocessing`.
    num_workers: on how many processes or threads it runs.
    packets_in_flight: how many of its items may exist at once: being made, waiting, and in the next task. The function
    gets control for its next item only if there is room for it. With 1, both tasks take turns.
    max_message_size: the most bytes of one item, pickled, if tasks are processes. It changes no speed here.
    shared_buffer: accepted, and has no effect: large buffers are always shared.
    """

    generator: Generator
    constants: Constants | None = None
    num_workers: int = DEFAULT_NUM_WORKERS
    packets_in_flight: int = DEFAULT_PACKETS_IN_FLIGHT
    max_message_size: int | None = None
    shared_buffer: bool = False

    @property
    def name(self) -> str:
        """The name of its function."""
        return name_of(self.generator)

    @property
    def constants_dict(self) -> Constants:
        """Its constants; empty if there are none."""
        return self.constants or {}
