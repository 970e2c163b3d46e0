"""When the autoscaler measures a run, and how it changes the number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from chainpump import Pipeline, Runnable, Threads
from chainpump.engine import autoscaler
from chainpump.engine import meter as meter_module
from chainpump.engine.autoscaler import HOLD, IDLE, PATIENCE, SHORT, TRIED, Autoscaler
from chainpump.engine.dead_letters import DeadLetters
from chainpump.engine.meter import Meter
from chainpump.engine.no_recorder import NoRecorder
from chainpump.engine.run_settings import RunSettings
from chainpump.engine.wiring import Wiring
from chainpump.engine.worker_slot import WorkerSlot
from chainpump.ipc.board import Cell, State
from chainpump.logs.receiver import Logs
from chainpump.plan import placement
from chainpump.worker.outcome import Interrupted

SECOND = 1_000_000_000
PROCESSORS = 4
# The group of the "auto" stage, between the source and a sink.
STAGE = 1


class Clock:
    """A replacement of the `time` module. Only the test advances its time, and no processor time passes."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return round(self.now * SECOND)

    def process_time_ns(self) -> int:
        return 0


class Stand:
    """A run without running workers. The test writes to its board and calls its autoscaler."""

    def __init__(self, chain: Runnable[Any], clock: Clock) -> None:
        self.clock = clock
        self.wiring = Wiring(
            chain.plan().stages,
            RunSettings(iterated=False, grace=0),
            DeadLetters([], lambda: None, NoRecorder()),
            Logs(),
        )
        self.meter = Meter(self.wiring)
        self.autoscaler = Autoscaler(self.wiring, self.meter)
        self.others = [group for group in range(len(self.wiring.groups)) if group != STAGE]
        self.workers: set[WorkerSlot] = set()
        for group in (STAGE, *self.others):
            self.begin(group, 0)

    def close(self) -> None:
        self.meter.close()
        self.wiring.close()
        self.wiring.board.release(with_views=True)

    def row(self, group: int, number: int) -> memoryview:
        return self.wiring.slots[group][number].rows[0]

    def begin(self, group: int, number: int, received: int = 1) -> None:
        """Make a worker start and receive its first item."""
        self.workers.add(self.wiring.slots[group][number])
        row = self.row(group, number)
        row[Cell.STATE], row[Cell.STARTED] = State.RUNNING, self.clock.monotonic_ns()
        row[Cell.RECEIVED] += received

    def end(self, group: int, number: int) -> None:
        self.workers.remove(self.wiring.slots[group][number])
        row = self.row(group, number)
        row[Cell.STATE], row[Cell.ENDED] = State.DONE, self.clock.monotonic_ns()

    def passes(self, seconds: float, busy: Sequence[float] = (1.0,), items: int = 100) -> None:
        """Advance the time. The workers of the stage are busy for these shares, and receive `items` in all."""
        self.clock.now += seconds
        for number, share in enumerate(busy):
            self.row(STAGE, number)[Cell.STARVED] += round(seconds * (1 - share) * SECOND)
        self.row(STAGE, 0)[Cell.RECEIVED] += items
        self.row(STAGE, 0)[Cell.SENT] += items
        # The workers of the other stages wait.
        for group in self.others:
            self.row(group, 0)[Cell.BLOCKED] += round(seconds * SECOND)
            self.row(group, 0)[Cell.SENT if group == 0 else Cell.RECEIVED] += items

    def look(self) -> list[int]:
        """Let the autoscaler measure, and start the workers that it wants. Returns their numbers."""
        slots = self.autoscaler.decide(self.workers, self.workers)
        assert {slot.group_index for slot in slots} <= {STAGE}
        for slot in slots:
            slot.begin_again()
            self.wiring.worker(slot).close(Interrupted())
            self.begin(STAGE, slot.number)
        return [slot.number for slot in slots]

    def window(self, seconds: float, busy: Sequence[float] = (1.0,), items: int = 100) -> list[int]:
        """Like `look`, at the end of a window. The window begins now if none has begun."""
        if self.autoscaler._began is None:
            assert self.look() == []
        self.passes(seconds, busy, items)
        return self.look()

    @property
    def retiring(self) -> list[int]:
        return [number for number in range(PROCESSORS) if self.row(STAGE, number)[Cell.RETIRES]]

    @property
    def changes(self) -> list[tuple[int, int]]:
        return [(each.before, each.after) for each in self.autoscaler.decisions]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (autoscaler, meter_module):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(autoscaler, "processors", lambda: PROCESSORS)
    monkeypatch.setattr(placement, "processors", lambda: PROCESSORS)
    return clock


@pytest.fixture
def stand(clock: Clock) -> Iterator[Stand]:
    made = Stand(Pipeline(range(9)).map(abs, on=Threads("auto")).into(sum, on=Threads()), clock)
    yield made
    made.close()


@pytest.fixture
def committing(clock: Clock) -> Iterator[Stand]:
    """A run with "auto" workers in its sink, which may commit when they end."""
    made = Stand(Pipeline(range(9)).into(sum, on=Threads("auto")), clock)
    yield made
    made.close()


# ---------------------------------------------------------------------------------------------------- when it measures


def test_a_run_without_auto_stages_is_never_measured(clock: Clock) -> None:
    stand = Stand(Pipeline(range(9)).map(abs, on=Threads(3)).into(sum, on=Threads()), clock)
    assert stand.autoscaler.due is None
    stand.close()


