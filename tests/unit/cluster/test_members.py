"""Which machines belong to a run, and who follows a lost one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from chainpump.cluster.members import MAIN, Members
from chainpump.cluster.messages import JunctionPlan, Plan, Seal, ToWorker
from chainpump.cluster.switchboard_parts import Holds
from chainpump.engine.groups import Section
from chainpump.ipc.board import Board, Cell
from chainpump.messages.names import Role, WorkerName
from chainpump.transport.link import Kind
from chainpump.worker.seeds import Seed
from chainpump.worker.work import Assignment, Work

# Source and sink on the machine of the main process, and a stage between them on two others.
PLACES = [[MAIN], [1, 2, 1], [MAIN]]
JUNCTIONS = [JunctionPlan(1, 3, [MAIN], [1, 2]), JunctionPlan(3, 1, [1, 2], [MAIN])]


class Wire:
    """A control link; what was sent on it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, _kind: Kind, _number: int, data: bytes) -> None:
        self.sent.append(pickle.loads(data))


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board(5, 2, 3)
    yield board
    board.release(with_views=True)


def works() -> Sequence[Work]:
    def work(group: int, rows: Sequence[int], hosts: Sequence[str]) -> Work:
        stage = Assignment(WorkerName(Role.STAGE, "f", 1, len(rows)), rows[0], siblings=rows)
        return Work(group, [stage], hosts=hosts)

    return [work(0, [0], ()), work(1, [1, 2, 3], ["a", "b", "a"]), work(2, [4], ())]


def members(moves: Mapping[int, int]) -> Members:
    names = ["this machine", "a", "b"]
    plans = [
        Plan(
            host,
            names,
            {},
            5,
            [],
            JUNCTIONS,
            works(),
            PLACES,
            {1: b"code %d" % host},
            Seed(1, is_given=True),
            {},
            [],
            None,
            None,
        )
        for host in (1, 2)
    ]
    return Members(plans, moves, [4], 0.0)


def test_a_successor_has_all_places_of_a_lost_machine_under_a_number_of_its_own() -> None:
    machines = members({1: 2})
    assert machines.lose(1, []) == 3
    assert [machines.at((1, number)).plan.host for number in range(3)] == [3, 2, 3]
    assert [(each.left, each.right) for each in machines.junctions if each] == [([0], [3, 2]), ([3, 2], [0])]
    assert [host.plan.host for host in machines.living] == [2, 3]
    assert machines[3].plan.codes == {1: b"code 1"}


@pytest.mark.parametrize("moves", [{}, {1: 0}])
def test_a_machine_whose_workers_cannot_go_on_elsewhere_has_no_successor(moves: Mapping[int, int]) -> None:
    machines = members(moves)
    assert machines.lose(1, []) is None
    assert machines[1].is_lost


def test_places_move_as_often_as_their_workers_may_be_replaced() -> None:
    machines = members({1: 2})
    assert [machines.lose(1, []), machines.lose(3, []), machines.lose(2, [])] == [3, 4, 5]
    assert machines.lose(4, []) is None


def test_a_machine_gets_its_plan_when_it_greets_with_those_that_have_greeted_before(board: Board) -> None:
    machines = members({1: 2})
    first, second = Wire(), Wire()
    machines[1].link, machines[2].link = first, second  # type: ignore[assignment]
    machines.greet(2, ("b", 7), board)
    machines.greet(1, ("a", 8), board)
    [late], [early] = first.sent, second.sent
    assert (early.addresses, late.addresses) == ({}, {2: ("b", 7)})
    assert (machines[1].has_plan, machines[1].is_ready) == (True, False)


def test_a_successor_gets_the_rows_of_its_workers_and_the_ends_that_have_come(board: Board) -> None:
    machines = members({1: 2})
    machines.greet(2, ("b", 7), board)
    machines.lose(1, [0])
    machines.call(3, "c")
    wire = Wire()
    machines[3].link = wire  # type: ignore[assignment]
    board.row(3)[Cell.SENT] = 77
    machines.greet(3, ("c", 9), board)
    plan, seal = wire.sent
    assert (plan.host, plan.names, plan.addresses, seal) == (3, ["this machine", "a", "b", "c"], {2: ("b", 7)}, Seal(0))
    assert plan.cells == [(row, board.row(row).tobytes()) for row in (1, 3)]
    assert plan.places == [[0], [3, 2, 3], [0]]
    # Errors of its workers name the machine on which they run.
    assert [plan.works[1].assignments(number, 0)[0].who.host for number in range(3)] == ["c", "b", "c"]


def test_nothing_is_sent_to_a_lost_machine(board: Board) -> None:
    machines = members({1: 2})
    wire = Wire()
    machines[1].link = wire  # type: ignore[assignment]
    machines.greet(1, ("a", 8), board)
    machines.lose(1, [])
    machines[1].send(Seal(0))
    assert len(wire.sent) == 1


def test_workers_of_cancelled_groups_never_start_on_a_machine_without_a_plan(board: Board) -> None:
    machines = members({1: 2})
    wire = Wire()
    machines[1].link = machines[2].link = wire  # type: ignore[assignment]
    machines.greet(1, ("a", 8), board)
    for number in (0, 1):
        machines.at((1, number)).send(ToWorker((1, number), 4, b"start"))
    assert machines.withdrawn(board) == []
    board.flag(1)[0] = 1
    assert machines.withdrawn(board) == [((1, 1), 4)]
    machines.greet(2, ("b", 7), board)
    assert [each for each in wire.sent if isinstance(each, ToWorker)] == [ToWorker((1, 0), 4, b"start")]


def holds(first: JunctionPlan | None) -> Holds:
    section = Section(0, 2, None, is_replayed=True)
    plan = Plan(
        1, [], {}, 5, [section], [first, JUNCTIONS[1]], works(), PLACES, {}, Seed(1, is_given=True), {}, [], None, None
    )
    return Holds(plan)


def test_a_section_is_held_while_any_machine_is_full() -> None:
    held = holds(JUNCTIONS[0])
    assert held.full(1, 1, True) == {0: True}
    assert held.full(2, 1, True) == {}
    assert held.full(1, 1, False) == {}
    assert held.died(2) == {0: False}


def test_a_section_that_begins_on_one_machine_is_bounded_by_its_send_limit_alone() -> None:
    assert holds(None).full(1, 1, True) == {}
