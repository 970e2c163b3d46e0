"""What the runs of a process are at can be seen from outside, at any time, and nobody is disturbed by the look."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, Tasks, current_worker, per_worker, source, stage
from chainpump.cli import stacks as looking
from chainpump.cli.stacks import stacks
from chainpump.cli.target import UsageError
from chainpump.executors.start_methods import StartMethod
from chainpump.ipc import system
from chainpump.ipc.system import is_portable
from faults import program, stages
from faults.places import FORKING, on, places
from faults.program import started
from support.gate import LIMIT, WHOLE, Gate
from support.processes import helpers, until, wait_asleep

LINE = re.compile(r"^  (\S+) +\d of \d, pid (\d+) +(.*?)(?: for [\d.]+ s)?$", re.MULTILINE)

pytestmark = pytest.mark.skipif(is_portable(), reason="what is portable cannot be told from other files")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can answer has the time to, on a machine however busy."""
    monkeypatch.setattr(looking, "PATIENCE", LIMIT)


def told(of: int | None = None) -> tuple[dict[str, tuple[int, str]], str]:
    """The process of each stage's worker, and what it is at; and all of the text."""
    text = stacks(of or os.getpid())
    return {name: (int(pid), at) for name, pid, at in LINE.findall(text)}, text


def settled(are: Callable[[dict[str, tuple[int, str]], str], bool]) -> tuple[dict[str, tuple[int, str]], str]:
    """The same of this process, as soon as they are so: a worker goes on to wait after it has come to a gate."""
    seen: list[tuple[dict[str, tuple[int, str]], str]] = []

    def is_so() -> bool:
        seen.append(told())
        return are(*seen[-1])

    until(is_so, "the workers to settle")
    return seen[-1]


def hold_if(item: int, gate: Gate, at: int) -> int:
    return gate.hold(item) if item == at else item


def where(function: Any, line: int) -> str:
    """A call of a function of this file, in the line that is so many below its first."""
    return f'  File "{__file__}", line {function.__code__.co_firstlineno + line} in {function.__name__}'


@pytest.mark.parametrize("place", places("forkserver", "spawn", "fork", "threads"))
def test_every_worker_is_told_with_what_it_waits_for_and_where_it_is(place: str, gate: Gate) -> None:
    held = Pipeline(source(stages.count_for_ever), on=on(place)).map(partial(hold_if, gate=gate, at=3), on=on(place))
    with held.then(stages.same, on=on(place)).open() as run:
        pid = gate.wait_held()
        found, text = settled(
            lambda found, text: (
                found["count_for_ever"][1] == "waiting for credit"
                and found["same"][1].startswith("waiting for ")
                and " in wait_released\n" in text
            )
        )
        assert found["iteration"] == (os.getpid(), "starting")
        at = found["hold_if"]
        assert at[0] == pid
        assert (first := re.fullmatch(r"in (?:one of the items|item) (\d+)(?: to \d+)?", at[1]))
        assert int(first[1]) <= 3
        calls = text[text.index(f"stage 'hold_if' (worker 1 of 1, pid {pid})") :].splitlines()
        assert calls[1:4] == [calls[1], calls[2], where(hold_if, 1)]
        assert calls[2].endswith(" in hold")
        assert f"\nthe thread that has opened the run (pid {os.getpid()})\n" in text
        gate.release()
        assert next(iter(run)) == 0


def measured(seconds: float) -> float:
    began = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - began


