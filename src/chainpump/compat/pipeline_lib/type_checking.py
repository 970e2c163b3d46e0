"""The checks of tasks before they run: element types, constants, and numbers of workers."""

from __future__ import annotations

import collections.abc
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from ...hints.objects import underlying
from .pipeline_task import PipelineTask

if TYPE_CHECKING:
    from inspect import Parameter

__all__ = ["MAX_NUM_WORKERS", "PipelineTypeError", "check_options", "type_check_tasks"]

MAX_NUM_WORKERS = 128
# The type of the items of a task that takes or makes none.
NONE = None


class PipelineTypeError(RuntimeError):
    """Tasks do not fit together, or a task cannot run with its constants or options."""


def type_check_tasks(tasks: Sequence[PipelineTask]) -> None:
    """Check that each task has the constants it needs, and takes the items that the task before it makes.

    >>> type_check_tasks([PipelineTask(len), PipelineTask(print)])
    Traceback (most recent call last):
        ...
    chainpump.compat.pipeline_lib.type_checking.PipelineTypeError: In task len, parameter 'obj' must have an annotation.

    Raises PipelineTypeError.
    """
    signatures = [_Signature(task, is_first=number == 0) for number, task in enumerate(tasks)]
    for before, after in pairwise(signatures):
        if before.makes is NONE:
            _refuse(before.task, "None is returned; only the final task may do that, others return an Iterable")
        if before.makes != after.takes:
            received = f"received input {before.makes} from task {before.task.name}"
            _refuse(after.task, f"expected input {after.takes}, {received}")
    if signatures and signatures[-1].makes is not NONE:
        _refuse(tasks[-1], f"the final task must return None, and returns an Iterable of {signatures[-1].makes}")


def check_options(tasks: Sequence[PipelineTask]) -> None:
    """Check the numbers of workers and of packets in flight. Raises PipelineTypeError."""
    for task in tasks:
        if task.num_workers < 1:
            _refuse(task, f"num_workers must be at least 1 but is {task.num_workers}")
        if task.num_workers > MAX_NUM_WORKERS:
            _refuse(task, f"num_workers must be at most {MAX_NUM_WORKERS} but is {task.num_workers}")
        if task.packets_in_flight < task.num_workers:
            _refuse(
                task,
                f"packets_in_flight must be at least num_workers, which is {task.num_workers}, "
                f"but is {task.packets_in_flight}: each worker holds a packet",
            )
        if task.max_message_size is None and task.shared_buffer:
            _refuse(task, "shared_buffer=True needs a max_message_size")


class _Signature:
    """What a task takes and makes. Raises PipelineTypeError if that is not declared, or if constants do not fit.

    takes, makes: the types of the items; NONE if there are none.
    """

    def __init__(self, task: PipelineTask, *, is_first: bool) -> None:
        # Workers import this module with the program, and check nothing.
        from inspect import signature

        self.task = task
        parameters = list(signature(task.generator).parameters.values())
        for parameter in parameters:
            self._check_parameter(parameter)
        hints = _hints_of(task)
        items, constants = ([], parameters) if is_first else (parameters[:1], parameters[1:])
        expected = [parameter.name for parameter in constants]
        if set(expected) != set(task.constants_dict):
            _refuse(task, f"expected constants {expected}, received constants {list(task.constants_dict)}")
        self.takes = self._items(hints.get(items[0].name), f"parameter {items[0].name!r}") if items else NONE
        if "return" not in hints:
            _refuse(task, "the return type must have an annotation; if it returns nothing, write -> None")
        self.makes = NONE if hints["return"] in (None, type(None)) else self._items(hints["return"], "the return type")

    def _check_parameter(self, parameter: Parameter) -> None:
        what = f"parameter {parameter.name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            _refuse(self.task, f"{what} takes any number of arguments; name each of them")
        if parameter.default is not parameter.empty:
            _refuse(self.task, f"{what} has a default, which is not supported; give the value in constants=")
        if parameter.annotation is parameter.empty:
            _refuse(self.task, f"{what} must have an annotation")

    def _items(self, hint: Any, what: str) -> Any:
        if get_origin(hint) is not collections.abc.Iterable or not get_args(hint):
            _refuse(self.task, f"{what} must be annotated as Iterable[...] with the type of the items, but is {hint}")
        return get_args(hint)[0]


def _hints_of(task: PipelineTask) -> dict[str, Any]:
    """The type hints of a function, a method, or a callable object."""
    function = underlying(task.generator)
    try:
        return get_type_hints(function if hasattr(function, "__annotations__") else type(function).__call__)
    except Exception as error:
        # The text of a hint may be any expression.
        raise PipelineTypeError(f"In task {task.name}, a type hint cannot be read: {error}") from error


def _refuse(task: PipelineTask, what: str) -> None:
    raise PipelineTypeError(f"In task {task.name}, {what}.")
