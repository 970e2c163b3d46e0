"""The life of a run as a pure state machine: what has happened goes in, what is to be done comes out.

Groups are the links of the chain, each with its workers; junction `g` lies between groups `g` and `g + 1`.

    event                     while              then
    Ended(Finished)           any                seal the junction behind its group, once all of the group has ended
    Ended(Finished, early)    running            cancel everything before it, once all of the group has ended
    Ended(Failed | Lost)      running            record it, cancel everything
    Ended(Failed | Lost)      cancelling         record it, if it came within 100 ms of the first and was not induced
    Ended(Interrupted)        running            something broke unseen: cancel everything; its cause follows, which is
                                                 the failure nearest to it
    Left                      running            cancel everything; there is nothing to blame
    Left                      over               use force on processes of workers that have finished and still end
    Stalled                   running            record it, cancel everything
    Started                   running            one more is to end; its group must not be over
    any                       nobody is running  conclude
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from ..lazy_dataclass import dataclass, replace
from ..worker.outcome import Failed, Finished, Interrupted

__all__ = [
    "Action",
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

# Failures this close to the first are listed with it: one cause often strikes twice.
WINDOW_NS = 100_000_000


class Phase(Enum):
    """How far a run is."""

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
    """The caller wants no more: `break`, Ctrl-C, or the end of a `with`."""

    at: int


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing has moved for too long."""

    failed: Failed
    at: int


@dataclass(frozen=True, slots=True)
class Started:
    """One more worker of a group is about to be started."""

    group: int


Event: TypeAlias = Ended | Left | Stalled | Started


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
    """Nobody is running."""


@dataclass(frozen=True, slots=True)
class UseForce:
    """All workers have told how they ended, and nobody waits any more for the processes of some that still end."""


Action: TypeAlias = Seal | Cancel | Conclude | UseForce


@dataclass(frozen=True, slots=True)
class Run:
    """The state. running: workers that have not ended, per group. superfluous: groups before this one may end as
    they like, since what follows them was allowed to stop and has.
    failures: the one to raise first. away: how many junctions lie between its group and the worker in `broken`.

    The caller's own worker is in the last group where there is one; a cancelled run does not wait for it.
    """

    running: tuple[int, ...]
    has_caller: bool
    phase: Phase = Phase.RUNNING
    early: frozenset[int] = frozenset()
    superfluous: int = 0
    failures: tuple[Failed, ...] = ()
    away: int = 0
    cancelled_at: int = 0
    # Group and number of a worker that was cut off while nobody had cancelled.
    broken: tuple[int, int] | None = None
    left: bool = False

    @property
    def went_well(self) -> bool:
        """Whether nothing has ended it early, so far."""
        return not (self.failures or self.left or self.broken)

    @property
    def was_left(self) -> bool:
        """Whether the caller has ended it early, and nothing else: what broke without a cause, this has broken."""
        return self.left and not self.failures

    @property
    def last(self) -> int:
        """The group at the end of the chain."""
        return len(self.running) - 1


def step(run: Run, event: Event) -> tuple[Run, tuple[Action, ...]]:
    """The next state, and what is to be done."""
    if run.phase is Phase.OVER:
        return run, ((UseForce(),) if isinstance(event, Left) else ())
    if isinstance(event, Left):
        return _concluded(*_cancelled(replace(run, left=True), event.at))
    if isinstance(event, Stalled):
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
    # Its cause is its neighbour's end, which a loaded machine may tell late.
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
