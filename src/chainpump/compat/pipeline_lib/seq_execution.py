"""Tasks in the calling thread, without a check of their types: `execute` does the same."""

from __future__ import annotations

from collections.abc import Sequence

from .execution import execute
from .pipeline_task import PipelineTask

__all__ = ["execute_seq"]


def execute_seq(tasks: Sequence[PipelineTask]) -> None:
    """`execute` in the calling thread; see there."""
    execute(tasks, "coroutine", type_check_pipeline=False)
