"""A worker process ends as a plain Python program does: its threads, exit handlers and files come to their end."""

import atexit
import gzip
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chainpump import Pipeline, stage
from chainpump.engine import started_worker
from faults import program, stages
from faults.places import FORKING, PROCESSES, on
from faults.program import ended, started
from support.gate import Gate, Journal
from support.processes import gone, press_ctrl_c, until, watching
from support.threads import meanwhile

UPLOADS = pytest.mark.parametrize("upload", [stages.upload_later, stages.upload_by_pool], ids=lambda it: it.__name__)


@UPLOADS
@pytest.mark.parametrize("place", PROCESSES)
def test_work_of_threads_that_outlast_their_worker_is_done_before_the_run_ends(
    place: str, upload: Any, gate: Gate, journal: Journal
) -> None:
    """Not even a grace of nothing is for a worker that has finished."""
    uploads = Pipeline(range(4)).each(partial(upload, gate=gate, journal=journal), on=on(place))
    with meanwhile(lambda: [(gate.wait_held(), gate.release()) for _ in range(4)]):
        assert uploads.run(grace=0).stages[-1].received == 4
    assert sorted(journal.lines) == [f"uploaded {item}" for item in range(4)]


@pytest.mark.parametrize("place", PROCESSES)
def test_exit_handlers_run_and_files_are_closed_as_a_worker_ends(place: str, tmp_path: Path, journal: Journal) -> None:
    """Those of the worker alone: a fork has copies of those of the main process."""
    inherited = tmp_path / "inherited"
    with inherited.open("w") as file:
        file.write("main\n")
        close = stages.left_to_c(tmp_path / "of_c_here", "main\n")
        atexit.register(journal.write, "of the main process")
        try:
            Pipeline(range(3)).each(partial(stages.leave_all_open, folder=tmp_path), on=on(place)).run()
        finally:
            atexit.unregister(journal.write)
            close()
    assert inherited.read_text() == "main\n"
    assert (tmp_path / "of_c_here").read_text() == "main\n"
    assert (tmp_path / "of_c").read_text() == "worker\n"
    assert journal.lines == []
    assert (tmp_path / "plain").read_text() == "0\n1\n2\n"
    assert gzip.decompress((tmp_path / "zipped").read_bytes()) == b"0\n1\n2\n"
    assert (tmp_path / "handled").read_text() == "at exit"
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_that_a_thread_of_a_pool_has_started_ends_in_order(
    place: str, tmp_path: Path, journal: Journal, gate: Gate
) -> None:
    """A fork has a copy of the pool, whose threads it cannot join; it joins those of its own pools."""
    left_open = Pipeline(range(3)).each(partial(stages.leave_all_open, folder=tmp_path), on=on(place))
    uploads = Pipeline(range(1)).each(partial(stages.upload_by_pool, gate=gate, journal=journal), on=on(place))
    with ThreadPoolExecutor(1) as pool, meanwhile(lambda: (gate.wait_held(), gate.release())):
        pool.submit(left_open.run).result()
        pool.submit(uploads.run).result()
    assert (tmp_path / "plain").read_text() == "0\n1\n2\n"
    assert (tmp_path / "handled").read_text() == "at exit"
    assert journal.lines == ["uploaded 0"]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_whose_process_does_not_end_is_told_of_in_the_log_with_its_stack(
    place: str, gate: Gate, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started_worker, "WARN_AFTER", 0.3)

    def let_end_once_told() -> None:
        until(lambda: bool(caplog.messages), "a word of the worker")
        gate.release()

    pipeline = Pipeline(range(10)).then(stage(stages.leave_thread, gate), on=on(place), name="leaving")
    with meanwhile(let_end_once_told):
        assert list(pipeline) == list(range(10))
    pid = gate.wait_held()
    [text] = caplog.messages
    assert text.startswith(
        f"stage 'leaving' (worker 1 of 1, pid {pid}) has finished, but its process has not ended for 0.3 s, "
        "and the run waits for it. It waits for its threads that are not daemons, or for exit handlers.\n"
    )
    assert " in wait_released" in text


@pytest.mark.parametrize("place", PROCESSES)
def test_ctrl_c_ends_a_run_whose_workers_have_finished_and_do_not_end(place: str, gate: Gate) -> None:
    with started(program.interrupted_while_ending, place, gate) as process, watching([gate.wait_held()]) as workers:
        press_ctrl_c(process.pid)
        assert gone(workers)
        status, out, err = ended(process)
    assert (status, out) == (0, "interrupted\n")
    assert "was ended by force" in err


@pytest.mark.parametrize("place", FORKING)
def test_a_process_that_a_worker_forks_takes_signals_as_any_program(place: str) -> None:
    found = Pipeline(range(1)).map(stages.handlers_in_a_fork, on=on(place))
    assert list(found) == [("default", "default_int_handler")]
