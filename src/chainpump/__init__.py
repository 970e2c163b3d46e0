"""Linear streaming pipelines: one source, stages, one sink, each on workers of its own; no item is ever lost.

>>> from collections.abc import Iterable, Iterator
>>> def squares(numbers: Iterable[int]) -> Iterator[int]:
...     for number in numbers:
...         yield number * number
>>> list(Pipeline(range(4)).then(squares, on=Threads(1)))
[0, 1, 4, 9]
"""

from typing import TYPE_CHECKING

from .engine.run import Run
from .errors import (
    Cancelled,
    DeadItem,
    Failure,
    ItemTimeoutError,
    ItemTypeError,
    LedgerError,
    PipelineError,
    PlanError,
    RemoteError,
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
from .plan.plan import Plan
from .policies import DeadLetter, Raise, Retry, Skip
from .progress.report import Report
from .progress.run_record import StageReport
from .progress.scaling_rule import Decision
from .progress.snapshot import Progress, StageProgress

__all__ = [
    "Cancelled",
    "DeadItem",
    "DeadLetter",
    "Decision",
    "Executor",
    "Failure",
    "Inline",
    "ItemTimeoutError",
    "ItemTypeError",
    "LedgerError",
    "Pipeline",
    "PipelineError",
    "Plan",
    "PlanError",
    "Processes",
    "Progress",
    "Raise",
    "RemoteError",
    "Report",
    "Retry",
    "Run",
    "RunError",
    "Runnable",
    "Sink",
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
    "Tasks",
    "Threads",
    "TooManyFailuresError",
    "UnpicklableItemError",
    "WorkerLostError",
    "register_codec",
    "sink",
    "source",
    "stage",
]

if TYPE_CHECKING:
    __version__: str
else:  # for a type checker this would make every name one of the package's

    def __getattr__(name: str) -> str:
        """Look the version up when it is asked for: that takes longer than all else here."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version(__name__)
