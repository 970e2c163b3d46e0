"""Rule 8, the main process: Ctrl-C, SIGTERM, SIGKILL or its end leave nothing, and workers make no noise."""

import os
import re
import signal
from contextlib import AbstractContextManager

import pytest

from faults import program
from faults.places import ANYWHERE, PROCESSES, WITH_WORKERS
from faults.program import ended, started
from support.cases import pairwise
from support.gate import Gate
from support.processes import gone, press_ctrl_c, signal_if_alive, wait_asleep, watching


def workers_of(gate: Gate) -> AbstractContextManager[list[int]]:
    """The four workers of `held_everywhere`, once each is where it waits."""
    return watching({gate.wait_held() for _ in range(4)})


@pytest.mark.parametrize("to_all", [True, False], ids=["to-the-group", "to-main-only"])
@pytest.mark.parametrize("place", PROCESSES)
def test_ctrl_c_is_one_keyboard_interrupt_and_the_program_goes_on(place: str, to_all: bool, gate: Gate) -> None:
    with started(program.interrupted, place, gate) as process, workers_of(gate) as workers:
        press_ctrl_c(process.pid, to_all)
        assert gone(workers)
        assert ended(process) == (0, "interrupted 1 ['MainThread']\n", "")


@pairwise
@pytest.mark.parametrize("to_all", [True, False], ids=["to-the-group", "to-main-only"])
@pytest.mark.parametrize("scenario", [program.wait, program.wait_in_sink], ids=lambda it: it.__name__)
@pytest.mark.parametrize("place", PROCESSES)
def test_ctrl_c_that_nobody_catches_ends_the_program_with_its_own_traceback_alone(
    place: str, scenario, to_all: bool, gate: Gate
) -> None:
    with started(scenario, place, gate) as process, workers_of(gate) as workers:
        press_ctrl_c(process.pid, to_all)
        assert gone(workers)
        status, _, err = ended(process)
    assert status == -signal.SIGINT
    assert err.count("Traceback (most recent call last)") == 1
    # A note says how far the run was, once it has begun.
    assert re.search(r"\nKeyboardInterrupt\n(.+ → .+: cancelled after .+\n)?\Z", err)


def test_ctrl_c_while_a_worker_is_forked_is_not_lost(gate: Gate) -> None:
    """Python drops an exception in a callback at a fork; and a new child has no handler of its own yet."""
    with started(program.interrupted_by_fork, "fork", gate) as process:
        assert ended(process) == (0, "interrupted 1 ['MainThread']\n", "")


def test_ctrl_c_in_a_stage_of_the_callers_own_thread_is_one_keyboard_interrupt(gate: Gate) -> None:
    with started(program.interrupted, "inline", gate) as process:
        gate.wait_held()
        press_ctrl_c(process.pid)
        status, out, err = ended(process)
    assert (status, out, err) == (0, "interrupted 1 ['MainThread']\n", "")


@pytest.mark.parametrize("place", ["threads", "tasks"])
def test_ctrl_c_ends_workers_that_are_threads(place: str, gate: Gate) -> None:
    """First in a loop, then in a run with a sink."""
    with started(program.interrupted_among_threads, place, gate) as process:
        for _ in range(2):
            gate.wait_held()
            os.kill(process.pid, signal.SIGINT)
        assert ended(process) == (0, "interrupted 2 ['MainThread']\n", "")


@pairwise
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("scenario", [program.wait, program.wait_in_sink], ids=lambda it: it.__name__)
@pytest.mark.parametrize("place", PROCESSES)
def test_death_of_the_main_process_takes_every_worker_with_it(
    place: str, scenario, number: signal.Signals, gate: Gate
) -> None:
    with started(scenario, place, gate) as process, workers_of(gate) as workers:
        assert len(workers) == 4
        os.kill(process.pid, number)
        assert gone(workers)
        status, _, err = ended(process)
    assert (status, err) == (-number, "")


@pytest.mark.parametrize("stuck", [program.stuck_ignoring_sigterm, program.stuck_in_c], ids=lambda it: it.__name__)
def test_death_of_the_main_process_takes_workers_that_hear_nothing(stuck, gate: Gate) -> None:
    with started(stuck, "forkserver", gate) as process, watching([gate.wait_held()]) as workers:
        os.kill(process.pid, signal.SIGKILL)
        assert gone(workers)
        ended(process)


