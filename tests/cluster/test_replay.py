"""With restarts left, a run survives the loss of machines: others do their work again, and the output is exact."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest

from chainpump import DeadItem, DeadLetter, Hosts, Pipeline, Processes, Tasks, Threads, WorkerLostError, source
from chainpump.executors.control_pipe import Report
from chainpump.executors.remote import RemoteHandle
from chainpump.worker.outcome import PackedDeadItem
from cluster import work
from contract import stages
from support.gate import LIMIT, WHOLE, Gate
from support.processes import children_by_thread, gone, parent, until, watching

TWO = Hosts(["localhost", "localhost"], workers=2, restarts=2)
# Each machine has a worker of each of two stages.
MOVED = 2


def agents() -> list[int]:
    """The agents of this run, oldest first."""
    children = sorted(children_by_thread(os.getpid()))
    return [pid for pid in children if b"cluster.agent_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def agent_of(worker: int) -> int:
    """The agent whose fork server has started a worker."""
    return parent(parent(worker))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_lost_machine_had_is_done_on_another_one(gate: Gate, number: signal.Signals) -> None:
    held = partial(work.held, gate, 30)
    pipeline = Pipeline(range(400)).map(held, on=TWO).flat_map(work.spread, on=TWO)
    with pipeline.open() as run:
        items = iter(run)
        # Nothing behind this item comes out.
        worker = gate.wait_held()
        lost = agent_of(worker)
        with watching([worker, *agents()]) as watched:
            os.kill(lost, number)
            # The same item, on another machine.
            assert agent_of(gate.wait_held()) != lost
            gate.release(2)
            assert list(items) == [item for item in range(400) for _ in range(item % 3)]
            run.close()
            assert gone(watched)
    assert sum(each.restarts for each in run.report().stages) >= MOVED


def test_machines_are_lost_one_after_the_other(gate: Gate) -> None:
    with Pipeline(range(60)).map(partial(work.held, gate, 30), on=TWO).open() as run:
        items = iter(run)
        for _ in range(2):
            os.kill(agent_of(gate.wait_held()), signal.SIGKILL)
        gate.wait_held()
        gate.release(3)
        assert list(items) == list(range(60))


def test_both_machines_are_lost_at_once(gate: Gate) -> None:
    with Pipeline(range(60)).map(partial(work.held, gate, 30), on=TWO, ordered=False).open() as run:
        items = iter(run)
        gate.wait_held()
        for agent in agents():
            os.kill(agent, signal.SIGKILL)
        gate.wait_held()
        gate.release(2)
        assert sorted(items) == list(range(60))


def test_the_loss_that_is_one_too_many_ends_the_run_and_is_named(gate: Gate) -> None:
    once = Hosts(["localhost"], restarts=1)
    with Pipeline(source(stages.endless)).map(partial(work.held, gate, 30), on=once).open() as run:
        items = iter(run)
        for _ in range(2):
            os.kill(agent_of(gate.wait_held()), signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=r"stage 'held' lost worker 1 of 1 .*: localhost "):
            list(items)


def test_a_machine_with_the_source_cannot_be_lost(gate: Gate) -> None:
    pipeline = Pipeline(source(stages.endless), on=Hosts(["localhost"])).map(partial(work.held, gate, 30), on=TWO)
    with pipeline.open() as run:
        items = iter(run)
        gate.wait_held()
        os.kill(agents()[0], signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=r"'endless' lost worker 1 of 1 .*: localhost "):
            list(items)


def test_a_machine_that_cannot_be_reached_is_not_needed(tmp_path: Path) -> None:
    command = tmp_path / "command"
    command.write_text(f'#!/bin/sh\n[ "$1" = nowhere ] && exit 3\nshift\nexec {sys.executable} "$@"\n')
    command.chmod(0o755)
    some = Hosts(["here", "nowhere"], command=f"{command} {{host}}", address="127.0.0.1", workers=4, restarts=1)
    assert list(Pipeline(range(500)).map(work.doubled, on=some)) == list(range(0, 1_000, 2))


def test_dead_letters_come_once(gate: Gate) -> None:
    def refused_then_held(item: int) -> int:
        if item == 5:
            raise ValueError("cannot take 5")
        return gate.hold(item) if item == 30 else item

    def twice_if_odd(item: int) -> list[int]:
        return [item] * (1 + item % 2)

    one = Hosts(["localhost"], workers=1, restarts=1)
    # It cannot be pickled, and need not.
    letters: SimpleQueue[DeadItem] = SimpleQueue()
    policy = DeadLetter(to=letters.put)
    pipeline = Pipeline(range(40)).flat_map(twice_if_odd).map(refused_then_held, on=one, on_error=policy)
    with pipeline.open() as run:
        items = iter(run)
        agent = agent_of(gate.wait_held())
        arrived = [letters.get(timeout=LIMIT) for _ in range(2)]
        os.kill(agent, signal.SIGKILL)
        gate.wait_held()
        gate.release(2)
        assert list(items) == [each for item in range(40) if item != 5 for each in twice_if_odd(item)]
    assert run.wait()
    assert [(each.index, each.part) for each in arrived] == [(5, 0), (5, 1)]
    assert letters.empty()


def test_a_dead_letter_that_is_lost_with_its_machine_comes_from_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first letter never arrives, although results could come out meanwhile."""
    take, lost = RemoteHandle.take, Event()

    def lose_first(handle: RemoteHandle, event: Any) -> None:
        if isinstance(event, Report) and isinstance(event.message, PackedDeadItem) and not lost.is_set():
            lost.set()
        else:
            take(handle, event)

    monkeypatch.setattr(RemoteHandle, "take", lose_first)
    one = Hosts(["localhost"], restarts=1)
    with Pipeline(range(10)).map(partial(work.failing, 5), on=one, on_error=DeadLetter()).open() as run:
        found: list[int] = []
        reader = Thread(target=lambda: found.extend(run))
        reader.start()
        assert lost.wait(LIMIT)
        # It waits until somebody has the letter; a worker that does not wait sends all results.
        until(lambda: 9 in found or run.progress().stages[1].blocked > 0, "the worker does not go on")
        os.kill(agents()[0], signal.SIGKILL)
        reader.join(WHOLE)
        assert found == [item for item in range(10) if item != 5]
        assert [each.item for each in run.dead_letters] == [5]


