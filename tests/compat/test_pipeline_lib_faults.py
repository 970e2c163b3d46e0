"""The facade of pipeline_lib: each fault ends the run at once, with the exception that its users know."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chainpump.compat.pipeline_lib import InactivityError, PipelineTask, TaskError, execute
from chainpump.compat.pipeline_lib.termination import EndingSignals
from compat import pipeline_lib_tasks as tasks
from compat.test_pipeline_lib import counted, in_all_but_spawned, in_processes, with_bounds
from support.gate import WHOLE, Gate, Journal
from support.processes import gone, watching

DRAIN = PipelineTask(tasks.drain)
RAISING = {
    "source": [PipelineTask(tasks.raising_source), DRAIN],
    "stage": [counted(), PipelineTask(tasks.raising_stage), DRAIN],
    "sink": [counted(), PipelineTask(tasks.raising_sink)],
}
INACTIVE = (
    r"^Last updated time was 0\.2s ago, pipeline inactivity timeout is 0\.2s\.\n"
    r"no item moved for 0\.2 s; stage 'wait_in_vain' .* is in item 0"
)
PROGRAM = """
import pickle, signal, sys
from chainpump.compat.pipeline_lib import PipelineTask, execute
from compat import pipeline_lib_tasks as tasks
from support.processes import descendants

def handle(number, frame):
    journal.write(f"handler {len(descendants())}")
    if way == "raises":
        raise tasks.AppError("handler")
    if way == "exits":
        sys.exit(3)

if __name__ == "__main__":
    gate, journal = pickle.load(sys.stdin.buffer)
    parallelism, way = sys.argv[1:]
    if way:
        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)
    first = PipelineTask(tasks.forever, {"gate": gate}, packets_in_flight=4)
    execute([first, PipelineTask(tasks.drain)], parallelism, type_check_pipeline=False)
    journal.write("after execute")