@pytest.mark.parametrize("place", PROCESSES)
def test_death_of_the_main_process_takes_a_worker_that_waits_for_its_handler(place: str, gate: Gate) -> None:
    with started(program.stuck_handler, place, gate) as process:
        pid = gate.wait_held()
        with watching([pid]) as workers:
            wait_asleep(pid)
            os.kill(process.pid, signal.SIGKILL)
            assert gone(workers)
            ended(process)


def test_sigterm_that_the_program_handles_cancels_in_good_order(gate: Gate) -> None:
    with started(program.swallow_first_sigterm, "forkserver", gate) as process, workers_of(gate) as workers:
        os.kill(process.pid, signal.SIGTERM)
        assert gone(workers)
        assert ended(process) == (0, "", "")


@pytest.mark.parametrize("is_main_first", [True, False], ids=["main first", "main last"])
@pytest.mark.parametrize("place", PROCESSES)
def test_sigterm_to_all_processes_that_the_program_handles_is_no_loss(
    place: str, is_main_first: bool, gate: Gate
) -> None:
    """As a scheduler stops a job: it waits for nobody between two signals."""
    with started(program.swallow_first_sigterm, place, gate) as process:
        pids = [gate.wait_held() for _ in range(4)]
        # Python drops what a handler raises while a `__del__` runs, as there are some at the end of the start.
        wait_asleep(process.pid)
        if is_main_first:
            os.kill(process.pid, signal.SIGTERM)
            # It cancels its run at once, so a worker may have ended before this test comes to it.
            for pid in pids:
                signal_if_alive(pid, signal.SIGTERM)
        else:
            # Stopped meanwhile: so however slow this test is, the deaths do not come long before the main process's own
            # signal, which is why it does not take them for losses.
            os.kill(process.pid, signal.SIGSTOP)
            # A worker may end by itself as soon as its neighbour has.
            for pid in pids:
                signal_if_alive(pid, signal.SIGTERM)
            os.kill(process.pid, signal.SIGTERM)
            os.kill(process.pid, signal.SIGCONT)
        assert ended(process) == (0, "", "")


@pytest.mark.parametrize("place", ANYWHERE)
def test_program_that_ends_with_an_iterator_open_ends_in_silence(place: str, gate: Gate) -> None:
    with started(program.exit_with_open_iterator, place, gate) as process:
        assert ended(process) == (0, "", "")


@pytest.mark.parametrize("place", WITH_WORKERS)
def test_program_that_ends_with_busy_workers_ends_and_tells_of_a_thread_alone(place: str, gate: Gate) -> None:
    """Its workers would be busy for ever, and nobody opens the gate: a program that waited for them would not end."""
    with started(program.exit_with_open_run, place, gate) as process:
        gate.wait_held()
        status, out, err = ended(process)
    assert (status, out) == (0, "")
    assert tells_of_one_left_behind(err) if place == "threads" else not err


def tells_of_one_left_behind(text: str) -> bool:
    """Whether that is all it tells, and where that one is."""
    headline, at, *calls = text.splitlines()
    is_told = "is left behind" in headline and at == "It was at (most recent call first):"
    return is_told and all(line.startswith("  File ") for line in calls)


def test_program_that_raises_with_an_iterator_open_tells_only_that(gate: Gate) -> None:
    with started(program.raise_with_open_iterator, "forkserver", gate) as process:
        assert ended(process) == (1, "", "bye\n")


def test_thread_that_was_left_behind_does_not_keep_the_program(gate: Gate) -> None:
    with started(program.exit_with_left_behind_thread, "threads", gate) as process:
        status, out, err = ended(process)
    assert (status, out) == (0, "")
    assert tells_of_one_left_behind(err)


def test_thread_that_was_left_behind_keeps_no_debugger_from_the_program(gate: Gate) -> None:
    with started(program.trace_after_stuck_thread, "threads", gate) as process:
        status, out, err = ended(process)
    assert status == 0
    assert tells_of_one_left_behind(err)
    assert out.startswith("['on', ")
