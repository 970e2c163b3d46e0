"""The life of a run as a pure state machine: each event leads to a new state and to actions.

The groups are the links of the chain, each with its workers. Junction `g` lies between groups `g` and `g + 1`.

    event                     phase              actions
    Ended(Finished)           any                seal the junction after its group, once the whole group has ended
    Ended(Finished, early)    running            cancel all groups before it, once the whole group has ended
    Ended(Failed)             running            record the failure, cancel all groups
    Ended(Failed)             cancelling         record the failure, if it came within 100 ms of the first one
    Ended(Interrupted)        running            cancel all groups; the cause is reported later: it is the failure in
                                                 the nearest group
    Left                      running            cancel all groups; this is no failure
    Left                      over               use force on processes of finished workers that have not ended
    Stalled, Broken           running            record the failure, cancel all groups
    Started                   running            count one more worker; its group must not be over
    any                       no worker runs     conclude

Failures in groups before one that has stopped early are ignored.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from ..lazy_dataclass import dataclass, replace
from ..worker.outcome import Failed, Finished, Interrupted

__all__ = [
    "Action",
    "Broken",
    "Cancel",
    "Conclude",
    "Ended",
    "Event",
    "Left",
    "Phase",
    "Run",
    "Seal",
    "Stalled",
    "Started",
    "UseForce",
    "step",
]

# Failures in this time after the first one are listed with it: one cause often leads to several failures.
WINDOW_NS = 100_000_000


class Phase(Enum):
    """The phase of a run."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker of a group has ended. number: counted from 0. at: nanoseconds of the monotonic clock."""

    group: int
    number: int
    outcome: Finished | Failed | Interrupted
    at: int


@dataclass(frozen=True, slots=True)
class Left:
    """The caller has ended the run: by `break`, Ctrl-C, or the end of a `with` block."""

    at: int


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing has moved for too long."""

    failed: Failed
    at: int


@dataclass(frozen=True, slots=True)
class Broken:
    """What connects workers has failed, and no worker can report it."""

    failed: Failed
    at: int


@dataclass(frozen=True, slots=True)
class Started:
    """One more worker of a group is about to be started."""

    group: int


Event: TypeAlias = Ended | Left | Stalled | Broken | Started


@dataclass(frozen=True, slots=True)
class Seal:
    """All producers of this junction have finished."""

    junction: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the groups before this one."""

    before: int


@dataclass(frozen=True, slots=True)
class Conclude:
    """No worker runs any more."""


@dataclass(frozen=True, slots=True)
class UseForce:
    """All workers have reported their outcomes. Processes of finished workers have only the grace period to end."""


Action: TypeAlias = Seal | Cancel | Conclude | UseForce


@dataclass(frozen=True, slots=True)
class Run:
    """The state of a run.

    running: for each group, how many workers have not ended. early: groups with workers that have stopped before the
    end of their input. superfluous: how groups before this one end does not matter, because this group has stopped
    early, as it was allowed to. failures: the first one is raised. away: how many junctions lie between the group of
    the first failure and the worker in `broken`. cancelled_at: in nanoseconds of the monotonic clock. broken: group and
    number of a worker that was interrupted although the run was not cancelled. left: the caller has ended the run.

    If the caller's thread is a worker, that worker is in the last group. A cancelled run does not wait for it.
    """

    running: tuple[int, ...]
    has_caller: bool
    phase: Phase = Phase.RUNNING
    early: frozenset[int] = frozenset()
    superfluous: int = 0
    failures: tuple[Failed, ...] = ()
    away: int = 0
    cancelled_at: int = 0
    broken: tuple[int, int] | None = None
    left: bool = False

    @property
    def went_well(self) -> bool:
        """Whether nothing has ended the run early so far."""
        return not (self.failures or self.left or self.broken)

    @property
    def was_left(self) -> bool:
        """Whether the caller has ended the run early, and no worker has failed.

        In this case the caller is also the cause of an interruption in `broken`.
        """
        return self.left and not self.failures

    @property
    def last(self) -> int:
        """The group at the end of the chain."""
        return len(self.running) - 1


def step(run: Run, event: Event) -> tuple[Run, tuple[Action, ...]]:
    """The next state and the actions."""
    if run.phase is Phase.OVER:
        return run, ((UseForce(),) if isinstance(event, Left) else ())
    if isinstance(event, Left):
        return _concluded(*_cancelled(replace(run, left=True), event.at))
    if isinstance(event, (Stalled, Broken)):
        failures = run.failures if run.phase is not Phase.RUNNING else (event.failed,)
        return _concluded(*_cancelled(replace(run, failures=failures), event.at))
    change = 1 if isinstance(event, Started) else -1
    running = tuple(count + change * (group == event.group) for group, count in enumerate(run.running))
    run = replace(run, running=running)
    if isinstance(event, Started):
        return run, ()
    return _concluded(*_RULES[type(event.outcome)](run, event))


def _finished(run: Run, event: Ended) -> tuple[Run, tuple[Action, ...]]:
    assert isinstance(event.outcome, Finished)
    early = run.early | {event.group} if event.outcome.early else run.early
    run = replace(run, early=early)
    if run.running[event.group]:
        return run, ()
    actions: tuple[Action, ...] = (Seal(event.group),) if event.group < run.last else ()
    if event.group in early and event.group > run.superfluous:
        run = replace(run, superfluous=event.group)
        actions = (*actions, Cancel(event.group))
    return run, actions


def _failed(run: Run, event: Ended) -> tuple[Run, tuple[Action, ...]]:
    assert isinstance(event.outcome, Failed)
    if event.group < run.superfluous:
        return run, ()
    away = 0
    # The interruption was caused by a failure of a neighbour, which may be reported late on a loaded machine.
    if run.broken is not None:
        away = abs(event.group - run.broken[0])
        if not run.failures:
            run = replace(run, cancelled_at=event.at)
    if run.phase is Phase.RUNNING or event.at - run.cancelled_at <= WINDOW_NS:
        if not run.failures or away < run.away:
            run = replace(run, failures=(event.outcome, *run.failures), away=away)
        else:
            run = replace(run, failures=(*run.failures, event.outcome))
    return _cancelled(run, event.at)


def _interrupted(run: Run, event: Ended) -> tuple[Run, tuple[Action, ...]]:
    if event.group < run.superfluous or run.phase is not Phase.RUNNING:
        return run, ()
    return _cancelled(replace(run, broken=(event.group, event.number)), event.at)


_RULES = {Finished: _finished, Failed: _failed, Interrupted: _interrupted}


def _cancelled(run: Run, at: int) -> tuple[Run, tuple[Action, ...]]:
    if run.phase is not Phase.RUNNING:
        return run, ()
    return replace(run, phase=Phase.CANCELLING, cancelled_at=at), (Cancel(len(run.running)),)


def _concluded(run: Run, actions: tuple[Action, ...]) -> tuple[Run, tuple[Action, ...]]:
    workers = sum(run.running)
    if run.phase is Phase.CANCELLING and run.has_caller:
        workers -= run.running[-1]
    if workers:
        return run, actions
    return replace(run, phase=Phase.OVER), (*actions, Conclude())
