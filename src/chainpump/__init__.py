"""Linear streaming pipelines: one source, stages, one sink, each on workers of its own; no item is ever lost.

>>> from collections.abc import Iterable, Iterator
>>> from chainpump import Pipeline, Threads
>>> def squares(numbers: Iterable[int]) -> Iterator[int]:
...     for number in numbers:
...         yield number * number
>>> list(Pipeline(range(4)).then(squares, on=Threads(1)))
[0, 1, 4, 9]
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cluster.hosts import Hosts
    from .cluster.ray_executor import Ray
    from .durable.journal import Journal
    from .engine.run import Run, SinkRun
    from .engine.warm_pool import WarmPool
    from .errors import (
        Cancelled,
        DeadItem,
        Failure,
        ItemTimeoutError,
        ItemTypeError,
        JournalError,
        LedgerError,
        PipelineError,
        PlanError,
        RemoteError,
        RunCancelledError,
        RunError,
        StageError,
        StageOptionError,
        StageStoppedError,
        StageTypeError,
        StallError,
        TooManyFailuresError,
        UnpicklableItemError,
        WorkerLostError,
    )
    from .executors.base import Executor
    from .executors.inline import Inline
    from .executors.processes import Processes
    from .executors.tasks import Tasks
    from .executors.threads import Threads
    from .pickling.registry import register_codec
    from .pipeline import Pipeline, Runnable
    from .plan.bound import Sink, Source, Stage, sink, source, stage
    from .plan.per_worker import PerWorker, per_worker
    from .plan.plan import Plan
    from .plan.start_number import Start
    from .policies import DeadLetter, Raise, Retry, Skip
    from .progress.report import Report, report_of
    from .progress.run_record import StageReport
    from .progress.scaling_rule import Decision
    from .progress.snapshot import Progress, StageProgress
    from .start import warm
    from .worker.commits import commit
    from .worker.current_worker import CurrentWorker, current_worker

    __version__: str

__all__ = [
    "Cancelled",
    "CurrentWorker",
    "DeadItem",
    "DeadLetter",
    "Decision",
    "Executor",
    "Failure",
    "Hosts",
    "Inline",
    "ItemTimeoutError",
    "ItemTypeError",
    "Journal",
    "JournalError",
    "LedgerError",
    "PerWorker",
    "Pipeline",
    "PipelineError",
    "Plan",
    "PlanError",
    "Processes",
    "Progress",
    "Raise",
    "Ray",
    "RemoteError",
    "Report",
    "Retry",
    "Run",
    "RunCancelledError",
    "RunError",
    "Runnable",
    "Sink",
    "SinkRun",
    "Skip",
    "Source",
    "Stage",
    "StageError",
    "StageOptionError",
    "StageProgress",
    "StageReport",
    "StageStoppedError",
    "StageTypeError",
    "StallError",
    "Start",
    "Tasks",
    "Threads",
    "TooManyFailuresError",
    "UnpicklableItemError",
    "WarmPool",
    "WorkerLostError",
    "commit",
    "current_worker",
    "per_worker",
    "register_codec",
    "report_of",
    "sink",
    "source",
    "stage",
    "warm",
]

if not TYPE_CHECKING:
    # Type checkers do not see `__getattr__`: with it they would accept every name as a name of the package.

    # A name is imported from its module on first access, because a program uses few of them. All others of `__all__`
    # are classes of `errors`.
    _HOMES = {
        ".engine.run": ("Run", "SinkRun"),
        ".engine.warm_pool": ("WarmPool",),
        ".executors.base": ("Executor",),
        ".cluster.hosts": ("Hosts",),
        ".cluster.ray_executor": ("Ray",),
        ".durable.journal": ("Journal",),
        ".executors.inline": ("Inline",),
        ".executors.processes": ("Processes",),
        ".executors.tasks": ("Tasks",),
        ".executors.threads": ("Threads",),
        ".pickling.registry": ("register_codec",),
        ".pipeline": (
            "Pipeline",
            "Runnable",
        ),
        ".plan.bound": (
            "Sink",
            "Source",
            "Stage",
            "sink",
            "source",
            "stage",
        ),
        ".plan.per_worker": (
            "PerWorker",
            "per_worker",
        ),
        ".plan.plan": ("Plan",),
        ".plan.start_number": ("Start",),
        ".policies": (
            "DeadLetter",
            "Raise",
            "Retry",
            "Skip",
        ),
        ".progress.report": ("Report", "report_of"),
        ".progress.run_record": ("StageReport",),
        ".progress.scaling_rule": ("Decision",),
        ".progress.snapshot": (
            "Progress",
            "StageProgress",
        ),
        ".start": ("warm",),
        ".worker.commits": ("commit",),
        ".worker.current_worker": (
            "CurrentWorker",
            "current_worker",
        ),
    }
    # Public modules, which are attributes of the package without an import of their own.
    _MODULES = ("errors", "extending", "policies")
    _HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            value = version(__name__)
        elif name in __all__:
            from importlib import import_module

            value = getattr(import_module(_HOME_OF.get(name, ".errors"), __name__), name)
        elif name in _MODULES:
            from importlib import import_module

            value = import_module(f".{name}", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, "__version__"})
