"""Three machines die and freeze at every stage of a run whose workers are replaced; the output is that of no death."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import pytest

from chainpump import DeadLetter, Hosts, ItemTimeoutError, Pipeline, Skip
from chainpump.transport.retained import RETAINED_BYTES
from cluster import work
from cluster.programs import agent_of, agents, family, kill_machine
from support.gate import WHOLE, Gate, Journal
from support.processes import gone, watching

THREE = Hosts(["localhost"] * 3, workers=6, restarts=5)


@contextmanager
def frozen(pids: Sequence[int]) -> Iterator[list[int]]:
    """Freeze processes until the end of the block; gives what becomes readable as they die."""
    with watching(pids) as watched:
        for end in watched:
            signal.pidfd_send_signal(end, signal.SIGSTOP)
        try:
            yield watched
        finally:
            for end in watched:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(end, signal.SIGCONT)


# ----------------------------------------------------------------------------------------------------- which of them


def test_two_of_three_machines_die_at_once(gate: Gate) -> None:
    pipeline = Pipeline(range(600)).map(partial(work.held, gate, 30), on=THREE)
    pipeline = pipeline.filter(work.is_no_fifth, on=THREE).flat_map(work.spread, on=THREE)
    with pipeline.open() as run:
        holds = agent_of(gate.wait_held())
        others = [agent for agent in agents() if agent != holds]
        for agent in (holds, others[0]):
            kill_machine(agent)
        gate.wait_held()
        gate.release()
        assert list(run) == [item for item in range(600) if item % 5 for _ in range(item % 3)]


def test_a_worker_dies_and_then_its_machine(gate: Gate) -> None:
    with Pipeline(range(600)).map(partial(work.held, gate, 30), on=THREE).open() as run:
        worker = gate.wait_held()
        machine = agent_of(worker)
        os.kill(worker, signal.SIGKILL)
        kill_machine(machine)
        gate.wait_held()
        gate.release()
        assert list(run) == list(range(600))


def test_a_machine_that_was_frozen_ends_itself_when_it_goes_on(gate: Gate) -> None:
    """It has half of an item, and whatever it sends then is too late."""
    with Pipeline(range(600)).map(partial(work.held, gate, 30), on=THREE).open() as run:
        machine = family(agent_of(gate.wait_held()))
        with watching(machine) as watched:
            with frozen(machine):
                # The same item, on another machine.
                gate.wait_held()
            assert gone(watched)
        gate.release()
        assert list(run) == list(range(600))


# --------------------------------------------------------------------------------------------------------------- when


@pytest.mark.parametrize("count", [1, 3])
def test_machines_die_while_they_start(count: int) -> None:
    with Pipeline(range(600)).map(work.doubled, on=THREE).open() as run:
        for agent in agents()[:count]:
            kill_machine(agent)
        assert list(run) == list(range(0, 1_200, 2))


def test_all_machines_die_when_all_items_have_come() -> None:
    with Pipeline(range(60)).map(work.doubled, on=THREE).open() as run:
        items = iter(run)
        assert [next(items) for _ in range(60)] == list(range(0, 120, 2))
        for agent in agents():
            kill_machine(agent)
        assert list(items) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_machine_dies_with_large_results_on_their_way(gate: Gate, number: signal.Signals) -> None:
    """Nobody takes them before that, so some are in the sockets, one of them in part."""
    arrays = (np.full(1 << 17, value) for value in range(100))
    with Pipeline(arrays).map(partial(work.announced_at, gate, 20), on=THREE).open() as run:
        agent = agent_of(gate.wait_held())
        if number is signal.SIGKILL:
            kill_machine(agent)
        with frozen(family(agent) if number is signal.SIGSTOP else []):
            found = [int(array[-1]) for array in run]
    assert found == list(range(100))


def test_what_is_kept_for_a_death_is_bounded(gate: Gate) -> None:
    """An item is held, so nothing passes; the source stops long before all items are made, and goes on later."""
    made = 0

    def arrays() -> Iterator[np.ndarray]:
        nonlocal made
        for value in range(600):
            made += 1
            yield np.full(1 << 17, value)

    found: list[int] = []
    with Pipeline(arrays()).map(partial(work.held_array, gate, 3), on=THREE).open() as run:
        # If nobody took results, all workers might wait for that before one of them is given the held item again.
        reader = threading.Thread(target=lambda: found.extend(int(array[-1]) for array in run))
        reader.start()
        worker = gate.wait_held()
        kill_machine(agent_of(worker))
        gate.wait_held()
        # What is kept, and what is between the source and the first machine.
        assert made <= 2 * (RETAINED_BYTES >> 20)
        gate.release()
        reader.join(WHOLE)
    assert (found, made) == (list(range(600)), 600)


# -------------------------------------------------------------------------------------------------- what becomes of it


def test_dead_letters_of_each_result_come_once(journal: Journal) -> None:
    pipeline = Pipeline(range(90)).flat_map(work.spread, on=THREE)
    pipeline = pipeline.map(partial(work.refusing_tens, journal, 46), on=THREE, on_error=DeadLetter())
    with pipeline.open() as run:
        results = [item for item in range(90) for _ in range(item % 3)]
        assert list(run) == [item for item in results if item % 10]
        letters = Counter(each.item for each in run.dead_letters)
    assert journal.lines == ["died"]
    assert letters == Counter(item for item in results if item % 10 == 0)


def test_an_item_whose_machine_has_died_may_take_too_long_on_another_one(journal: Journal) -> None:
    pipeline = Pipeline(range(60)).map(
        partial(work.hanging_after_a_death, 30, journal), on=THREE, timeout=3.0, on_error=Skip(ItemTimeoutError)
    )
    with pipeline.open() as run:
        assert list(run) == [item for item in range(60) if item != 30]
        assert run.report().stages[1].skipped == 1
    assert journal.lines == ["died"]