# The stage takes its items one by one if somebody watches for stalls.
@pytest.mark.parametrize(
    "on,stalls",
    [(Processes(), None), (Processes(), LIMIT), (Processes(restarts=1), None), (Threads(), None), (Tasks(2), None)],
    ids=str,
)
def test_dead_letters_of_a_stage_behind_a_lost_machine_come_once(gate: Gate, on: Any, stalls: float | None) -> None:
    """Item 2 is held on the machine, so what became of item 5 has not passed when the machine dies: it comes again."""
    pipeline = Pipeline(range(40)).map(partial(work.held, gate, 2), on=Hosts(["localhost"], workers=2, restarts=1))
    refusing = work.awaiting_first_of_5 if isinstance(on, Tasks) else work.refusing_first_of_5
    pipeline = pipeline.flat_map(work.paired, on=Processes(2)).map(refusing, on=on, on_error=DeadLetter())
    with pipeline.map(work.same, on=Processes(2)).open(stall_timeout=stalls) as run:
        agent = agent_of(gate.wait_held())
        until(lambda: len(run.dead_letters) == 2, "both results of item 5 are dead letters")
        os.kill(agent, signal.SIGKILL)
        gate.wait_held()
        gate.release(2)
        assert list(run) == [(item, part) for item in range(40) if item != 5 for part in range(2)]
    assert sorted((each.index, each.part) for each in run.dead_letters) == [(5, 0), (5, 1)]
