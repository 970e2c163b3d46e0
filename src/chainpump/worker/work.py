"""What workers have to do, as values without functions: a process that only starts workers can have them, too."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..durable.ranges import Ranges
from ..durable.resume_points import WHOLE, ResumePoint
from ..lazy_dataclass import dataclass, field, replace
from ..messages.names import Role, WorkerName
from .current_worker import CurrentWorker
from .retirement import Share

__all__ = ["Assignment", "Work"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One stage of a worker. row: the board row of the worker for it.

    makers: the names, by origin, of the workers that number its input. They are empty strings if there is only one.
    siblings: the board rows of all workers of the stage. generation: how many workers have run in its place before.
    executor: the name of the class of its executor.
    done: the items of the origin of its input that this run leaves out, because earlier attempts of a durable run have
    done what is made of them. This run does not number them. goes_on: the same for its own items, and where they begin,
    if it is an origin. place: its number in the chain.
    """

    who: WorkerName
    row: int
    may_stop: bool = False
    makers: Sequence[str] = ("",)
    siblings: Sequence[int] = ()
    generation: int = 0
    executor: str = ""
    done: Ranges = field(default_factory=Ranges)
    goes_on: ResumePoint = WHOLE
    place: int = 0

    def current_worker(self) -> CurrentWorker:
        """The worker, as user code in this process gets it."""
        who = self.who
        return CurrentWorker(who.stage, who.number - 1, who.of, self.generation, self.executor, os.getpid())

    @property
    def resumes(self) -> bool:
        """Whether it is an origin that leaves out some of its items, looks at them, or does not give all of them."""
        goes_on = self.goes_on
        return bool(goes_on.left_out) or goes_on.samples is not None or goes_on.is_limited or goes_on.stop is not None

    @property
    def is_sink(self) -> bool:
        """Whether its result is a value and not items."""
        return self.who.role is Role.SINK


@dataclass(frozen=True, slots=True)
class Work:
    """What all workers of a group have in common.

    group: the position of the group in the chain, which selects its cancel flag and the channel before it.
    stages: the assignments of its first worker. If the caller iterates, its loop is one more stage, without a function.
    producers: the board rows of the workers that send to it.
    awaits: an event loop runs a worker, and `Worker.run` gets the driver. whole: send all results of an item in one
    frame. exact_spans: spans must cover just the items that were processed, because a later group restores the order or
    the run is durable. tells_done: tell the journal of the run which items these workers have done. watched: publish
    the current item and its start time.
    share: the work after which a worker retires; None if there is no limit.
    is_replaceable: whether a worker continues from the checkpoint of its predecessor.
    has_own_interpreter: whether a worker needs a log pipe, surroundings and a seed, because it does not share the
    interpreter of the process that makes it.
    hosts: the names of the machines of its workers, if these are not on that of the main process.
    """

    group: int
    stages: Sequence[Assignment]
    producers: Sequence[int] = ()
    awaits: bool = False
    whole: bool = False
    exact_spans: bool = False
    tells_done: bool = False
    watched: bool = False
    share: Share | None = None
    is_replaceable: bool = False
    has_own_interpreter: bool = False
    hosts: Sequence[str] = ()

    def assignments(self, number: int, generation: int) -> Sequence[Assignment]:
        """The stages of one worker. number: counted from 0. generation: see `Assignment`."""
        host = self.hosts[number] if self.hosts else ""
        return [
            replace(
                each,
                who=replace(each.who, number=number + 1, host=host),
                row=each.siblings[number],
                generation=generation,
            )
            for each in self.stages
        ]
