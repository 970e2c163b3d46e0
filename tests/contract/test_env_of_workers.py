"""`Processes(env=...)`: variables that each worker process has before it imports anything of the program."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, StageOptionError, Threads, current_worker, stage, warm
from chainpump.executors.native_threads import computing_threads
from chainpump.ipc.cpus import processors
from chainpump.ipc.system import is_portable
from chainpump.plan.placement import Env
from chainpump.progress import oversubscription, report
from faults.places import PROCESSES


def on(place: str, env: Env, workers: int = 1, restarts: int = 0) -> Processes:
    method: Any = place
    return Processes(workers, start_method=method, restarts=restarts, env=env)


def variable(_: object) -> tuple[str | None, str | None]:
    """A variable of this process, in Python and in the C library."""
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_char_p
    return os.environ.get("MADE_FOR_TEST"), os.fsdecode(library.getenv(b"MADE_FOR_TEST") or b"")


@pytest.mark.parametrize("place", PROCESSES)
def test_all_workers_have_the_variables_of_a_mapping(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE_FOR_TEST", "of the program")
    with_env = Pipeline([1]).map(variable, on=on(place, {"MADE_FOR_TEST": "own \udcff"}))
    assert list(with_env) == [("own \udcff", "own \udcff")]
    without = with_env.map(variable, on=Processes())
    assert list(without) == [("of the program", "of the program")]
    assert os.environ["MADE_FOR_TEST"] == "of the program"


@pytest.mark.parametrize("place", PROCESSES)
def test_each_worker_has_the_variables_that_the_function_returns_for_its_number(place: str) -> None:
    def find(items: Any) -> Any:
        list(items)
        yield current_worker().number, *variable(None)

    pipeline = Pipeline([1]).then(
        stage(find), on=on(place, lambda number: {"MADE_FOR_TEST": f"of {number}"}, workers=2)
    )
    assert sorted(pipeline) == [(0, "of 0", "of 0"), (1, "of 1", "of 1")]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_that_replaces_another_has_the_same_variables(place: str, tmp_path: Path) -> None:
    asked: list[int] = []

    def env(number: int) -> dict[str, str]:
        asked.append(number)
        return {"MADE_FOR_TEST": str(len(asked))}

    def find(_: int) -> tuple[str | None, int]:
        mark = tmp_path / "died"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return os.environ.get("MADE_FOR_TEST"), current_worker().generation

    pipeline = Pipeline([1]).map(find, on=on(place, env, restarts=1))
    assert asked == [0]
    assert list(pipeline) == [("2", 1)]
    assert asked == [0, 0]


# NumPy's library for linear algebra starts threads as it is imported, so they show which variable it has read then. The
# general name of the variable is OMP_NUM_THREADS. The tests set this one, which has precedence, for the whole process.
VARIABLE = "OPENBLAS_NUM_THREADS"
STARTS_THREADS = pytest.mark.skipif(
    processors() < 2 or is_portable(),
    reason="the library starts no threads, or nothing shows them",
)
# Seconds of processor time, of which a thread needs 0.1 to count.
LIMIT = 5


def threads_beside_those_of_python(items: Iterable[int]) -> Iterator[tuple[int, int]]:
    import numpy as np

    assert np
    list(items)
    yield current_worker().number, len(list(Path("/proc/self/task").iterdir())) - threading.active_count()


@STARTS_THREADS
def test_a_library_that_reads_its_variable_as_it_is_imported_finds_it() -> None:
    pytest.importorskip("numpy")
    executor = on("forkserver", lambda number: {VARIABLE: str(number + 1)}, workers=2)
    assert sorted(Pipeline([1]).then(threads_beside_those_of_python, on=executor)) == [(0, 0), (1, 1)]


def multiply_until_a_thread_has_computed(_: int) -> int:
    """The number of threads that compute."""
    import numpy as np

    matrix = np.ones((500, 500))
    while time.process_time() < LIMIT:
        np.dot(matrix, matrix)
        if found := computing_threads():
            return found
    return 0


@STARTS_THREADS
def test_the_report_advises_a_variable_where_libraries_start_too_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy")
    # What the workers wait for a processor depends on the machine.
    monkeypatch.setattr(oversubscription, "WAITED", 0)
    monkeypatch.setattr(report, "processors", lambda: 1)
    executor = on("forkserver", {VARIABLE: "2"})
    multiply = Pipeline([1]).map(multiply_until_a_thread_has_computed, on=executor, name="multiply")
    done = multiply.into(sum, on=Threads()).run()
    assert done.value == 2
    told = "1 worker of 'multiply' x 2 threads = 2 threads on 1 processor; in "
    assert done.advice.splitlines()[-1].startswith(told)
    assert done.advice.endswith(" Try Processes(1, env={'OMP_NUM_THREADS': '1'}).")


LIBRARY = 'import os; FOUND = os.environ.get("MADE_FOR_TEST", "none")'
PROGRAM = """
import multiprocessing
import os
import sys

from chainpump import Pipeline, Processes

FOUND = os.environ.get("MADE_FOR_TEST", "none")

def in_main(_):
    return FOUND

def in_library(_):
    import library
    return library.FOUND

if __name__ == "__main__":
    preload, *methods = sys.argv[1:]
    if preload == "preload":
        multiprocessing.set_forkserver_preload(["library"])
    for env in (None, {"MADE_FOR_TEST": "set"}):
        for method in methods:
            on = Processes(start_method=method, env=env)
            print(method, *Pipeline([1]).map(in_main, on=on).map(in_library, on=on), *Pipeline([1]).map(in_main, on=on))
