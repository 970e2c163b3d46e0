"""Stages on processes, with the interface of `pypeln.process`."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, cast

from ...executors.processes import Processes
from .calls import StageStatus, WorkerInfo
from .iteration import Stage
from .namespaces import SharedNamespace as Namespace
from .operators import Operators
from .process_queue import ProcessQueue as IterableQueue
from .stages import Kind

if TYPE_CHECKING:
    from ...plan.placement import StartMethod

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
    "to_iterable",
]


def _processes(workers: int) -> Processes:
    """Processes with the start method of `multiprocessing`, which the program may choose."""
    chosen = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    return Processes(workers, start_method=cast("StartMethod", chosen))


_OPERATORS = Operators(Kind("process", _processes, stops_calls=True, own_process=True))

concat = _OPERATORS.concat
each = _OPERATORS.each
filter = _OPERATORS.filter  # noqa: A001  # the name in pypeln, as `map`
flat_map = _OPERATORS.flat_map
from_iterable = _OPERATORS.from_iterable
map = _OPERATORS.map  # noqa: A001
ordered = _OPERATORS.ordered
run = _OPERATORS.run
to_iterable = _OPERATORS.to_iterable
