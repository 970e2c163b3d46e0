"""Stages on asyncio tasks, with the interface of `pypeln.task`: functions may be async or plain."""

from __future__ import annotations

from ...executors.tasks import Tasks
from . import loops as utils
from .async_iteration import AsyncStage as Stage
from .async_operators import AsyncOperators
from .async_queue import AsyncQueue as IterableQueue
from .calls import StageStatus, WorkerInfo
from .loops import run_coroutine_in_loop, run_function_in_loop
from .namespaces import AsyncNamespace as Namespace
from .stages import Kind

__all__ = [
    "IterableQueue",
    "Namespace",
    "Stage",
    "StageStatus",
    "WorkerInfo",
    "concat",
    "each",
    "filter",
    "flat_map",
    "from_iterable",
    "map",
    "ordered",
    "run",
    "run_coroutine_in_loop",
    "run_function_in_loop",
    "to_async_iterable",
    "to_iterable",
    "utils",
]

_OPERATORS = AsyncOperators(Kind("task", Tasks, stops_calls=True))

concat = _OPERATORS.concat
each = _OPERATORS.each
filter = _OPERATORS.filter  # noqa: A001  # the name in pypeln, as `map`
flat_map = _OPERATORS.flat_map
from_iterable = _OPERATORS.from_iterable
map = _OPERATORS.map  # noqa: A001
ordered = _OPERATORS.ordered
run = _OPERATORS.run
to_async_iterable = _OPERATORS.to_async_iterable
to_iterable = _OPERATORS.to_iterable
