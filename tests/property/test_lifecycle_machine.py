"""The lifecycle against a simple model: after any events in any order, a run ends with the right failures."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chainpump.engine.lifecycle import (
    WINDOW_NS,
    Action,
    Broken,
    Cancel,
    Conclude,
    Ended,
    Event,
    Left,
    Phase,
    Run,
    Seal,
    Stalled,
    Started,
    UseForce,
    step,
)
from chainpump.errors import Failure, StageError, StallError, WorkerLostError
from chainpump.worker.outcome import Failed, Finished, Interrupted


class Lifecycle(RuleBasedStateMachine):
    """Workers end in any order and in any way.

    The model keeps the events and the actions of the machine. The rules below check the actions.
    """

    @initialize(
        workers=st.lists(st.integers(1, 3), min_size=1, max_size=5),
        has_caller=st.booleans(),
    )
    def start(self, workers: list[int], has_caller: bool) -> None:
        if has_caller:
            workers[-1] = 1
        self.left_to_end = list(workers)
        self.has_caller = has_caller
        self.run = Run(tuple(workers), has_caller)
        self.now = 0
        self.actions: list[Action] = []
        # The failures that must be listed.
        self.expected: list[Failed] = []
        # The group of an interrupted worker, whose cause is not known yet.
        self.interrupted: int | None = None
        # The distance of the first failure from that group.
        self.nearest = 0
        # Groups with a worker that has stopped early.
        self.stopped: set[int] = set()
        # How groups before this one end does not matter: this group has stopped early.
        self.superfluous = 0
        # All workers so far have finished.
        self.is_clean = True
        self.is_over = False

    def send(self, event: Event) -> None:
        self.run, actions = step(self.run, event)
        self.actions += actions
        # A cancelled run does not wait for its caller.
        ignores_caller = self.has_caller and not self.is_clean
        self.is_over |= not any(self.left_to_end[:-1] if ignores_caller else self.left_to_end)

    @property
    def running(self) -> list[int]:
        return [group for group, workers in enumerate(self.left_to_end) if workers]

    def end(self, group: int, outcome: Finished | Failed | Interrupted) -> None:
        self.left_to_end[group] -= 1
        self.send(Ended(group, self.left_to_end[group], outcome, self.now))

    @rule(ns=st.sampled_from([0, 1, WINDOW_NS // 2, WINDOW_NS, 2 * WINDOW_NS]))
    def time_passes(self, ns: int) -> None:
        self.now += ns

    @property
    def growing(self) -> list[int]:
        """The groups in which one more worker may be started."""
        return [group for group in self.running if not self.has_caller or group < self.run.last]

    @precondition(lambda self: self.run.phase is Phase.RUNNING and self.growing)
    @rule(data=st.data())
    def a_worker_is_started(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(self.growing))
        self.left_to_end[group] += 1
        self.send(Started(group))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), early=st.booleans())
    def a_worker_finishes(self, data: st.DataObject, early: bool) -> None:
        group = data.draw(st.sampled_from(self.running))
        if early:
            self.stopped.add(group)
        if group in self.stopped and self.left_to_end[group] == 1:
            self.superfluous = max(self.superfluous, group)
        self.end(group, Finished(early=early))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def a_worker_fails(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(self.running))
        failed = Failed(Failure(StageError, "stage", f"group {group}", len(self.expected), None, "failed"))
        matters = group >= self.superfluous and not self.is_over
        is_cause = self.interrupted is not None and not self.expected
        in_time = self.run.phase is Phase.RUNNING or self.now - self.run.cancelled_at <= WINDOW_NS
        if matters and (in_time or is_cause):
            away = 0 if self.interrupted is None else abs(group - self.interrupted)
            if is_cause or away < self.nearest:
                self.expected.insert(0, failed)
                self.nearest = away
            else:
                self.expected.append(failed)
        if matters:
            self.is_clean = False
        self.end(group, failed)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def a_worker_is_interrupted(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(self.running))
        if group >= self.superfluous and not self.is_over:
            self.is_clean = False
            if self.run.phase is Phase.RUNNING:
                self.interrupted = group
        self.end(group, Interrupted())

    @rule()
    def the_caller_leaves(self) -> None:
        if not self.is_over:
            self.is_clean = False
        self.send(Left(self.now))

    @rule()
    def nothing_moves(self) -> None:
        stalled = Failed(Failure(StallError, "stage", "any", 1, None, "no item moved"))
        if self.run.phase is Phase.RUNNING:
            self.expected.append(stalled)
            self.is_clean = False
        self.send(Stalled(stalled, self.now))

    @rule()
    def a_connection_breaks(self) -> None:
        broken = Failed(Failure(WorkerLostError, "", "", 0, None, "the run lost a machine"))
        if self.run.phase is Phase.RUNNING:
            self.expected.append(broken)
            self.is_clean = False
        self.send(Broken(broken, self.now))

    @invariant()
    def a_run_is_over_exactly_when_all_workers_have_ended(self) -> None:
        assert (self.run.phase is Phase.OVER) == self.is_over
        assert self.actions.count(Conclude()) == self.is_over

    @invariant()
    def no_failure_is_lost(self) -> None:
        assert list(self.run.failures) == self.expected

    @invariant()
    def a_successful_run_is_never_cancelled_as_a_whole(self) -> None:
        everything = Cancel(len(self.left_to_end))
        assert self.actions.count(everything) == (not self.is_clean)

    @invariant()
    def an_early_stop_never_cancels_later_groups(self) -> None:
        partial = [
            each.before for each in self.actions if isinstance(each, Cancel) and each.before < len(self.left_to_end)
        ]
        assert set(partial) <= self.stopped
        assert partial == sorted(set(partial))

    @invariant()
    def each_junction_is_sealed_once_by_its_last_producer(self) -> None:
        sealed = [each.junction for each in self.actions if isinstance(each, Seal)]
        assert len(sealed) == len(set(sealed))
        assert all(not self.left_to_end[junction] for junction in sealed)
        if self.is_clean and self.is_over and not self.superfluous:
            assert sorted(sealed) == list(range(len(self.left_to_end) - 1))

    def teardown(self) -> None:
        """The run is over once the last worker has ended."""
        if not hasattr(self, "run"):
            return
        while self.running:
            self.end(self.running[0], Interrupted())
        assert self.run.phase is Phase.OVER
        assert self.actions.count(Conclude()) == 1
        assert set(self.actions[self.actions.index(Conclude()) + 1 :]) <= {UseForce()}


TestLifecycle = Lifecycle.TestCase