"""


def printed(folder: Path, *arguments: str) -> list[str]:
    (folder / "program.py").write_text(PROGRAM)
    (folder / "library.py").write_text(LIBRARY)
    command = [sys.executable, "-W", "ignore", "program.py", *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "MADE_FOR_TEST"}
    return subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, check=True, text=True
    ).stdout.splitlines()


def test_the_main_file_and_a_library_find_the_variable_as_they_are_imported(tmp_path: Path) -> None:
    # A fork has the module-level values of the main process, but imports the library itself here.
    assert printed(tmp_path, "no", "forkserver", "spawn", "fork") == [
        *("forkserver none none", "spawn none none", "fork none none"),
        *("forkserver set set", "spawn set set", "fork set none"),
    ]


def test_a_library_that_the_fork_server_has_imported_is_imported_again_with_the_variable(tmp_path: Path) -> None:
    assert printed(tmp_path, "preload", "forkserver") == ["forkserver none none", "forkserver set set"]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_function_that_fails_as_a_run_starts_ends_it_before_any_worker_runs(place: str, tmp_path: Path) -> None:
    devices = ["0", "1"]
    mark = tmp_path / "ran"

    def touch(_: int) -> None:
        mark.touch()

    runnable = Pipeline(range(3)).each(touch, on=on(place, lambda number: {"DEVICE": devices[number]}, workers=2))
    devices.pop()
    with pytest.raises(StageOptionError) as raised:
        runnable.run()
    assert str(raised.value) == (
        "sink 'touch': env(1), for worker 2 of 2, raised IndexError: list index out of range\n"
        "  It is called for each worker before the run starts, with a number from 0 to 1."
    )
    assert isinstance(raised.value.__cause__, IndexError)
    assert not mark.exists()


@pytest.mark.parametrize(
    "env,message",
    [
        ({"A": 1}, "env must map texts to texts but has 'A': 1, where 1 is of type int.\n  Write {'A': '1'}."),
        ({2: "a"}, "env must map texts to texts but has 2: 'a', where 2 is of type int."),
        ({"": "a"}, "env has '': 'a', which cannot be a variable of the environment."),
        ({"A=B": "a"}, "env has 'A=B': 'a', which cannot be a variable of the environment."),
        ({"A": "\0"}, r"env has 'A': '\x00', which cannot be a variable of the environment."),
        ({"A": "\ud800"}, r"env has 'A': '\ud800', which cannot be a variable of the environment."),
        ({"CHAINPUMP_STAGE": "a"}, "env must not set CHAINPUMP_STAGE, which the library sets. Choose another name."),
        (
            "A=1",
            "env must be a mapping of texts to texts, or a function of the worker's number, but got: 'A=1'.",
        ),
        (lambda number: {"A": number}, "env(0), for worker 1 of 2, must map texts to texts but has 'A': 0"),
        (lambda _: None, "env(0), for worker 1 of 2, must return a mapping of texts to texts but returned: None."),
        (lambda number: {"A": str(1 // (1 - number))}, "env(1), for worker 2 of 2, raised ZeroDivisionError: "),
        (dict.fromkeys, "env(0), for worker 1 of 2, raised TypeError: 'int' object is not iterable"),
    ],
)
def test_wrong_variables_are_refused_as_the_pipeline_is_built(env: Any, message: str) -> None:
    with pytest.raises(StageOptionError) as raised:
        Pipeline([1]).map(str, on=Processes(2, env=env), name="infer")
    assert str(raised.value).startswith(f"stage 'infer': {message}")
    runnable = Pipeline([1]).map(str, on=Threads()).each(print)
    with pytest.raises(StageOptionError) as raised:
        runnable.run(on=Processes(2, env=env))
    assert str(raised.value).startswith(f"stage 'every stage': {message}")


def test_an_executor_shows_its_variables_and_keeps_a_copy() -> None:
    env = {"A": "1"}
    executor = Processes(2, env=env)
    same = Processes(2, env={"A": "1"})
    env["A"] = "2"
    assert executor == same != Processes(2, env=env)
    assert hash(executor) == hash(same)
    assert repr(executor) == "Processes(workers=2, start_method='forkserver', env={'A': '1'})"
    assert repr(executor) in str(Pipeline([1]).map(str, on=executor).plan())
    assert repr(Processes(env=variables_of_worker)).endswith(", env=variables_of_worker)")
    assert "env" not in repr(Processes())


def variables_of_worker(number: int) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": str(number)}


def test_inline_ignores_the_variables() -> None:
    pipeline = Pipeline([1]).map(variable, on=Processes(env={"MADE_FOR_TEST": "own"}))
    assert list(pipeline.inline()) == [(None, "")]
    assert Inline().capabilities.env is None


@pytest.mark.parametrize("place", ["forkserver", "spawn"])
def test_a_kept_process_gets_only_workers_with_the_same_variables(place: str) -> None:
    def looking(value: str) -> Pipeline[tuple[int, str | None]]:
        return Pipeline([1]).map(pid_and_variable, on=on(place, lambda _: {"MADE_FOR_TEST": value}))

    with warm():
        (first, one), (again, same), (other, two) = (found for value in "112" for found in looking(value))
    assert (one, same, two) == ("1", "1", "2")
    assert first == again != other


def pid_and_variable(_: int) -> tuple[int, str | None]:
    worker = current_worker()
    assert (worker.stage, worker.number, worker.pid) == ("pid_and_variable", 0, os.getpid())
    return worker.pid, os.environ.get("MADE_FOR_TEST")