def test_windows_become_longer_while_nothing_changes(stand: Stand) -> None:
    lengths = []
    for _ in range(8):
        begin = stand.clock.now
        stand.passes((stand.autoscaler.due or 0) - begin, busy=[0.5])
        assert stand.look() == []
        lengths.append(round(stand.clock.now - begin, 3))
    assert lengths == [0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_nothing_is_decided_before_every_worker_has_begun_with_its_input(stand: Stand) -> None:
    # The worker still loads libraries.
    stand.row(STAGE, 0)[Cell.RECEIVED] = 0
    for _ in range(50):
        stand.clock.now += SHORT
        assert stand.look() == []
    stand.row(STAGE, 0)[Cell.RECEIVED] = 1
    assert stand.window(SHORT) == [1]


def test_nothing_is_decided_while_an_added_worker_starts(stand: Stand) -> None:
    assert stand.window(SHORT) == [1]
    stand.row(STAGE, 1)[Cell.STARTED] = 0
    for _ in range(10):
        assert stand.window(TRIED) == []
    stand.row(STAGE, 1)[Cell.STARTED] = stand.clock.monotonic_ns()
    assert stand.window(TRIED, [1, 1], items=1000) == [2, 3]


# ---------------------------------------------------------------------------------------------------- adding workers


def test_a_stage_that_is_always_busy_gets_as_many_workers_as_there_is_room_for(stand: Stand) -> None:
    assert stand.window(SHORT, items=20) == [1]
    assert stand.window(TRIED, [1, 1], items=200) == [2, 3]
    assert stand.window(TRIED, [1, 1, 1, 1], items=400) == []
    assert stand.changes == [(1, 2), (2, 4)]


def test_a_decision_has_the_time_since_the_run_was_opened(stand: Stand) -> None:
    stand.passes(3)
    stand.window(SHORT)
    (decision,) = stand.autoscaler.decisions
    assert (round(decision.at, 3), decision.stage) == (3 + SHORT, "abs")


def test_workers_without_a_gain_are_retired_and_not_added_again_for_some_time(stand: Stand) -> None:
    for losses in range(3):
        assert stand.window(SHORT, items=20) == [1]
        # The rate is the same as before.
        assert stand.window(TRIED, [1, 1], items=100) == []
        assert (stand.retiring, stand.changes[-1]) == ([1], (2, 1))
        stand.end(STAGE, 1)
        assert stand.window(HOLD * 2**losses - 1) == []
        stand.passes(1, items=200)


def test_added_workers_stay_until_enough_items_have_come_to_judge_them(stand: Stand) -> None:
    assert stand.window(SHORT, items=20) == [1]
    stand.look()
    for _ in range(7):
        stand.passes(TRIED, [1, 1], items=1)
        assert stand.look() == []
        assert stand.retiring == []
    stand.passes(TRIED, [1, 1], items=1)
    stand.look()
    assert stand.retiring == [1]


def test_a_window_ends_after_some_time_even_with_few_items(stand: Stand) -> None:
    assert stand.window(SHORT, items=0) == [1]
    assert stand.window(PATIENCE - 1, [1, 1], items=1) == []
    stand.passes(1, [1, 1], items=0)
    assert stand.look() == [2, 3]


def test_a_stage_at_the_end_of_its_input_gets_no_more_workers(stand: Stand) -> None:
    assert stand.window(SHORT, items=20) == [1]
    stand.end(STAGE, 1)
    assert stand.window(TRIED) == []


# --------------------------------------------------------------------------------------------------- retiring workers


def test_idle_workers_are_retired_but_not_at_once(stand: Stand) -> None:
    assert stand.window(SHORT, items=20) == [1]
    assert stand.window(TRIED, [0.2, 0.2], items=200) == []
    assert stand.retiring == []
    assert stand.window(IDLE, [0.2, 0.2]) == []
    assert (stand.retiring, stand.changes) == ([1], [(1, 2), (2, 1)])


def test_a_stage_with_only_retiring_workers_gets_no_more_workers(stand: Stand) -> None:
    """The other workers have reached the end of their input."""
    stand.window(SHORT, items=20)
    stand.window(IDLE, [0.1, 0.1])
    stand.end(STAGE, 0)
    assert stand.window(TRIED, [0.0, 1.0]) == []
    assert stand.retiring == [1]


def test_a_retiring_worker_that_still_waits_for_an_item_can_stay(stand: Stand) -> None:
    stand.window(SHORT, items=20)
    stand.window(IDLE, [0.1, 0.1])
    assert stand.retiring == [1]
    stand.passes(HOLD, [0.1, 0.0])
    # No worker is started.
    assert stand.window(SHORT, [1.0, 0.0]) == []
    assert (stand.retiring, stand.changes[-1]) == ([], (1, 2))


def test_the_slot_of_a_retired_worker_is_used_again(stand: Stand) -> None:
    stand.window(SHORT, items=20)
    stand.window(IDLE, [0.1, 0.1])
    stand.end(STAGE, 1)
    stand.passes(HOLD)
    assert stand.window(SHORT) == [1]
    assert stand.retiring == []


def test_workers_of_a_sink_function_stay_because_they_may_commit_at_their_end(committing: Stand) -> None:
    assert committing.window(SHORT, items=20) == [1]
    assert committing.window(IDLE, [0.1, 0.1]) == []
    assert committing.retiring == []


def test_a_sink_function_that_gains_nothing_from_more_workers_gets_no_others(committing: Stand) -> None:
    assert committing.window(SHORT, items=20) == [1]
    assert committing.window(TRIED, [1, 1], items=100) == []
    assert committing.window(SHORT, [1, 1]) == []
    assert (committing.retiring, committing.changes) == ([], [(1, 2)])