def busy(_: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return 1


@pytest.mark.parametrize("place", places("forkserver", "fork", "threads"))
def test_waits_and_work_go_on_after_a_look(place: str, gate: Gate) -> None:
    """A worker that sends, one that sleeps, one that works, one that waits for the test, and two that receive."""
    sleeping = Pipeline([1.0]).map(measured, on=on(place)).then(stages.same, on=on(place))
    working = Pipeline([1]).map(partial(busy, seconds=1.0), on=on(place))
    held = Pipeline(source(range, 1_000_000), on=on(place)).map(partial(hold_if, gate=gate, at=0), on=on(place))
    with sleeping.open() as one, working.open() as two, held.then(stages.same, on=on(place)).open() as three:
        gate.wait_held()
        for _ in range(10):
            assert stacks(os.getpid()).count("Where the workers were") == 3
        gate.release()
        assert next(iter(one)) >= 1.0
        assert list(two) == [1]
        assert stages.tally(three) == 1_000_000


def test_a_worker_that_dies_as_it_is_asked_is_not_waited_for(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    send = signal.pidfd_send_signal
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda process, _: send(process, signal.SIGKILL))
    with Pipeline([0]).map(partial(hold_if, gate=gate, at=0), on=Processes()).open():
        gate.wait_held()
        assert "No answer" not in stacks(os.getpid())


async def never(item: int) -> int:
    await asyncio.sleep(LIMIT)
    return item


def test_a_worker_of_several_tasks_tells_each() -> None:
    with Pipeline(range(3)).map(never, on=Tasks(2), name="fetch").open():
        _, text = settled(lambda _, text: text.count(where(never, 1)) == 2)
    for item in range(2):
        assert re.search(
            rf"^stage 'fetch' \(worker 1 of 1, pid {os.getpid()}\), in item {item} for ", text, re.MULTILINE
        )


def test_a_run_whose_main_process_is_stuck_in_native_code_is_told_all_the_same(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 2.0)
    with started(program.held_up_in_native_code, "forkserver", gate) as process:
        pids = {gate.wait_held(), gate.wait_held()}
        for pid in pids:
            wait_asleep(pid)
        found, text = told(process.pid)
        assert {process.pid, found["hold"][0]} == pids
        assert found["hold"][1] == "in item 0"
        assert " in wait_released\n" in text
        assert text.endswith(
            f"No answer within 2 s, as if stopped or held up in native code: the main process (pid {process.pid})"
        )


def test_a_run_in_one_thread_has_nobody_to_answer(gate: Gate) -> None:
    inline = Pipeline(range(3)).map(abs, on=Inline()).open()
    with inline as run:
        assert next(iter(run)) == 0
        found, text = told()
    assert found == {"iteration": (os.getpid(), "at work after 1 item")}
    assert "No answer" not in text


def test_a_worker_that_is_stopped_is_said_not_to_answer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.3)
    with Pipeline(range(3)).map(gate.hold, on=Processes(), name="decode").open() as run:
        pid = gate.wait_held()
        os.kill(pid, signal.SIGSTOP)
        until(lambda: told()[0]["decode"] == (pid, "stopped by a signal"), "the worker to be stopped")
        assert f"held up in native code: stage 'decode' (worker 1 of 1, pid {pid})" in told()[1]
        os.kill(pid, signal.SIGCONT)
        gate.release(3)
        assert list(run) == [0, 1, 2]


def nested(items: Iterable[int], gate: Gate) -> Iterator[int]:
    """A stage that runs a pipeline of its own."""
    yield from Pipeline(items).map(gate.hold, on=Processes(), name="inner")


