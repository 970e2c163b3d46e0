"""`python -m chainpump run`, as a user runs it: output, exit status, signals."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from support.gate import WHOLE
from support.processes import gone, wait_asleep, watching
from support.threads import meanwhile

PIPELINES = '''
import os
import time
from collections.abc import Iterable, Iterator

from chainpump import Pipeline, Processes, sink, source, stage


def count(n: int) -> Iterator[int]:
    yield from range(n)


def double(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        yield 2 * number


def fail(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        if number == 3:
            raise ValueError("three is too many")
        yield number


def total(numbers: Iterable[int]) -> int:
    return sum(numbers)


def refuse(numbers: Iterable[int]) -> int:
    raise OSError("the disk is full")


def hold(numbers: Iterable[int], path: str) -> Iterator[int]:
    """Say who is held, by opening a FIFO, and wait inside the item for ever."""
    for number in numbers:
        with open(path, "w") as fifo:
            fifo.write(str(os.getpid()))
        while True:
            time.sleep(60)
        yield number


doubled = Pipeline(source(count, 5)).then(stage(double), on=Processes(1))
summed = doubled.into(sink(total))
endless = Pipeline(source(count, 10**12)).then(stage(double), on=Processes(1))
failing = Pipeline(source(count, 9)).then(stage(fail))
refused = doubled.into(sink(refuse))
held = Pipeline(source(count, 9)).then(stage(hold, os.environ.get("FIFO", ""))).into(sink(total))
held_here = held.inline()
'''


@pytest.fixture
def command(tmp_path):
    """The start of a command line; the pipelines' folder is not the current one."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "sample_jobs.py").write_text(PIPELINES)

    def build(name, *options):
        return [sys.executable, "-m", "chainpump", "run", f"{folder}/sample_jobs.py:{name}", *options]

    return build


# What is told of a worker that did not end within the grace, which a machine may be too busy for.
FORCED = r"stage 'hold' \(worker 1 of 1, pid \d+\) did not end within .*\n(It was at .*\n(  .*\n)*)?"


def run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)


