"""The executor of `docs/extending.md`: another Python, its faults, and what it shares with worker processes."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from interpreter import Interpreter, version

import chainpump
from chainpump import (
    Executor,
    Inline,
    ItemTimeoutError,
    Pipeline,
    Processes,
    RunError,
    Skip,
    StageError,
    StageOptionError,
    StallError,
    Threads,
    WorkerLostError,
    source,
)
from chainpump.extending import ProgramExecutor, Workers
from extending.elsewhere import found_in, prefix
from support.gate import WHOLE, Gate, Journal
from support.processes import gone, wait_asleep, watching
from support.threads import meanwhile

PYTHON = Interpreter(python=sys.executable)


def logged(number: int) -> int:
    logging.getLogger("far").warning("item %d", number)
    return number


def killed_once(number: int, journal: Journal) -> int:
    """The first worker that comes to 5 kills itself."""
    if number == 5 and not journal.lines:
        journal.write("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def stuck_at(number: int, gate: Gate) -> int:
    return gate.hold(number) if number == 3 else number


def ends_with_3(items: Iterable[int]) -> Iterator[int]:
    for _ in items:
        os._exit(3)
    yield 0


def not_python(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# ---------------------------------------------------------------------------------------------------- another Python


def with_packages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another Python finds this package, and the one that it needs: as if they were installed there."""
    (path / "cloudpickle").symlink_to(Path(cloudpickle.__file__).parent)
    (path / "chainpump").symlink_to(Path(str(chainpump.__file__)).parent)
    monkeypatch.setenv("PYTHONPATH", str(path))


def test_a_stage_runs_in_another_environment_with_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "other", symlinks=True)
    (tmp_path / "packages").mkdir()
    with_packages(tmp_path / "packages", monkeypatch)
    other = Interpreter(2, python=str(tmp_path / "other" / "bin" / "python"))
    assert set(Pipeline(range(20)).map(prefix, on=other)) == {str(tmp_path / "other")}
    assert set(Pipeline(range(2)).map(found_in, on=other)) == {str(tmp_path / "packages" / "chainpump/__init__.py")}


def other_version() -> str:
    """A Python of another version than this one, from 3.11 on."""
    for minor in {11, 12, 13} - {sys.version_info.minor}:
        path = shutil.which(f"python3.{minor}")
        if path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip("there is no other version of Python here")


def test_a_stage_runs_on_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Interpreter(python=other_version())
    with_packages(tmp_path, monkeypatch)
    (found,) = set(Pipeline(range(20)).map(version, on=other).map(str.strip, on=Processes()))
    assert found != version(0)
    with pytest.raises(
        RunError, match=r"the code of a function in .*test_interpreter\.py is that of Python 3\.\d+, and"
    ):
        list(Pipeline(range(3)).map(lambda number: number, on=other))


# -------------------------------------------------------------------------------------------------------- its faults


def test_a_worker_that_is_killed_is_named(gate: Gate) -> None:
    def kill() -> int:
        pid = gate.wait_held()
        wait_asleep(pid)
        os.kill(pid, signal.SIGKILL)
        return pid

    held = Pipeline(range(10)).map(gate.hold, on=PYTHON, name="score")
    message = r"^stage 'score' lost worker 1 of 1 \(pid \d+\): killed by SIGKILL, \d+ items? in flight\.\n"
    with meanwhile(kill) as killed:
        with pytest.raises(WorkerLostError, match=message) as caught:
            list(held)
        assert (caught.value.pid, caught.value.signal) == (killed.result(), signal.SIGKILL)


def test_a_worker_that_exits_is_named_with_its_exit_code() -> None:
    with pytest.raises(
        WorkerLostError, match=r"^stage 'ends_with_3' lost worker 1 of 1 .*: exited with code 3"
    ) as caught:
        list(Pipeline(range(10)).then(ends_with_3, on=PYTHON))
    assert caught.value.exit_code == 3


def test_an_exception_is_told_with_its_item_and_its_own_traceback() -> None:
    with pytest.raises(StageError, match=r"^stage 'truediv' \(worker 1 of 1, pid \d+\) raised ") as caught:
        list(Pipeline(source(range, 9), on=PYTHON).map(half_of_none, on=PYTHON, name="truediv"))
    assert isinstance(caught.value.__cause__, TypeError)
    assert any("in half_of_none" in note for note in caught.value.__cause__.__notes__)


def half_of_none(number: int) -> float:
    return number / None  # type: ignore[operator]


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(
        RunError, match=r"^stage 'str' could not start worker 1 of 1: FileNotFoundError: .*'/not/there'"
    ):
        list(Pipeline(range(3)).map(str, on=Interpreter(python="/not/there")))


@pytest.mark.parametrize("text,how", [("exit 7", "exited with code 7"), ("kill -9 $$", "killed by SIGKILL")])
def test_a_program_that_ends_before_it_runs_a_worker_is_named(tmp_path: Path, text: str, how: str) -> None:
    broken = Interpreter(python=not_python(tmp_path / "python", text))
    with pytest.raises(WorkerLostError, match=rf"^stage 'str' lost worker 1 of 1 \(pid \d+\): {how}\."):
        list(Pipeline(range(3)).map(str, on=broken))


def test_leaving_the_run_ends_a_program_that_has_not_got_so_far(tmp_path: Path, gate: Gate) -> None:
    silent = Interpreter(python=not_python(tmp_path / "python", f"echo $$ > {gate.held}; exec sleep 1000"))
    with Pipeline(range(3)).map(str, on=silent).open(grace=0.1):
        gate.wait_held()


