"""Tasks in threads, without a check of their types: `execute` does the same."""

from __future__ import annotations

from collections.abc import Sequence

from .execution import execute
from .pipeline_task import PipelineTask

__all__ = ["execute_tr"]


def execute_tr(tasks: Sequence[PipelineTask], inactivity_timeout: float | None = None) -> None:
    """`execute` in threads; see there."""
    execute(tasks, "thread", type_check_pipeline=False, inactivity_timeout=inactivity_timeout)
