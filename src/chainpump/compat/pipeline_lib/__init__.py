"""What pipeline_lib 0.5 has, with its rules, on chainpump: see docs/from_pipeline_lib.md.

>>> from collections.abc import Iterable
>>> def numbers(limit: int) -> Iterable[int]:
...     yield from range(limit)
>>> def show(items: Iterable[int]) -> None:
...     print(sum(items))
>>> execute([PipelineTask(numbers, {"limit": 4}), PipelineTask(show)])
6

* `execution`: `execute`, and which strategy runs tasks where
* `mp_execution`: `execute` in processes
* `pipeline_task`: a task, and the errors of a run
* `seq_execution`: `execute` in the calling thread
* `task_functions`: the functions of tasks as a source, stages and a sink
* `termination`: SIGTERM and Ctrl-C end the workers first
* `tr_execution`: `execute` in threads
* `type_checking`: the checks of tasks before they run
"""

from .execution import PARALLELISM_STRATEGIES, ParallelismStrategy, execute
from .pipeline_task import InactivityError, PipelineTask, TaskError
from .type_checking import PipelineTypeError, type_check_tasks

__all__ = [
    "PARALLELISM_STRATEGIES",
    "InactivityError",
    "ParallelismStrategy",
    "PipelineTask",
    "PipelineTypeError",
    "TaskError",
    "execute",
    "type_check_tasks",
]
