"""The checks of tasks before they run: element types, constants, and numbers of workers.

The messages begin as those of pipeline_lib do, because programs may look for these words.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from ...hints.objects import attribute, underlying
from .pipeline_task import PipelineTask

if TYPE_CHECKING:
    from inspect import Parameter, Signature

__all__ = ["MAX_NUM_WORKERS", "PipelineTypeError", "sanity_check_mp_params", "type_check_tasks"]

MAX_NUM_WORKERS = 128
# The type of the items of a task that takes or makes none. The hint `Iterable[None]` has another one, NoneType.
NOTHING = None


class PipelineTypeError(RuntimeError):
    """Tasks do not fit together, or a task cannot run with its constants or options."""


def type_check_tasks(tasks: Sequence[PipelineTask]) -> None:
    """Check that each task has the constants it needs, and takes the items that the task before it makes.

    >>> type_check_tasks([PipelineTask(len), PipelineTask(print)])
    Traceback (most recent call last):
        ...
    chainpump.compat.pipeline_lib.type_checking.PipelineTypeError: all arguments must have annotations: task len, 'obj'.

    Raises PipelineTypeError.
    """
    made = NOTHING
    for number, task in enumerate(tasks):
        hints = _TaskHints(task, is_source=number == 0)
        if hints.takes != made:
            raise PipelineTypeError(f"In task {task.name}, expected input {hints.takes}, received input {made}.")
        if hints.makes is NOTHING and number < len(tasks) - 1:
            raise PipelineTypeError(f"None return type not allowed in any task except the final one: task {task.name}.")
        if set(hints.constants) != set(task.constants_dict):
            received = list(task.constants_dict)
            raise PipelineTypeError(
                f"In task {task.name}, expected constants {hints.constants}, received constants {received}."
            )
        made = hints.makes
    if made is not NOTHING:
        raise PipelineTypeError(f"In final task {tasks[-1].name}, expected output type None, actual type {made}.")


def sanity_check_mp_params(tasks: Sequence[PipelineTask]) -> None:
    """Check the numbers of workers and of packets in flight. Raises PipelineTypeError."""
    for task in tasks:
        workers, packets = f"num_workers value {task.num_workers}", f"packets_in_flight {task.packets_in_flight}"
        if task.num_workers <= 0:
            _refuse_option(task, f"{workers} needs to be positive")
        if task.num_workers > MAX_NUM_WORKERS:
            _refuse_option(task, f"{workers} was greater than hard limit {MAX_NUM_WORKERS}")
        if task.num_workers > task.packets_in_flight:
            _refuse_option(
                task, f"{packets} is less than num_workers {task.num_workers}, and each worker holds a packet"
            )
        if task.shared_buffer and task.max_message_size is None:
            _refuse_option(task, "shared_buffer=True, but max_message_size is None: give a size")


class _TaskHints:
    """The type hints of a task. Raises PipelineTypeError if they are missing or of another form than its place needs.

    takes, makes: the types of its items, or NOTHING. constants: the names of the other parameters.
    """

    def __init__(self, task: PipelineTask, *, is_source: bool) -> None:
        self._task = task
        signature = self._signature()
        parameters = list(signature.parameters.values())
        for parameter in parameters:
            self._check(parameter)
        if signature.return_annotation is signature.empty:
            raise PipelineTypeError(
                f"function return type must have type annotation: task {task.name}; "
                "if it returns nothing, write -> None."
            )
        items, constants = ([], parameters) if is_source else (parameters[:1], parameters[1:])
        self.constants = [parameter.name for parameter in constants]
        self.takes = self._type_of_items("First argument", items[0].annotation) if items else NOTHING
        self.makes = NOTHING
        if signature.return_annotation not in (None, "None", type(None)):
            self.makes = self._type_of_items("Return type annotation", signature.return_annotation)

    def _signature(self) -> Signature:
        # Workers import this module with the program, and check nothing.
        from inspect import signature

        try:
            return signature(self._task.generator)
        except (TypeError, ValueError) as error:
            raise PipelineTypeError(f"In task {self._task.name}, the signature cannot be read: {error}.") from error

    def _check(self, parameter: Parameter) -> None:
        where = f"task {self._task.name}, {parameter.name!r}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise PipelineTypeError(f"varargs not supported: {where}; name each argument.")
        if parameter.kind is parameter.VAR_KEYWORD:
            raise PipelineTypeError(f"varkw not supported: {where}; name each argument.")
        if parameter.default is not parameter.empty:
            raise PipelineTypeError(f"default arguments not supported: {where}; give the value in constants=.")
        if parameter.annotation is parameter.empty:
            raise PipelineTypeError(f"all arguments must have annotations: {where}.")

    # Any: a type of items may be any object.
    def _type_of_items(self, what: str, annotation: Any) -> Any:
        hint = self._resolved(annotation)
        if get_origin(hint) is not collections.abc.Iterable or len(get_args(hint)) != 1:
            raise PipelineTypeError(
                f"{what} must be an Iterable[...] of the type of the items, was {hint}: task {self._task.name}."
            )
        return get_args(hint)[0]

    def _resolved(self, annotation: Any) -> Any:
        """The hint that an annotation means. If it holds a name that cannot be found, it is compared as it is."""
        names = attribute(underlying(self._task.generator), "__globals__")
        holder = SimpleNamespace(__annotations__={"it": annotation})
        try:
            return get_type_hints(holder, names, include_extras=True)["it"]
        except Exception as error:
            # The text of a hint may be any expression.
            if isinstance(annotation, str):
                raise PipelineTypeError(f"In task {self._task.name}, a type hint cannot be read: {error}") from error
            return annotation


def _refuse_option(task: PipelineTask, what: str) -> None:
    raise PipelineTypeError(f"In task {task.name}, {what}.")