def test_pipeline_prints_its_items_one_a_line(command):
    done = run(command("doubled"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n2\n4\n6\n8\n", "")


def test_runnable_prints_its_value_and_its_report(command):
    done = run(command("summed"))
    assert (done.returncode, done.stderr) == (0, "")
    value, *report = done.stdout.splitlines()
    assert value == "20"
    assert all(any(stage in line for line in report) for stage in ("count", "double", "total"))


def test_failure_exits_with_1_and_tells_it_without_the_librarys_traceback(command):
    done = run(command("failing"))
    assert done.returncode == 1
    assert done.stderr.startswith("StageError: stage 'fail' (worker 1 of 1, pid ")
    # The worker's own traceback, from the user's line on.
    assert 'sample_jobs.py", line ' in done.stderr
    assert 'raise ValueError("three is too many")' in done.stderr
    assert "chainpump/cli/main.py" not in done.stderr


def test_failure_of_the_sink_is_told_by_its_own_name(command):
    done = run(command("refused"))
    assert done.returncode == 1
    assert done.stderr.startswith("OSError: the disk is full")
    assert "chainpump/cli/main.py" not in done.stderr


def test_traceback_option_shows_the_main_process_too(command):
    done = run(command("failing", "--traceback"))
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "chainpump/cli/main.py" in done.stderr


def test_reader_that_has_gone_ends_an_endless_pipeline_quietly(command):
    pipe = subprocess.PIPE
    with subprocess.Popen(command("endless"), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.mark.parametrize(
    "number,status,message",
    [(signal.SIGINT, 130, "cancelled by Ctrl-C\n"), (signal.SIGTERM, 143, "cancelled by SIGTERM\n")],
)
def test_signal_cancels_the_run_and_its_workers(command, tmp_path, number, status, message):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    environment = {**os.environ, "FIFO": str(fifo)}
    with (
        subprocess.Popen(command("held"), stderr=subprocess.PIPE, text=True, env=environment) as process,
        # The text comes once the worker is inside an item.
        watching([int(fifo.read_text())]) as workers,
    ):
        process.send_signal(number)
        assert process.stderr is not None
        report = r"stage .*\n[\d.]+ s, cancelled.*\n"
        assert re.fullmatch(rf"({FORCED})?{report}{message}", process.stderr.read(), re.DOTALL)
        assert process.wait() == status
        assert len(workers) == 1
        assert gone(workers)


def test_progress_is_a_line_where_standard_error_is_no_terminal(command):
    done = run(command("summed", "--progress"))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "20")
    # The last one: there are others before it where the run takes its time.
    assert re.match(r"5 items, [\d.,]+/s, [\d:]+", done.stderr.splitlines()[-1])


def test_progress_is_a_table_where_standard_error_is_a_terminal(command):
    """Standard output goes elsewhere, and stays clean."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal, meanwhile(lambda: b"".join(read_from(terminal))) as drawn:
        try:
            done = subprocess.run(
                command("summed", "--progress"),
                stdout=subprocess.PIPE,
                stderr=theirs,
                text=True,
                timeout=WHOLE,
                check=True,
            )
        finally:
            os.close(theirs)
    assert done.stdout.startswith("20\nstage ")
    assert b"double" in drawn.result()
    assert b"5 items" in drawn.result()


def read_from(terminal):
    """All that is drawn, until everybody has left it, which is an error to who reads."""
    with suppress(OSError):
        while text := terminal.read(4096):
            yield text


@pytest.mark.parametrize(
    "name, status, received, said",
    [
        ("summed", 0, 5, None),
        ("doubled", 0, 5, None),
        ("failing", 1, None, "StageError: stage 'fail' (worker 1 of 1, pid "),
        ("refused", 1, None, "StageError: sink 'refuse' (worker 1 of 1, pid "),
    ],
)
def test_report_is_written_however_the_run_ends(command, tmp_path, name, status, received, said):
    done = run(command(name, "--report", tmp_path / "run.json"))
    assert done.returncode == status
    assert done.stderr.startswith(f"written: {tmp_path}/run.json\n")
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["stages"][0]["stage"] == "count"
    assert received in (None, told["stages"][-1]["received"])
    assert told["status"] == ("failed" if status else "completed")
    assert told["error"] is None if said is None else told["error"].startswith(said)


def test_report_is_written_as_a_page_and_replaces_what_was_there(command, tmp_path):
    page = tmp_path / "run.html"
    page.write_text("old")
    assert run(command("summed", "--report", page)).returncode == 0
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["held", "held_here"])
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_report_of_a_run_that_was_interrupted_says_so(command, tmp_path, name, number, status):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    report = tmp_path / "run.json"
    environment = {**os.environ, "FIFO": str(fifo)}
    with subprocess.Popen(command(name, "--report", report), stderr=subprocess.PIPE, env=environment) as process:
        # Returns once the worker is inside an item.
        fifo.read_text()
        # Until then the run may still be starting. A run that has not started has no report.
        wait_asleep(process.pid)
        process.send_signal(number)
        assert process.wait() == status
    told = json.loads(report.read_text())
    assert (told["stages"][1]["stage"], told["status"], told["error"]) == ("hold", "cancelled", None)


@pytest.mark.parametrize(
    "path, why",
    [
        ("run.txt", "write it to a file that ends in .html or .json."),
        ("missing/run.html", "No such file or directory"),
        ("folder.html", "Is a directory"),
        ("pipe.html", "it is a named pipe; a report is written to a file."),
    ],
)
def test_report_that_cannot_be_written_is_refused_before_anything_starts(command, tmp_path, path, why):
    (tmp_path / "folder.html").mkdir()
    os.mkfifo(tmp_path / "pipe.html")
    done = run(command("endless", "--report", tmp_path / path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --report {tmp_path / path}: {why}\n"
    assert sorted(each.name for each in tmp_path.iterdir() if each.suffix) == ["folder.html", "pipe.html"]


def test_report_is_written_where_a_link_leads_though_nothing_is_there_yet(command, tmp_path):
    link, target = tmp_path / "link.json", tmp_path / "run.json"
    link.symlink_to(target)
    assert run(command("summed", "--report", link)).returncode == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())["status"] == "completed"


@pytest.mark.parametrize("name, said", [("summed", ""), ("failing", "StageError: stage 'fail' ")])
def test_report_that_cannot_be_written_in_the_end_is_told_beside_how_it_ended(command, tmp_path, name, said):
    full = tmp_path / "run.json"
    full.symlink_to("/dev/full")
    done = run(command(name, "--report", full))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --report {full}: No space left on device\n{said}")
    assert done.stdout.startswith("20\n") or said
