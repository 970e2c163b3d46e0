"""Stages in the thread that iterates, with the interface of `pypeln.sync`. `workers` and `maxsize` have no effect."""

from __future__ import annotations

from ...executors.inline import Inline
from .calls import StageStatus, WorkerInfo
from .iteration import Stage
from .namespaces import Namespace
from .operators import Operators
from .stages import Kind

__all__ = [
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


def _inline(_: int) -> Inline:
    return Inline()


_OPERATORS = Operators(Kind("sync", _inline, is_sync=True))

concat = _OPERATORS.concat
each = _OPERATORS.each
filter = _OPERATORS.filter  # noqa: A001  # the name in pypeln, as `map`
flat_map = _OPERATORS.flat_map
from_iterable = _OPERATORS.from_iterable
map = _OPERATORS.map  # noqa: A001
ordered = _OPERATORS.ordered
run = _OPERATORS.run
to_iterable = _OPERATORS.to_iterable