def test_leaving_the_run_interrupts_a_worker(gate: Gate) -> None:
    with Pipeline(range(3)).map(gate.hold, on=PYTHON).open() as run:
        pid = gate.wait_held()
        assert run.progress().stages[1].executor == "Interpreter(1)"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_that_stalls_is_named_with_where_it_is(gate: Gate) -> None:
    message = r"^no item moved for 0\.5 s; stage 'hold' \(worker 1 of 1, pid \d+\) is in item 0\."
    with pytest.raises(StallError, match=message) as caught:
        list(Pipeline(range(3)).map(gate.hold, on=PYTHON).open(stall_timeout=0.5))
    assert any("in wait_released" in note for note in caught.value.__notes__)


PROGRAM = """
import sys
from collections.abc import Iterator
from interpreter import Interpreter
from chainpump import Pipeline, source
from support.gate import Gate

def lines() -> Iterator[str]:
    yield from sys.stdin

def held(line: str) -> str:
    gate.hold(line)
    return line.strip()

gate = Gate.__new__(Gate)
gate.__setstate__((%r, %r))
if __name__ == "__main__":
    python = Interpreter(python=sys.executable)
    print(list(Pipeline(source(lines), on=python).map(held, on=python)))
"""


@pytest.fixture
def program(gate: Gate, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program whose source reads its standard input, and whose stage waits at the gate; both in other programs."""
    path = tmp_path / "program.py"
    path.write_text("from pathlib import PosixPath\n" + PROGRAM % gate.__getstate__())
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, path], env=variables, **pipes) as begun:
        yield begun


def test_programs_run_what_the_main_file_defines_and_read_its_standard_input(
    program: subprocess.Popen[str], gate: Gate
) -> None:
    gate.release(2)
    assert program.communicate("a\nb\n", timeout=WHOLE)[0] == "['a', 'b']\n"
    assert program.returncode == 0


def test_programs_die_with_a_main_process_that_is_killed(program: subprocess.Popen[str], gate: Gate) -> None:
    assert program.stdin is not None
    program.stdin.write("a\n")
    program.stdin.flush()
    with watching([gate.wait_held()]) as worker:
        program.kill()
        assert gone(worker)


def leaves_a_program(number: int, gate: Gate) -> int:
    subprocess.Popen(["/bin/sh", "-c", f"echo $$ > {gate.held}; exec sleep 1000"])  # the gate's own path
    return number


def test_what_a_worker_has_started_ends_with_it(gate: Gate) -> None:
    assert list(Pipeline(range(1)).map(partial(leaves_a_program, gate=gate), on=PYTHON).open(grace=0.1)) == [0]
    with watching([gate.wait_held()]) as left:
        assert gone(left, within=0)


# ------------------------------------------------------------------------------- what it shares with worker processes


def test_a_worker_that_dies_is_replaced(journal: Journal) -> None:
    on = Interpreter(python=sys.executable, restarts=1)
    pipeline = Pipeline(range(50)).map(partial(killed_once, journal=journal), on=on)
    assert list(pipeline) == list(range(50))
    assert journal.lines == ["died"]


def test_a_call_that_takes_too_long_is_stopped(gate: Gate) -> None:
    stuck = partial(stuck_at, gate=gate)
    late = Pipeline(range(6)).map(stuck, on=PYTHON, timeout=0.5, on_error=Skip(ItemTimeoutError))
    assert list(late) == [0, 1, 2, 4, 5]


def test_its_logs_arrive_in_the_main_process(caplog: pytest.LogCaptureFixture) -> None:
    assert list(Pipeline(range(3)).map(logged, on=PYTHON)) == [0, 1, 2]
    found = [(record.getMessage(), record.stage) for record in caplog.records]  # type: ignore[attr-defined]
    assert found == [(f"item {number}", "logged") for number in range(3)]


def test_auto_stages_begin_with_one_program() -> None:
    auto = Interpreter("auto", python=sys.executable)
    assert list(Pipeline(range(20)).map(str, on=auto)) == [str(number) for number in range(20)]


def test_it_mixes_with_other_executors() -> None:
    pipeline = Pipeline(source(range, 200), on=PYTHON).map(str, on=Threads(2)).map(int, on=Processes(2))
    assert list(pipeline.filter(bool, on=Interpreter(2, python=sys.executable)).batch(7, on=Inline())) == list(
        pipeline.filter(bool).batch(7).inline()
    )


# -------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("workers", [0, -1, 1.5, "many", True])
def test_a_number_of_programs_is_one(workers: Workers) -> None:
    with pytest.raises(StageOptionError, match=r"^Interpreter: workers must be a whole number of at least 1 but got: "):
        Interpreter(workers, python=sys.executable)


def test_an_executor_that_lacks_something_is_refused_as_the_pipeline_is_built() -> None:
    class Half:
        workers = 1

        def start(self, worker: Any) -> Any: ...

    half: Any = Half()
    message = r"^stage 'str': on=<.*Half object at .*> is no whole executor: it has no capabilities\."
    with pytest.raises(StageOptionError, match=message):
        Pipeline(range(3)).map(str, on=half)


def test_a_subclass_without_launch_is_no_executor() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ProgramExecutor()  # type: ignore[abstract]


def test_it_is_an_executor_to_type_checkers() -> None:
    on: Executor = PYTHON
    assert on.workers == 1
