"""A worker process has the surroundings that the main process has as the run starts, whatever starts it, and when."""

import locale
import os
import signal
import sys
from pathlib import Path

import pytest

from chainpump import Pipeline, Processes
from faults import stages
from faults.places import PROCESSES, on


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def looked(place: str) -> stages.Around:
    (found,) = Pipeline([1]).map(stages.look_around, on=on(place))
    return found


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_has_what_the_program_has_changed_since_the_first_run(place, monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINPUMP_TEST_ADDED", "one")
    monkeypatch.setenv("CHAINPUMP_TEST_GONE", "here")
    first = looked(place)
    assert (first.variables["CHAINPUMP_TEST_ADDED"], first.variables["CHAINPUMP_TEST_GONE"]) == ("one", "here")
    assert (first.directory, first.umask, first.path) == (str(Path.cwd()), 0o022, sys.path)

    monkeypatch.setenv("CHAINPUMP_TEST_ADDED", "two")
    monkeypatch.delenv("CHAINPUMP_TEST_GONE")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    os.environb[b"CHAINPUMP_TEST_BYTES"] = b"\xff"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    os.umask(0o077)
    try:
        second = looked(place)
        assert second.variables == dict(os.environ) | {"CHAINPUMP_STAGE": "look_around", "CHAINPUMP_WORKER": "0"}
        assert second.of_c_library == "two"
    finally:
        del os.environ["CHAINPUMP_TEST_BYTES"]
    assert (second.directory, second.umask, second.path) == (str(tmp_path), 0o077, sys.path)
    assert second.zone == "JST"


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_prints_where_the_program_prints_as_the_run_starts(place, tmp_path):
    """As the second test of pytest that captures descriptors."""
    kept = os.dup(1), os.dup(2)
    try:
        for run in ("first", "second"):
            for number in (1, 2):
                with (tmp_path / f"{run}-{number}").open("wb") as file:
                    os.dup2(file.fileno(), number)
            list(Pipeline([run]).map(stages.say, on=on(place)))
    finally:
        for number, end in enumerate(kept, 1):
            os.dup2(end, number)
            os.close(end)
    found = {path.name: path.read_text() for path in sorted(tmp_path.iterdir())}
    assert found == {f"{run}-{number}": f"{run} to {number}\n" for run in ("first", "second") for number in (1, 2)}


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_replaces_another_has_what_there_was_as_the_run_started(place, gate, monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINPUMP_TEST_ADDED", "one")
    directory, path = str(Path.cwd()), list(sys.path)
    with Pipeline([gate]).map(stages.look_around_later, on=Processes(start_method=place, restarts=1)).open() as run:
        pid = gate.wait_held()
        monkeypatch.setenv("CHAINPUMP_TEST_ADDED", "two")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        os.kill(pid, signal.SIGKILL)
        gate.wait_held()
        gate.release()
        (found,) = run
    assert (found.variables["CHAINPUMP_TEST_ADDED"], found.directory, found.path) == ("one", directory, path)


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_has_the_locale_of_the_program(place):
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "C")
        assert looked(place).locale == "C"
    finally:
        locale.setlocale(locale.LC_ALL, before)
    assert looked(place).locale == before


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_encodes_what_it_prints_as_the_program_does(place, tmp_path):
    kept, stream = os.dup(1), sys.stdout
    try:
        with (tmp_path / "printed").open("wb") as file:
            os.dup2(file.fileno(), 1)
        with open(1, "w", encoding="latin-1", errors="backslashreplace", closefd=False) as sys.stdout:
            list(Pipeline(["\xe9 \u20ac"]).map(print, on=on(place)))
    finally:
        sys.stdout = stream
        os.dup2(kept, 1)
        os.close(kept)
    assert (tmp_path / "printed").read_bytes() == b"\xe9 \\u20ac\n"
