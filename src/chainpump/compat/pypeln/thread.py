"""Stages on threads, with the interface of `pypeln.thread`."""

from __future__ import annotations

from ...executors.threads import Threads
from .calls import StageStatus, WorkerInfo
from .iteration import Stage
from .namespaces import Namespace
from .operators import Operators
from .queues import ThreadQueue as IterableQueue
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
    "to_iterable",
]

_OPERATORS = Operators(Kind("thread", Threads))

concat = _OPERATORS.concat
each = _OPERATORS.each
filter = _OPERATORS.filter  # noqa: A001  # the name in pypeln, as `map`
flat_map = _OPERATORS.flat_map
from_iterable = _OPERATORS.from_iterable
map = _OPERATORS.map  # noqa: A001
ordered = _OPERATORS.ordered
run = _OPERATORS.run
to_iterable = _OPERATORS.to_iterable
