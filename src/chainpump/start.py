"""The options of a run, the checks before anything starts, and the start itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from .building import checks
from .building.main_guard import check_main_file
from .building.patched_programs import check_unpatched
from .building.problems import is_collecting
from .building.stage_builder import MIN_WAIT, check_executor, checked, placements
from .errors import RunError, StageOptionError
from .executors.base import Executor
from .executors.fork_hazards import fork_hazard
from .lazy_dataclass import dataclass
from .messages.failure_texts import no_run
from .pickling.loading import check_not_loading
from .plan.item_checks import check_available
from .plan.placement import Placement, check_seconds, check_whole
from .plan.plan import Plan
from .plan.planned_stage import PlannedStage

if TYPE_CHECKING:
    from .durable.journal import Journal
    from .engine.no_recorder import NoRecorder
    from .engine.run import Run, SinkRun
    from .engine.warm_pool import WarmPool
    from .progress.observer_thread import Observer

__all__ = ["EVERY", "GRACE", "RunOptions", "check_place", "start", "warm"]

# Seconds. This is enough to close files and connections, and short enough not to look like a hang.
GRACE = 0.5
# Seconds. The time between two epochs, or two cells of a notebook.
IDLE = 60.0
# Seconds. What a crash can repeat is bounded by that, and one write to the disk in that time costs nothing.
EVERY = 1.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `Runnable.run`, which documents them. Raises StageOptionError or StageTypeError."""

    grace: float = GRACE
    on: Executor | None = None
    stall_timeout: float | None = None
    check_items: bool = False
    progress: bool = False
    observe: Observer | None = None
    seed: int | None = None
    journal: str | os.PathLike[str] | Journal | None = None
    journal_every: float = EVERY
    start: str | None = None

    def __post_init__(self) -> None:
        check_seconds(self.journal_every, "journal_every", least=MIN_WAIT)
        check_seconds(self.grace, "grace")
        if self.stall_timeout is not None:
            check_seconds(self.stall_timeout, "stall_timeout", least=MIN_WAIT)
        if self.start is not None and self.journal is not None:
            raise StageOptionError(
                "start= and journal= exclude each other: a journal knows itself where to go on.\n"
                "  Give start= where the program stores run.position with its results."
            )
        checks.check_flag(self.check_items, "check_items")
        checks.check_flag(self.progress, "progress")
        if self.observe is not None and not callable(self.observe):
            raise StageOptionError(
                f"observe must be a function of a Progress but got: {self.observe!r}.\n  For example observe=print."
            )
        if self.seed is not None:
            check_whole(self.seed, "seed", least=0)
        if self.on is not None:
            check_executor(self.on, "every stage")

    def observers(self) -> list[Observer]:
        """Return the observers that get the progress of the run."""
        observers = [self.observe] if self.observe is not None else []
        if self.progress:
            # Workers import this module, and they show no progress.
            from .progress.display import shown

            observers.append(shown())
        return observers


def check_place(stages: Sequence[PlannedStage]) -> None:
    """Raise StageOptionError if the workers of a run that starts here would start it again, or cannot work."""
    executors = _executors(stages)
    check_unpatched(executors)
    if any(each.capabilities.pickles_functions for each in executors):
        check_not_loading()
        check_main_file()


def _executors(stages: Sequence[PlannedStage]) -> list[Placement]:
    return [each for stage in stages for each in placements(stage)]


@overload
def start(
    plan: Plan, options: RunOptions, *, iterated: Literal[True], apart: bool = ..., in_flight: int | None = ...
) -> Run[Any]: ...
@overload
def start(plan: Plan, options: RunOptions, *, iterated: Literal[False], apart: bool) -> SinkRun[Any]: ...
def start(
    plan: Plan, options: RunOptions, *, iterated: bool, apart: bool = False, in_flight: int | None = None
) -> Run[Any] | SinkRun[Any]:
    """Start a run of this plan. iterated, apart, in_flight: see `RunSettings`.

    Raises an error if the plan is wrong, or if a run must not start here.
    """
    # Only a program that runs a pipeline needs the engine. A worker that imports the program only builds the pipeline.
    try:
        from .engine.nested import with_inner_runs
        from .engine.run import Run, SinkRun
        from .engine.run_settings import RunSettings
        from .engine.warm_pool import current_pool
        from .logs.records import warn
        from .worker.seeds import Seed
    except OSError as error:
        # A process without a free descriptor cannot read a module.
        raise RunError(no_run(error)) from error

    observers = options.observers()
    stages = plan.stages
    if is_collecting():
        raise StageOptionError(
            "this pipeline is only being checked, and was about to be run.\n"
            '  Put what runs it under `if __name__ == "__main__":`.'
        )
    check_place(stages)
    if options.check_items:
        check_available()
    for stage in stages:
        if stage.before_run is not None:
            stage.before_run()
    hazard = fork_hazard(_executors(stages))
    if hazard:
        warn(hazard)
    recorder, stages = _recorded(options, stages)
    apart = apart or options.start is not None or (iterated and options.journal is not None)
    # A journal knows the functions as the user has written them.
    if options.check_items:
        stages = tuple(map(checked, stages))
    settings = RunSettings(
        iterated,
        float(options.grace),
        options.stall_timeout,
        observers,
        seed=Seed.of_run(options.seed),
        apart=apart,
        in_flight=in_flight,
        pool=current_pool(),
        recorder=recorder,
        print_above=_print_above(observers),
    )
    try:
        return (Run if iterated else SinkRun)(with_inner_runs(stages, settings), settings)
    except BaseException:
        recorder.end(lambda: "failed")
        raise


def _recorded(options: RunOptions, stages: tuple[PlannedStage, ...]) -> tuple[NoRecorder, tuple[PlannedStage, ...]]:
    """What records the run, and the stages of such a run."""
    from .engine.no_recorder import NoRecorder

    if options.journal is not None:
        from .engine.durable_start import recorder_of

        return recorder_of(options.journal, options.journal_every, stages)
    if options.start is not None:
        from .engine.durable_start import keeper_of

        return keeper_of(options.start, stages)
    return NoRecorder(), stages


def _print_above(observers: Sequence[Observer]) -> Callable[[str], object] | None:
    """What prints above the live table, if one of the observers draws one."""
    from .progress.observer_thread import TerminalDisplay

    return next((each.print_above for each in observers if isinstance(each, TerminalDisplay)), None)


def warm(*, idle: float = IDLE, grace: float = GRACE) -> WarmPool:
    """Keep worker processes after a run, for later runs of the same stages.

    >>> from chainpump import Pipeline, Processes, warm
    >>> squares = Pipeline(range(4)).map(lambda number: number * number, on=Processes(2))
    >>> with warm():
    ...     epochs = [list(squares) for _ in range(3)]
    >>> epochs
    [[0, 1, 4, 9], [0, 1, 4, 9], [0, 1, 4, 9]]

    All runs of this process use the pool that was opened last, in any thread, until it is closed. A stage on
    `Processes` with the start method "forkserver" or "spawn" gets kept processes if its function, their arguments and
    the surroundings of the program are the same as before: see docs/warm.md. Without a `with` block call `close()`.
    idle: seconds after which a process that waits for a run ends.
    grace: seconds that such a process has for its clean-up before it is killed, if an exception leaves the block or the
    program ends. At the normal end of the block its clean-up may take any time.
    Raises StageOptionError if idle or grace is no number of seconds.
    """
    # A program that only builds pipelines does not need the engine.
    from .engine.warm_pool import WarmPool

    check_seconds(idle, "warm: idle")
    check_seconds(grace, "warm: grace")
    return WarmPool(float(idle), float(grace))
