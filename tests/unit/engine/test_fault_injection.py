"""The texts of the variable, and the faults of a worker."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from chainpump import Pipeline, StageOptionError
from chainpump.engine.fault_injection import (
    FaultyCode,
    FaultyReceiver,
    FaultySender,
    FaultySlabs,
    FaultyWorker,
    with_faults,
)
from chainpump.engine.fault_rules import VARIABLE, Faults, FaultsOfWorker, Point, Rule
from chainpump.ipc.board import Board
from chainpump.messages.failure_texts import WorkerName
from chainpump.messages.names import Role
from chainpump.pickling.shared_functions import SharedFunctions
from chainpump.transport.frames import Span
from chainpump.transport.process_channel import PacketChannel, PacketSender
from chainpump.transport.thread_channel import MemoryChannel
from chainpump.worker.endpoints import Endpoints
from chainpump.worker.work import Assignment, Work
from chainpump.worker.worker import Worker


def faults_of(
    text: str, stages: tuple[str, ...] = ("score",), number: int = 0, generation: int = 0
) -> FaultsOfWorker | None:
    return Faults.read(text).of_worker(list(stages), number, generation)


def failed_calls(text: str, point: Point, calls: int, number: int = 0) -> list[int]:
    """The numbers of the calls that raise."""
    faults = faults_of(text, number=number)
    fault = faults.at(point) if faults is not None else None
    assert fault is not None
    found = []
    for n in range(1, calls + 1):
        try:
            fault.inject()
        except OSError:
            found.append(n)
    return found


@pytest.mark.parametrize(
    "text, rules, seed",
    [
        ("", (), "0"),
        ("send=0.01", (Rule(Point.SEND, None, 0.01, 0, "raise"),), "0"),
        ("slab@decode=#3:kill;seed=7", (Rule(Point.SLAB, "decode", 0.0, 3, "kill"),), "7"),
        (
            " spawn=1:exit, control=1e-3:delay ; seed=12 ",
            (Rule(Point.SPAWN, None, 1.0, 0, "exit"), Rule(Point.CONTROL, None, 0.001, 0, "delay")),
            "12",
        ),
    ],
)
def test_a_text_is_read_as_rules(text: str, rules: tuple[Rule, ...], seed: str) -> None:
    assert Faults.read(text) == Faults(rules, seed)


@pytest.mark.parametrize(
    "text, part, rule",
    [
        ("sent=0.1", "sent=0.1", "a point is one of spawn, start, send, receive, slab, control"),
        ("send=0.1, =0.1", "=0.1", "a point is one of spawn, start, send, receive, slab, control"),
        ("send=0.1:die", "send=0.1:die", "an action is one of raise, exit, kill, delay"),
        *(
            (part, part, "'=' is followed by a probability such as 0.01, or by a call such as #3")
            for part in ("send", "send=", "send=0", "send=2", "send=-0.5", "send=nan", "send=#0", "send=#x", "send=#")
        ),
        *((f"send=0.1;{seed}", seed, "behind ';' comes seed=NUMBER") for seed in ("7", "seed", "seed=", "seed=x")),
    ],
)
def test_an_invalid_text_is_refused_with_its_invalid_part(text: str, part: str, rule: str) -> None:
    with pytest.raises(StageOptionError) as caught:
        Faults.read(text)
    assert str(caught.value) == f"{VARIABLE}={text!r} cannot be read at {part!r}: {rule}."


def test_an_invalid_value_ends_a_run_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sent=0.1")
    with pytest.raises(StageOptionError, match=rf"^{VARIABLE}='sent=0\.1' cannot be read at 'sent=0\.1': "):
        list(Pipeline(range(3)))


def test_a_worker_that_no_rule_applies_to_has_no_faults() -> None:
    assert faults_of("") is None
    assert faults_of("send@other=0.5") is None
    # The predecessor of this worker has had the counted fault.
    assert faults_of("send@score=#1", generation=1) is None


def test_stages_that_share_a_worker_share_its_faults() -> None:
    faults = faults_of("send@score=#1", stages=("decode", "score"))
    assert faults is not None
    assert faults.rules == (Rule(Point.SEND, "score", 0.0, 1, "raise"),)


def test_a_replacement_has_random_faults_but_no_counted_ones() -> None:
    faults = faults_of("send=#1,receive=0.5", generation=1)
    assert faults is not None
    assert [rule.point for rule in faults.rules] == [Point.RECEIVE]


def test_a_counted_fault_happens_once() -> None:
    assert failed_calls("send=#3", Point.SEND, 10) == [3]


def test_random_faults_depend_on_the_seed_and_on_the_worker() -> None:
    first = failed_calls("send=0.3;seed=7", Point.SEND, 100)
    assert 10 < len(first) < 60
    assert failed_calls("send=0.3;seed=7", Point.SEND, 100) == first
    assert failed_calls("send=0.3;seed=8", Point.SEND, 100) != first
    assert failed_calls("send=0.3;seed=7", Point.SEND, 100, number=1) != first


def test_other_points_have_no_fault() -> None:
    faults = faults_of("send=1")
    assert faults is not None
    assert faults.at(Point.RECEIVE) is None


@pytest.mark.parametrize("action", ["exit", "kill"])
def test_the_main_process_is_not_ended(action: str) -> None:
    faults = faults_of(f"spawn=1:{action}")
    assert faults is not None
    assert faults.process == os.getpid()
    fault = faults.at(Point.SPAWN)
    assert fault is not None
    with pytest.raises(OSError, match=rf"^\[Errno 5\] {VARIABLE} asked for a fault at 'spawn'$"):
        fault.inject()


@pytest.fixture(params=[MemoryChannel, PacketChannel])
def worker(request: pytest.FixtureRequest, board: Board) -> Iterator[Worker]:
    """A worker of the stage `score` between two channels. It is not started."""
    with ExitStack() as stack:
        before, behind = (request.param(1, 1, None) for _ in range(2))
        endpoints = Endpoints(before.receiver(), behind.sender(0), None, None)
        for each in (before, behind, endpoints):
            stack.callback(each.close)
        assignment = Assignment(WorkerName(Role.STAGE, "score", 1, 1, None), 1, False, ("",), range(1, 2))
        yield Worker(Work(1, [assignment], (0,)), [assignment], SharedFunctions([]), board, endpoints)


@pytest.mark.parametrize("text", ["", "send@other=1,start@other=1", "receive=#1"])
def test_a_worker_without_faults_is_not_wrapped(worker: Worker, text: str) -> None:
    endpoints, code = worker._endpoints, worker.code
    assert with_faults(worker, Faults.read(text), generation=1) is worker
    assert (type(worker), worker._endpoints, worker.code) == (Worker, endpoints, code)


@pytest.mark.parametrize(
    "point, wrapped",
    [
        ("start", {FaultyCode}),
        ("send", {FaultySender}),
        ("receive", {FaultyReceiver}),
        ("slab", {FaultySlabs}),
        ("control", set()),
    ],
)
def test_only_objects_with_a_fault_are_wrapped(worker: Worker, point: str, wrapped: set[type]) -> None:
    had_slabs = isinstance(worker._endpoints.sender, PacketSender)
    faulty = with_faults(worker, Faults.read(f"{point}=1"), generation=0)
    sender, code = faulty._endpoints.sender, faulty.code
    slabs = sender.writer.slabs if isinstance(sender, PacketSender) else None
    parts = {type(part) for part in (code, sender, faulty._endpoints.receiver, slabs)}
    assert type(faulty) is FaultyWorker
    assert parts & {FaultyCode, FaultySender, FaultyReceiver, FaultySlabs} == (
        wrapped if had_slabs else wrapped - {FaultySlabs}
    )


def test_a_fault_comes_before_the_call_and_other_calls_are_made(worker: Worker) -> None:
    sender = with_faults(worker, Faults.read("send=#2"), generation=0)._endpoints.sender
    assert sender is not None
    sender.open()
    assert sender.send([1], False, Span(0, 1), None) > 0
    with pytest.raises(OSError, match="asked for a fault at 'send'"):
        sender.send([2], False, Span(1, 2), None)
    assert sender.send([3], False, Span(1, 2), None) > 0


def test_a_pickled_fault_counts_its_calls_from_the_first_one() -> None:
    faults = faults_of("send=#1")
    assert faults is not None
    fault = faults.at(Point.SEND)
    assert fault is not None
    for each in (fault, pickle.loads(pickle.dumps(fault))):
        with pytest.raises(OSError, match="asked for a fault at 'send'"):
            each.inject()
        each.inject()
