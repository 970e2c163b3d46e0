"""`execute`: tasks as a run of a pipeline, and the errors of the run as those of tasks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ...errors import RunError, StageStoppedError, StallError, WorkerLostError
from ...executors.inline import Inline
from ...executors.processes import Processes
from ...executors.threads import Threads
from ...lazy_dataclass import dataclass
from ...pickling.limited import TooManyBytesError
from ...progress.report import report_of
from .pipeline_task import InactivityError, PipelineTask, TaskError
from .task_functions import sink_of, source_of, stage_of
from .termination import EndingSignals
from .type_checking import sanity_check_mp_params, type_check_tasks

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
    if not tasks:
        return
    sanity_check_mp_params(tasks)
    if type_check_pipeline:
        type_check_tasks(tasks)
    if parallelism not in STRATEGIES:
        raise ValueError(
            f"`execute`'s parallelism argument must be one of {PARALLELISM_STRATEGIES} but got: {parallelism!r}."
        )
    strategy = STRATEGIES[parallelism]
    if strategy.takes_turns and inactivity_timeout is not None:
        raise ValueError(
            f"inactivity_timeout cannot work with {parallelism!r}, which runs all tasks in the calling thread.\n"
            "  Use another parallelism."
        )
    for task in tasks:
        ignored = [name for name in strategy.ignores if getattr(task, name) != getattr(PipelineTask(len), name)]
        if ignored:
            warnings.warn(f"Task {task.name!r}: {parallelism!r} ignores {', '.join(ignored)}.", stacklevel=2)
    if len(tasks) == 1:
        tasks[0].generator(**tasks[0].constants_dict)
        return
    error = _error_of(_runnable(tasks, strategy), inactivity_timeout, strategy, tasks[-1].name)
    if error is not None:
        raise error


def _runnable(tasks: Sequence[PipelineTask], strategy: _Strategy) -> Runnable[None]:
    # Workers import this module with the program, and run no pipeline.
    from ...pipeline import Pipeline

    executors = [strategy.executor(task.num_workers) for task in tasks]
    first, last = tasks[0], tasks[-1]
    limits = [task.max_message_size if strategy.in_processes else None for task in tasks]
    # A task bounds the items that it makes, and a stage those that it takes.
    bounds = [None, *(None if strategy.takes_turns else task.packets_in_flight for task in tasks)]
    may_stop = strategy.takes_turns
    pipeline = Pipeline(source_of(first, limits[0]), on=executors[0], name=first.name, each_worker=True)
    for task, on, in_flight, limit in list(zip(tasks, executors, bounds, limits, strict=False))[1:-1]:
        stage = stage_of(task, limit)
        pipeline = pipeline.then(stage, on=on, in_flight=in_flight, may_stop=may_stop, name=task.name)
    return pipeline.into(sink_of(last), on=executors[-1], in_flight=bounds[-2], may_stop=may_stop, name=last.name)


def _error_of(
    runnable: Runnable[None], inactivity_timeout: float | None, strategy: _Strategy, last: str
) -> BaseException | None:
    """Run it, whose last task has this name; returns its error as that of a task. Ctrl-C passes.

    The errors of tasks begin as those of pipeline_lib do, because programs may look for these words.
    """
    try:
        if strategy.in_processes:
            with EndingSignals() as signals, runnable.open(stall_timeout=inactivity_timeout) as run:
                signals.cancel(run)
                run.result()
        else:
            runnable.run(stall_timeout=inactivity_timeout)
    except StallError as error:
        ago = f"Last updated time was {inactivity_timeout}s ago"
        return InactivityError(f"{ago}, pipeline inactivity timeout is {inactivity_timeout}s.\n{error}")
    except WorkerLostError as error:
        return _exit_of(error.stage, error.exit_code, str(error))
    except StageStoppedError as error:
        first = str(error).partition("\n")[0]
        return TaskError(f"{first}\n  Let it take all its items, for example by `for _ in items: pass` at its end.")
    except RunError as error:
        cause, text = error.__cause__, str(error)
        return TaskError(text) if cause is None else _of_task(cause, strategy, error.stage, text)
    except BaseException as error:
        # The exception of the last task is raised as it is, with a note that names its process. Ctrl-C is none.
        report = report_of(error)
        if isinstance(error, Exception) or (report is not None and report.status == "failed"):
            return _of_task(error, strategy, last)
        raise
    return None


def _exit_of(task: str, code: int | None, where: str) -> TaskError:
    """The error of a task whose process has ended with an exit code."""
    return TaskError(f"Process: {task} exited with {'non-zero ' if code else ''}code {code}.\n{where}")


def _of_task(error: BaseException, strategy: _Strategy, task: str, *texts: str) -> BaseException:
    """The exception of a task. If a process has raised it, its cause is a TaskError that says where, and the traceback.

    texts: what says where, unless a note of the exception does.
    """
    where = "\n".join((*texts, *reversed(getattr(error, "__notes__", ()))))
    if not strategy.in_processes or not where:
        return error
    if isinstance(error, SystemExit):
        # As the interpreter has it: the status is 1 for a text.
        code = error.code or 0
        return _exit_of(task, code if isinstance(code, int) else 1, where)
    if not isinstance(error, Exception):
        # What ends another process must not end this program.
        return TaskError(where)
    if isinstance(error, TooManyBytesError):
        error = ValueError(
            f"Tried to pass item of serialized size {error.size}, but max_message_size of its task is {error.most}.\n"
            "  Raise max_message_size, or leave it out: it makes nothing faster."
        )
    cause = TaskError(where)
    cause.__cause__, error.__cause__ = error.__cause__, cause
    return error