def test_a_worker_that_runs_a_pipeline_of_its_own_is_told_beside_its_workers(gate: Gate) -> None:
    with Pipeline(range(1)).then(stage(nested, gate), on=Processes()).open() as run:
        inner = gate.wait_held()
        wait_asleep(inner)
        outer, _ = told()[0]["nested"]
        found, text = told(outer)
        assert found["inner"][0] == inner
        assert f"stage 'nested' (worker 1 of 1, pid {outer})\n" in stacks(os.getpid())
        assert " in wait_released\n" in text
        gate.release()
        assert list(run) == [0]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_request_that_a_worker_does_not_see_is_repeated(
    lost: int, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `faulthandler` ignores a signal while it writes a stack for another thread."""
    with Pipeline(range(1)).map(gate.hold, on=Processes()).open() as run:
        pid = gate.wait_held()
        wait_asleep(pid)
        send, requests = signal.pidfd_send_signal, count(1)
        monkeypatch.setattr(
            looking.signal,
            "pidfd_send_signal",
            lambda process, number: None if next(requests) == lost else send(process, number),
        )
        answer = looking._requested_of_worker(pid)
        assert answer is not None
        with closing(answer):
            until(answer.is_complete, "a whole stack")
            assert " in wait_released" in answer.stack
        gate.release()
        assert list(run) == [0]


def test_old_answers_do_not_pile_up(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "MOST", 2_000)
    with Pipeline(range(1)).map(gate.hold, on=Processes()).open() as run:
        pid = gate.wait_held()
        wait_asleep(pid)
        sizes = [_sizes(pid, stacks(os.getpid())) for _ in range(20)]
        assert all(" in wait_released" in text for _, text in sizes)
        gate.release()
        assert list(run) == [0]
    assert max(size for size, _ in sizes) < 3 * 2_000


def _sizes(pid: int, text: str) -> tuple[int, str]:
    return max(os.fstat(file).st_size for file in looking._memory_files(pid, "chainpump-stack")), text


def refusal(pid: int) -> str:
    with pytest.raises(UsageError) as caught:
        stacks(pid)
    return str(caught.value)


def test_where_there_is_nothing_to_tell_it_says_why(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(os.getpid()).startswith(f"no pipeline runs in process {os.getpid()};")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert refusal(gone.pid) == f"there is no process {gone.pid}."
    with Pipeline(range(1)).map(gate.hold, on=Processes()).open() as run:
        pid = gate.wait_held()
        # The worker, the fork server and the resource tracker.
        for below in (pid, *helpers()):
            said = f"no pipeline runs in process {below}, but in process {os.getpid()} above it: ask for that one."
            assert refusal(below) == said
        with monkeypatch.context() as patch:
            patch.setattr(looking, "CELLS", 64)
            assert refusal(os.getpid()) == f"process {os.getpid()} has another version of chainpump: ask with that one."
        gate.release()
        assert list(run) == [0]


ROSTER = {"groups": [], "board": 0, "bell": 0, "cells": looking.CELLS, "pid": 1, "opened": 0}
GROUP = {"stages": [["stage", "decode", None]], "rows": [0], "workers": 1, "at_first": 1, "restores": False}


@pytest.mark.parametrize(
    "roster, board",
    [
        pytest.param("[" * 100_000, 0, id="nested deeply"),
        pytest.param(json.dumps({**ROSTER, "groups": [{**GROUP, "workers": 10**12}]}), 0, id="more workers than rows"),
        pytest.param(json.dumps({**ROSTER, "groups": [{**GROUP, "rows": [-(10**30)]}]}), 8, id="no row"),
        pytest.param(json.dumps({**ROSTER, "groups": [{**GROUP, "rows": []}]}), 8, id="no rows"),
        pytest.param(json.dumps({**ROSTER, "groups": [{**GROUP, "stages": []}]}), 8 * looking.CELLS, id="no stage"),
        pytest.param(json.dumps({**ROSTER, "groups": 3}), 0, id="no groups"),
        pytest.param(json.dumps(ROSTER), looking.LARGEST + 1, id="a board that is too large"),
        pytest.param("\ud800", 0, id="no text"),
    ],
)
def test_a_hostile_process_gets_an_answer_at_once_and_keeps_its_files(roster: str, board: int) -> None:
    with memory_file("chainpump-board", b"") as file, memory_file("chainpump-run", b"") as run:
        os.ftruncate(file, board)
        said = roster.replace('"board": 0', f'"board": {os.fstat(file).st_ino}').encode(errors="surrogatepass")
        os.write(run, said + b"\n" + bytes(2 << 20))
        size = os.fstat(run).st_size
        assert refusal(os.getpid()) == f"process {os.getpid()} has another version of chainpump: ask with that one."
        assert os.fstat(run).st_size == size


def test_a_file_that_only_has_the_name_of_a_memory_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    with secret.open():
        inode = secret.stat().st_ino
        monkeypatch.setattr(
            looking, "_name", lambda held: "/memfd:chainpump-run (deleted)" if os.fstat(held).st_ino == inode else ""
        )
        assert refusal(os.getpid()).startswith("no pipeline runs in process")


def test_a_number_that_leads_to_another_file_meanwhile_changes_nothing(tmp_path: Path) -> None:
    with memory_file("chainpump-run", b"its own") as file, (tmp_path / "other").open("wb") as other:
        for held in looking._held(os.getpid(), "/memfd:chainpump-run (deleted)"):
            os.dup2(other.fileno(), file)
            with looking._opened(held, os.O_RDONLY) as found:
                assert os.pread(found, 100, 0) == b"its own"


@contextmanager
def memory_file(name: str, content: bytes) -> Iterator[int]:
    """A file in memory that this process has open."""
    file = os.memfd_create(name)
    try:
        os.write(file, content)
        yield file
    finally:
        os.close(file)


def test_a_process_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> Iterator[Path]:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refused)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert refusal(1).startswith("process 1 may not be looked into, even by root: this container, or ")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(1) == "process 1 is not yours: only its user, and root, may look into it."


def test_a_system_without_proc_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(looking, "PROC", tmp_path)
    assert refusal(os.getpid()) == "stacks works where there is /proc, which is on Linux."


def test_the_command_prints_it(gate: Gate) -> None:
    command = [sys.executable, "-m", "chainpump", "stacks", str(os.getpid())]
    with Pipeline(range(1)).map(gate.hold, on=Processes(), name="decode").open() as run:
        pid = gate.wait_held()
        done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)
        gate.release()
        assert list(run) == [0]
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^  decode +1 of 1, pid {pid}  in item 0 for ", done.stdout, re.MULTILINE)
    again = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"error: no pipeline runs in process {os.getpid()};")


@contextmanager
def held_set_up(gate: Gate, second_gate: Gate) -> Iterator[Callable[[int], int]]:
    """A factory of a function that holds at its 40th item. From its second call on, it holds itself."""
    if current_worker().generation:
        second_gate.hold(None)
    yield partial(hold_if, gate=gate, at=40)


@pytest.mark.parametrize("place", FORKING)
def test_a_worker_that_waits_for_its_turn_is_listed_with_its_process_and_its_calls(
    place: StartMethod, gate: Gate, second_gate: Gate
) -> None:
    on = Processes(start_method=place, recycle_after=50)
    factory = per_worker(held_set_up, gate, second_gate)
    with Pipeline(range(60)).map(factory, on=on, in_flight=1, name="decode").open() as run:
        pid, waiting = gate.wait_held(), second_gate.wait_held()
        wait_asleep(waiting)
        _, text = told()
        listed = [(int(process), at) for name, process, at in LINE.findall(text) if name == "decode"]
        assert listed == [(pid, "in item 40"), (waiting, "waiting for its turn")]
        calls = text[text.index(f"stage 'decode' (worker 1 of 1, pid {waiting})") :]
        assert where(inspect.unwrap(held_set_up), 4) in calls
        second_gate.release()
        gate.release()
        assert list(run) == list(range(60))


def test_a_successor_is_not_taken_to_wait_for_what_its_predecessor_waited_for(gate: Gate, second_gate: Gate) -> None:
    load = Pipeline(source(stages.held_at, [0], gate, 0), on=Processes(), name="load")
    held = load.map(partial(hold_if, gate=second_gate, at=0), on=Processes(restarts=1), name="decode")
    with held.open() as run:
        gate.wait_held()
        workers, _ = settled(lambda at, _: at["decode"][1] == "waiting for items")
        os.kill(workers["decode"][0], signal.SIGKILL)
        gate.release()
        successor = second_gate.wait_held()
        assert told()[0]["decode"] == (successor, "in item 0")
        second_gate.release()
        assert list(run) == [0]