"""


@pytest.mark.parametrize("where", RAISING)
@in_all_but_spawned
def test_the_first_error_keeps_its_class_and_arguments(parallelism: Any, where: str) -> None:
    with pytest.raises(tasks.AppError) as caught:
        execute(RAISING[where], parallelism, type_check_pipeline=False)
    assert caught.value.args[0] == where


@in_processes
@pytest.mark.parametrize("where", ["stage", "sink"])
def test_the_cause_of_an_error_is_the_traceback_of_its_process(parallelism: Any, where: str) -> None:
    with pytest.raises(tasks.AppError) as caught:
        execute(RAISING[where], parallelism, type_check_pipeline=False)
    assert isinstance(caught.value.__cause__, TaskError)
    assert f'raise AppError("{where}", item)' in str(caught.value.__cause__)
    assert f"'raising_{where}' (worker 1 of 1, pid " in str(caught.value.__cause__)


@with_bounds
def test_the_cause_that_a_task_gives_comes_behind_the_traceback_of_its_process(parallelism: Any) -> None:
    with pytest.raises(tasks.AppError) as caught:
        execute([counted(), PipelineTask(tasks.raise_from)], parallelism, type_check_pipeline=False)
    if parallelism == "thread":
        assert isinstance(caught.value.__cause__, KeyError)
    else:
        assert "KeyError: 0" in str(caught.value.__cause__)


def test_a_huge_exception_arrives_whole() -> None:
    with pytest.raises(tasks.AppError) as caught:
        execute([counted(), PipelineTask(tasks.raise_huge), DRAIN], "process-fork", type_check_pipeline=False)
    assert len(caught.value.args[0]) == 3_000_000


def test_an_item_that_cannot_be_pickled_is_the_error_of_pickle() -> None:
    with pytest.raises(TypeError, match="cannot pickle") as caught:
        execute([PipelineTask(tasks.unpicklable), DRAIN], "process-fork")
    assert str(caught.value.__cause__).startswith("source 'unpicklable' yielded item 0, which cannot be sent")


@with_bounds
@pytest.mark.parametrize("function", [tasks.end_early, tasks.stop_early])
def test_a_task_that_returns_before_its_input_ends_is_an_error(parallelism: Any, function: Any) -> None:
    last = [] if function is tasks.stop_early else [DRAIN]
    with pytest.raises(TaskError, match=f"'{function.__name__}' returned after 1 item while its input had more"):
        execute([counted(1000), PipelineTask(function), *last], parallelism, type_check_pipeline=False)


@pytest.mark.parametrize("function", [tasks.end_early, tasks.stop_early])
def test_a_coroutine_may_return_before_its_input_ends(function: Any) -> None:
    last = [] if function is tasks.stop_early else [DRAIN]
    execute([counted(1000), PipelineTask(function), *last], "coroutine", type_check_pipeline=False)


@pytest.mark.parametrize(
    "function, start, fate",
    [
        (tasks.exit_0, "Process: exit_0 exited with code 0", "raised SystemExit"),
        (tasks.exit_at_once, "Process: exit_at_once exited with code 0", "exited with code 0"),
        (tasks.kill_itself, "Process: kill_itself exited with non-zero code -9", "killed by SIGKILL"),
    ],
)
def test_a_process_that_ends_is_an_error_that_names_it(function: Any, start: str, fate: str) -> None:
    with pytest.raises(TaskError, match=rf"^{start}(.*\n)?.*'{function.__name__}' .*{fate}"):
        execute([counted(), PipelineTask(function), DRAIN], "process-fork", type_check_pipeline=False)


EXITED = r"Process: raise_in_sink exited with non-zero code {}\.\n"


@pytest.mark.parametrize(
    "error, start",
    [
        (SystemExit(3), EXITED.format(3)),
        (SystemExit("text"), EXITED.format(1)),
        (KeyboardInterrupt("mine"), ""),
        (BaseException("base"), ""),
    ],
    ids=repr,
)
def test_an_exit_of_the_last_task_does_not_end_the_program(error: BaseException, start: str) -> None:
    last = PipelineTask(tasks.raise_in_sink, {"error": error})
    with pytest.raises(TaskError, match=rf"^{start}sink 'raise_in_sink' .* raised {type(error).__name__}"):
        execute([counted(), last], "process-fork", type_check_pipeline=False)


@with_bounds
def test_inactivity_is_an_error_that_says_where_each_task_is(parallelism: Any, gate: Gate) -> None:
    stuck = PipelineTask(tasks.wait_in_vain, {"gate": gate})
    with pytest.raises(InactivityError, match=INACTIVE):
        execute([counted(), stuck, DRAIN], parallelism, type_check_pipeline=False, inactivity_timeout=0.2)
    # A thread cannot be ended from outside.
    gate.release()


def test_inactivity_of_the_calling_thread_is_not_watched() -> None:
    with pytest.raises(ValueError, match=r"^inactivity_timeout cannot work with 'coroutine'"):
        execute([counted(), DRAIN], "coroutine", type_check_pipeline=False, inactivity_timeout=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@in_processes
def test_a_signal_that_ends_the_program_leaves_no_child(parallelism: Any, number: signal.Signals, gate: Gate) -> None:
    with running_program(gate, parallelism) as program, watching([gate.wait_held()]) as watched:
        program.send_signal(number)
        assert program.wait(WHOLE) == -number
        assert gone(watched)


@pytest.mark.parametrize("way, status", [("returns", 0), ("raises", 1), ("exits", 3)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_handler_of_the_program_is_called_when_all_workers_have_ended(
    number: signal.Signals, way: str, status: int, gate: Gate, journal: Journal
) -> None:
    with running_program(gate, "process-fork", way, journal) as program, watching([gate.wait_held()]) as watched:
        program.send_signal(number)
        assert program.wait(WHOLE) == status
        assert gone(watched)
    # Each line of the handler has the number of its children.
    assert journal.lines == ["handler 0", *(["after execute"] if way == "returns" else [])]


def test_a_signal_that_arrives_while_workers_are_started_ends_the_run() -> None:
    class Run:
        cancelled = 0

        def cancel(self) -> None:
            self.cancelled += 1

    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    try:
        run = Run()
        with EndingSignals() as signals:
            signal.raise_signal(signal.SIGTERM)
            assert (arrived, run.cancelled) == ([], 0)
            signals.cancel(run)
            assert run.cancelled == 1
        assert arrived == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running_program(
    gate: Gate, parallelism: str, way: str = "", journal: Journal | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program whose first task never ends. way: what its handlers of signals do; if empty, it has none."""
    command = [sys.executable, "-c", PROGRAM, parallelism, way]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    ) as program:
        try:
            assert program.stdin is not None
            program.stdin.write(pickle.dumps((gate, journal)))
            program.stdin.close()
            yield program
        finally:
            # Leaving the block waits for it.
            program.kill()
