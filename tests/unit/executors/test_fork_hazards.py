"""What a fork of this process may hang in."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from chainpump import Inline, Pipeline, Processes, Threads
from chainpump.executors import fork_hazards
from chainpump.executors.fork_hazards import fork_hazard

FORK = Processes(start_method="fork")
MAPS = "7f00-7f01 r-xp 0000 08:01 1 /usr/lib/{}\n7f02-7f03 r--p 0000 08:01 2 /usr/lib/libc.so.6\n"


class Proc:
    """Stands for the files of `/proc` of a process with so many threads, in which this library is loaded."""

    def __init__(self, threads: int, library: str) -> None:
        self._threads, self._library = threads, library

    def __call__(self, path: str) -> Proc:
        assert path in {"/proc/self/task", "/proc/self/maps"}
        return self

    def iterdir(self) -> range:
        return range(self._threads)

    def read_text(self) -> str:
        return MAPS.format(self._library)


@pytest.fixture(params=["libgomp.so.1.0.0", "libgomp-a34b3233.so.1", "libiomp5.so", "libomp.so.5"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(fork_hazards, "Path", Proc(threading.active_count() + 1, request.param))
    return str(request.param)


def test_an_openmp_library_with_threads_is_named(library: str) -> None:
    assert fork_hazard([Inline(), FORK]).startswith(f"{library} (OpenMP) is loaded in this process")


def test_only_forks_are_concerned(library: str) -> None:
    assert fork_hazard([Inline(), Threads(), Processes(), Processes(start_method="spawn")]) == ""


@pytest.mark.parametrize("more,library", [(0, "libgomp.so.1"), (1, "libopenblas.so.0"), (1, "libcomp.so")])
def test_neither_idle_nor_other_libraries_are(monkeypatch: pytest.MonkeyPatch, more: int, library: str) -> None:
    monkeypatch.setattr(fork_hazards, "Path", Proc(threading.active_count() + more, library))
    assert fork_hazard([FORK]) == ""


def test_without_proc_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fork_hazards, "Path", lambda path: tmp_path / path.lstrip("/"))
    assert fork_hazard([FORK]) == ""


def test_a_run_that_forks_warns_of_it_once_and_goes_on(library: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "chainpump"):
        assert list(Pipeline(range(3)).map(abs, on=FORK).map(abs, on=FORK)) == [0, 1, 2]
    [record] = [each for each in caplog.records if library in each.message]
    assert "Use start_method='forkserver'" in record.message
