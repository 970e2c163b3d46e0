"""The status of a worker by its row of the board."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from chainpump.engine import worker_status
from chainpump.engine.worker_status import Roster, RosterGroup, moved_last, table_of, worker_statuses
from chainpump.ipc.board import CELLS, Cell, State
from chainpump.ipc.wait_times import MASK
from chainpump.messages.call_stacks import stacks
from chainpump.messages.source_files import PACKAGE

LOAD, DECODE = ("source", "load", None), ("stage", "decode", "jobs.py:7")
ROSTER = Roster(
    [RosterGroup([LOAD], [0], 1, 1, restores=False), RosterGroup([DECODE], [1], 2, 1, restores=True)],
    ("", "n1"),
    board=5,
    bell=6,
    pid=9,
    opened=100,
)


def at(row: int, cells: Mapping[int, int]) -> dict[int, str]:
    """The status of all workers, by their rows. One row has these cells; the other workers have ended."""
    board = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(3)]
    for number, each in enumerate(board):
        each[Cell.STATE] = State.RUNNING if number == row else State.DONE
    for cell, value in cells.items():
        board[row][cell] = value
    found = worker_statuses(ROSTER, ROSTER.read(board.__getitem__))
    return {ROSTER.groups[each.slot[0]].rows[0] + each.slot[1]: each.at for each in found}


def test_a_roster_can_be_packed_as_text() -> None:
    assert Roster.unpacked(ROSTER.packed()) == ROSTER


@pytest.mark.parametrize("text", ["", "?", '{"groups": 1}', "{}", "3", '{"groups": [], "speed": 1}'])
def test_a_text_of_another_version_is_no_roster(text: str) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        Roster.unpacked(text)


@pytest.mark.parametrize(
    "cells, words",
    [
        ({Cell.STATE: State.STARTING}, "starting"),
        ({Cell.STATE: State.STARTING, Cell.SET_UP: -1 & MASK}, "setting up"),
        ({Cell.STARVED: -1 & MASK, Cell.PASSED: 4}, "waiting for items"),
        ({Cell.BLOCKED: -1 & MASK}, "waiting for credit"),
        ({Cell.AT_ONCE: 2}, "in 2 items at once"),
        ({Cell.ITEM: 3, Cell.INDEX: 12, Cell.RECEIVED: 64}, "in item 12"),
        ({Cell.FIRST: 10, Cell.RECEIVED: 8, Cell.FINISHED: 7}, "in item 10"),
        ({Cell.FIRST: 10, Cell.RECEIVED: 9, Cell.FINISHED: 4, Cell.SKIPPED: 1}, "in one of the items 10 to 13"),
        ({Cell.RECEIVED: 1, Cell.DEAD: 1}, "at work after 1 item"),
    ],
)
def test_the_status_of_a_worker_has_words(cells: Mapping[int, int], words: str) -> None:
    # The group of row 2 restores order, so it waits for a certain item.
    expected = "waiting for item 0" if words == "waiting for items" else words
    assert at(2, cells) == {2: expected}


def test_the_status_of_a_source_has_the_number_of_its_next_item() -> None:
    assert at(0, {Cell.SENT: 7}) == {0: "making item 7"}


def test_an_ended_worker_has_no_status() -> None:
    assert at(1, {Cell.ENDED: 3}) == {}


def test_a_worker_that_waits_for_the_place_of_another_one_is_listed_behind_it() -> None:
    board = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(3)]
    for each in board:
        each[Cell.STATE] = State.DONE
    board[1][Cell.STATE], board[1][Cell.PID], board[1][Cell.SUCCESSOR] = State.RUNNING, 40, 41

    def listed() -> list[tuple[int, str, bool]]:
        found = worker_statuses(ROSTER, ROSTER.read(board.__getitem__))
        return [(each.pid, each.at, each.works) for each in found]

    assert listed() == [(40, "at work after 0 items", True), (41, "waiting for its turn", False)]
    board[1][Cell.STATE] = State.RETIRED
    assert listed() == [(41, "waiting for its turn", False)]


def test_a_worker_on_another_machine_is_listed_with_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process of this machine with the same number is not the worker.
    monkeypatch.setattr(worker_status, "_is_stopped", lambda _: True)
    board = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(3)]
    for number, each in enumerate(board):
        each[Cell.STATE], each[Cell.HOST], each[Cell.PID] = State.RUNNING, number, 40 + number
    found = list(worker_statuses(ROSTER, ROSTER.read(board.__getitem__)))
    listed = [" ".join(line.split()) for line in table_of(found, 100).splitlines()]
    assert listed == [
        "stage worker is",
        "load 1 of 1, pid 40 stopped by a signal for 0 s",
        "decode 1 of 2, pid 41 on n1 at work after 0 items for 0 s",
        # It has joined the run after the roster was made.
        "decode 2 of 2, pid 42 on another machine at work after 0 items for 0 s",
    ]


OURS = f'  File "{PACKAGE}worker/worker.py", line 1 in run'
ENTRY = f'  File "{PACKAGE}executors/process_main.py", line 1 in run_worker'
MAIN = f'  File "{PACKAGE}cli/main.py", line 1 in main'
SCRIPT = '  File "/usr/bin/chainpump", line 1 in <module>'
RUNPY = '  File "<frozen runpy>", line 1 in _run_code'
WAIT = '  File "/usr/lib/python3/threading.py", line 1 in wait'
USER, OTHER = (f'  File "jobs.py", line {line} in decode' for line in (7, 8))


@pytest.mark.parametrize(
    "stack, words",
    [
        ([USER, OTHER, OURS, ENTRY], [USER, OTHER]),
        ([WAIT, USER, OURS], [WAIT, USER]),
        ([WAIT, OURS, ENTRY], []),
        ([WAIT, OURS, USER, OURS, ENTRY], [USER]),
        ([OURS, ENTRY, "  File popen_fork.py", OURS, USER], []),
        ([WAIT, OURS, MAIN, SCRIPT], []),
        ([WAIT, OURS, USER, RUNPY], [USER]),
        ([], []),
    ],
    ids=[
        "in a stage",
        "waits in a stage",
        "waits for items",
        "in a pipeline of its own",
        "fork",
        "the command line",
        "a program as a module",
        "no answer",
    ],
)
def test_a_stack_is_shown_without_calls_of_the_library(stack: list[str], words: list[str]) -> None:
    _, *lines = stacks([("who", "\n".join(["Stack (most recent call first):", *stack]))]).splitlines()
    assert lines == (["who", *words] if words else [])


@pytest.mark.parametrize(
    "row, cell, counts",
    [
        (1, Cell.STARTED, True),
        (1, Cell.ENDED, True),
        (2, Cell.STARTED, False),
        (2, Cell.ENDED, False),
        (2, Cell.SINCE, True),
        (2, Cell.MOVED, True),
    ],
)
def test_an_added_worker_counts_as_a_move_only_after_its_first_item(row: int, cell: int, counts: bool) -> None:
    board = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(3)]
    board[row][cell] = 7
    assert moved_last(ROSTER, ROSTER.read(board.__getitem__)) == (7 if counts else 0)


def test_the_start_of_an_added_worker_counts_if_it_replaces_another_one_and_items_wait_for_it() -> None:
    board = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(3)]
    board[2][Cell.STARTED], board[2][Cell.RECEIVED], board[2][Cell.FINISHED] = 7, 3, 1
    assert moved_last(ROSTER, ROSTER.read(board.__getitem__)) == 7
