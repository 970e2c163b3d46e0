"""`execute`: tasks as a run of a pipeline, and the errors of the run as those of tasks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ...errors import RunError, StallError
from ...executors.inline import Inline
from ...executors.processes import Processes
from ...executors.threads import Threads
from ...lazy_dataclass import dataclass
from .pipeline_task import InactivityError, PipelineTask, TaskError
from .task_functions import only_of, sink_of, source_of, stage_of
from .termination import ended_by_sigterm
from .type_checking import check_options, type_check_tasks

if TYPE_CHECKING:
    from ...executors.base import Executor
    from ...pipeline import Runnable

__all__ = ["PARALLELISM_STRATEGIES", "ParallelismStrategy", "execute"]

ParallelismStrategy: TypeAlias = Literal["thread", "process-fork", "process-spawn", "coroutine"]
PARALLELISM_STRATEGIES: tuple[ParallelismStrategy, ...] = get_args(ParallelismStrategy)


@dataclass(frozen=True, slots=True)
class _Strategy:
    """Where tasks run.

    executor: makes the executor of a task, from its number of workers. ignores: the options without an effect there.
    in_processes: each task has processes of its own. takes_turns: all tasks are in the caller's thread, and each of
    them takes its next item when the task behind it asks for one. So it may stop, and nobody waits for it.
    """

    executor: Callable[[int], Executor]
    ignores: Sequence[str] = ()
    in_processes: bool = False
    takes_turns: bool = False


STRATEGIES: Mapping[ParallelismStrategy, _Strategy] = {
    "thread": _Strategy(Threads, ("max_message_size",)),
    "process-fork": _Strategy(partial(Processes, start_method="fork"), in_processes=True),
    "process-spawn": _Strategy(partial(Processes, start_method="spawn"), in_processes=True),
    "coroutine": _Strategy(
        lambda _: Inline(), ("num_workers", "packets_in_flight", "max_message_size"), takes_turns=True
    ),
}


def execute(
    tasks: Sequence[PipelineTask],
    parallelism: ParallelismStrategy = "thread",
    type_check_pipeline: bool = True,
    inactivity_timeout: float | None = None,
) -> None:
    """Run tasks until the last one has returned.

    >>> execute([PipelineTask(lambda: "ab"), PipelineTask(lambda items: print(*items))], type_check_pipeline=False)
    a b

    parallelism: where they run: in threads, in processes that are forked or spawned, or, with "coroutine", all in the
    calling thread, an item at a time.
    type_check_pipeline: whether to check the types of items and the constants first; see `type_check_tasks`.
    inactivity_timeout: seconds without any progress after which the run ends. Not with "coroutine".
    Raises the first exception of a task; from a process, its cause is a TaskError with the traceback of the process.
    Raises TaskError if a process has died, or if a task has returned before the end of its input; InactivityError;
    PipelineTypeError if tasks do not fit, and ValueError for another argument, before anything starts.
    """
    if parallelism not in STRATEGIES:
        raise ValueError(f"parallelism must be one of {', '.join(STRATEGIES)} but got: {parallelism!r}.")
    strategy = STRATEGIES[parallelism]
    if strategy.takes_turns and inactivity_timeout is not None:
        raise ValueError(
            f"inactivity_timeout cannot work with {parallelism!r}, which runs all tasks in the calling thread.\n"
            "  Use another parallelism."
        )
    if type_check_pipeline:
        type_check_tasks(tasks)
    check_options(tasks)
    for task in tasks:
        ignored = [name for name in strategy.ignores if getattr(task, name) != getattr(PipelineTask(len), name)]
        if ignored:
            warnings.warn(f"task {task.name!r}: {parallelism!r} ignores {', '.join(ignored)}.", stacklevel=2)
    error = _error_of(_runnable(tasks, strategy), inactivity_timeout, strategy) if tasks else None
    if error is not None:
        raise error


def _runnable(tasks: Sequence[PipelineTask], strategy: _Strategy) -> Runnable[None]:
    # Workers import this module with the program, and run no pipeline.
    from ...pipeline import Pipeline

    executors = [strategy.executor(task.num_workers) for task in tasks]
    first, last = tasks[0], tasks[-1]
    if len(tasks) == 1:
        return Pipeline(()).into(only_of(first), on=executors[0], name=first.name)
    limits = [task.max_message_size if strategy.in_processes else None for task in tasks]
    # A task bounds the items that it makes, and a stage those that it takes.
    bounds = [None, *(None if strategy.takes_turns else task.packets_in_flight for task in tasks)]
    may_stop = strategy.takes_turns
    pipeline = Pipeline(source_of(first, limits[0]), on=executors[0], name=first.name, each_worker=True)
    for task, on, in_flight, limit in list(zip(tasks, executors, bounds, limits, strict=False))[1:-1]:
        stage = stage_of(task, limit)
        pipeline = pipeline.then(stage, on=on, in_flight=in_flight, may_stop=may_stop, name=task.name)
    return pipeline.into(sink_of(last), on=executors[-1], in_flight=bounds[-2], may_stop=may_stop, name=last.name)


def _error_of(runnable: Runnable[None], inactivity_timeout: float | None, strategy: _Strategy) -> BaseException | None:
    """Run it; returns its error as that of a task. Ctrl-C passes."""
    try:
        with ended_by_sigterm():
            runnable.run(stall_timeout=inactivity_timeout)
    except StallError as error:
        return InactivityError(str(error))
    except RunError as error:
        cause = error.__cause__
        # An exit of another process must not end this program.
        if cause is None or (strategy.in_processes and not isinstance(cause, Exception)):
            return TaskError(str(error))
        return _with_traceback(cause, strategy, str(error))
    except Exception as error:
        return _with_traceback(error, strategy)
    return None


def _with_traceback(error: BaseException, strategy: _Strategy, *texts: str) -> BaseException:
    """The exception of a task. If a process has raised it, its cause is a TaskError that says where, and the traceback.

    texts: what says where, unless a note of the exception does.
    """
    found = (*texts, *getattr(error, "__notes__", ()))
    if strategy.in_processes and error.__cause__ is None and found:
        error.__cause__ = TaskError("\n".join(found))
    return error
