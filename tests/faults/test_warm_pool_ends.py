"""Processes that are kept end with the program, however it ends, and make no noise."""

import os
import signal

import pytest

from faults import program
from faults.places import places
from faults.program import ended, started
from support.gate import Gate
from support.processes import gone, press_ctrl_c, watching

KEPT = pytest.mark.parametrize("place", places("forkserver", "spawn"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@KEPT
def test_idle_processes_die_with_a_program_that_is_killed(place: str, number: signal.Signals, gate: Gate) -> None:
    with started(program.idle, place, gate) as process, watching({gate.wait_held() for _ in range(2)}) as kept:
        os.kill(process.pid, number)
        assert gone(kept)
        assert ended(process) == (-number, "", "")


@KEPT
def test_idle_processes_end_with_a_program_that_has_not_closed_its_pool(place: str, gate: Gate) -> None:
    with started(program.idle, place, gate) as process, watching({gate.wait_held() for _ in range(2)}) as kept:
        gate.release()
        assert ended(process) == (0, "", "")
        assert gone(kept)


@pytest.mark.parametrize("to_all", [True, False], ids=["to-the-group", "to-main-only"])
@KEPT
def test_ctrl_c_in_the_block_ends_idle_processes(place: str, to_all: bool, gate: Gate) -> None:
    with started(program.idle, place, gate) as process, watching({gate.wait_held() for _ in range(2)}) as kept:
        press_ctrl_c(process.pid, to_all)
        status, out, err = ended(process)
        assert gone(kept)
    assert (status, out, err.count("Traceback")) == (-signal.SIGINT, "", 1)


@KEPT
def test_ctrl_c_while_a_pool_is_closed_kills_what_does_not_end(place: str, gate: Gate) -> None:
    with started(program.interrupted_while_closing, place, gate) as process, watching({gate.wait_held()}) as kept:
        press_ctrl_c(process.pid)
        status, out, err = ended(process)
        assert gone(kept)
    assert (status, out) == (0, "interrupted <WarmPool: closed>\n")
    assert "did not end within 0.2 s" in err
