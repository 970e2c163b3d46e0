"""Tasks in processes, without a check of their types: `execute` does the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .execution import ParallelismStrategy, execute
from .pipeline_task import PipelineTask

__all__ = ["execute_mp"]


def execute_mp(
    tasks: Sequence[PipelineTask], spawn_method: Literal["spawn", "fork"], inactivity_timeout: float | None = None
) -> None:
    """`execute` in processes that are started by this method; see there."""
    strategies: dict[str, ParallelismStrategy] = {"spawn": "process-spawn", "fork": "process-fork"}
    execute(tasks, strategies[spawn_method], type_check_pipeline=False, inactivity_timeout=inactivity_timeout)
