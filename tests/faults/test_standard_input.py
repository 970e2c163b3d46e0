"""Who reads standard input: the one worker of a source gets the real one, all others are told that they do not."""

import io
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from chainpump import Pipeline, StageError, source, stage
from chainpump.worker.standard_streams import StandardInput
from faults import stages
from faults.places import FORKING, PROCESSES, WITH_WORKERS, on
from support.gate import WHOLE

READERS = """
import fileinput, os, subprocess, sys
from collections.abc import Iterable, Iterator

from chainpump import *

def by_iteration() -> Iterator[str]:
    yield from sys.stdin

def by_fileinput() -> Iterator[str]:
    yield from fileinput.input(files=["-"])

def by_input() -> Iterator[str]:
    while True:
        try:
            yield input() + "\\n"
        except EOFError:
            return

def by_bytes() -> Iterator[str]:
    yield from (line.decode() for line in sys.stdin.buffer)

def by_descriptor() -> Iterator[str]:
    yield from os.read(0, 100).decode().splitlines(keepends=True)

def by_number() -> Iterator[str]:
    with open(0, closefd=False) as stream:
        yield from stream

def by_a_run_within() -> Iterator[str]:
    yield from Pipeline(source(by_iteration), on={on})

def asking(item: int) -> str:
    return input()

def listening(items: Iterable[int]) -> Iterator[str]:
    yield sys.stdin.readline()

def gathering(items: Iterable[int]) -> str:
    return sys.stdin.buffer.read().decode()

def told(run):
    try:
        print(run())
    except (RunError, OSError) as error:
        print(*(line.strip() for line in str(error).splitlines()))

def child(item: int) -> tuple[bytes, int]:
    done = subprocess.run(["cat"], capture_output=True)
    return done.stdout, done.returncode
"""
WAYS = ["by_iteration", "by_fileinput", "by_input", "by_bytes", "by_descriptor", "by_number", "by_a_run_within"]
RUNS = """
if __name__ == "__main__":
    for read in {ways}:
        os.lseek(0, 0, os.SEEK_SET)
        print(list(Pipeline(source(read), on={on})))
    for other in {refused}:
        os.lseek(0, 0, os.SEEK_SET)
        told(other)
"""
EXPRESSIONS = {
    "forkserver": "Processes()",
    "spawn": "Processes(start_method='spawn')",
    "fork": "Processes(start_method='fork')",
    "threads": "Threads()",
}
LINES = "first\nsecond\n"
REFUSED = [
    "lambda: list(Pipeline([1]).map(asking, on={on}))",
    "lambda: list(Pipeline([1]).then(stage(listening), on={on}))",
    "lambda: Pipeline([1]).into(sink(gathering), on={on}).run().value",
    "lambda: list(Pipeline([1]).map(child, on={on}))",
]
REFUSAL = (
    "only the worker of a source can read standard input here. "
    "Read it in the source, or run this stage on Threads() or Inline(), in the main process."
)


def run(program: str, folder: Path, *, stdin: int | None = None, text: str | None = None, closed: str = ""):
    (folder / "program.py").write_text(program)
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-W", "error", "program.py"]
    return subprocess.run(
        command, cwd=folder, stdin=stdin, input=text, capture_output=True, text=True, timeout=WHOLE, check=False
    )


@pytest.mark.parametrize("place", WITH_WORKERS)
def test_source_reads_it_in_every_way_that_there_is_and_all_others_are_told_where_to_read_it(place, tmp_path):
    """What a stage starts finds the null device there, in a process."""
    # Each takes an interpreter there.
    ways = WAYS[:1] if place == "spawn" else WAYS
    refused = [] if place == "threads" else [each.format(on=EXPRESSIONS[place]) for each in REFUSED]
    (tmp_path / "lines").write_text(LINES)
    runs = RUNS.format(on=EXPRESSIONS[place], ways=f"[{', '.join(ways)}]", refused=f"[{', '.join(refused)}]")
    within = EXPRESSIONS[place]
    with (tmp_path / "lines").open() as lines:
        done = run(READERS.replace("{on}", within) + runs, tmp_path, stdin=lines.fileno())
    assert done.stderr == ""
    told = done.stdout.splitlines()
    assert told[: len(ways)] == [str(LINES.splitlines(keepends=True))] * len(ways)
    assert [REFUSAL in text for text in told[len(ways) :]] == [True] * len(refused[:-1]) + [False] * len(refused[-1:])
    assert told[len(ways) + 3 :] == ["[(b'', 0)]"] * len(refused[-1:])


@pytest.mark.parametrize("place", FORKING)
def test_source_reads_a_pipe_to_its_end(place, tmp_path):
    done = run(
        READERS + f"if __name__ == '__main__': print(list(Pipeline(source(by_iteration), on={EXPRESSIONS[place]})))",
        tmp_path,
        text=LINES,
    )
    assert (done.stdout, done.stderr) == (f"{LINES.splitlines(keepends=True)}\n", "")


@pytest.mark.parametrize("place", PROCESSES)
def test_source_reads_a_terminal_until_its_end_is_typed(place, tmp_path):
    program = f"if __name__ == '__main__': print(list(Pipeline(source(by_iteration), on={EXPRESSIONS[place]})))"
    (tmp_path / "program.py").write_text(READERS + program)
    keyboard, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # it takes no lock
        ) as process:
            # Ctrl-D, which the terminal keeps in order with the lines.
            os.write(keyboard, LINES.encode() + b"\4")
            told = process.communicate(timeout=WHOLE)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert told == (f"{LINES.splitlines(keepends=True)}\n".encode(), b"")


@pytest.mark.parametrize("place", PROCESSES)
def test_source_is_refused_the_rest_of_what_the_main_process_has_begun_to_read(place, tmp_path):
    """Part of the rest is in that process's buffer."""
    program = f"""
if __name__ == "__main__":
    print(sys.stdin.readline(), end="")
    told(lambda: list(Pipeline(source(by_iteration), on={EXPRESSIONS[place]})))
    print(list(Pipeline(sys.stdin).map(str.upper, on={EXPRESSIONS[place]})))
"""
    done = run(READERS + program, tmp_path, text=LINES)
    assert done.stderr == ""
    first, refusal, rest = done.stdout.splitlines()
    assert (first, rest) == ("first", "['SECOND\\n']")
    assert "the main process has begun to read standard input, and may hold in its buffer what comes next." in refusal
    assert "Pipeline(sys.stdin)" in refusal


@pytest.mark.parametrize("place", WITH_WORKERS)
def test_source_finds_none_where_the_program_has_none(place, tmp_path):
    program = f"if __name__ == '__main__': told(lambda: list(Pipeline(source(by_iteration), on={EXPRESSIONS[place]})))"
    done = run(READERS + program, tmp_path, closed="<&-")
    assert done.stderr == ""
    assert "raised TypeError: 'NoneType' object is not iterable" in done.stdout


@pytest.mark.parametrize("place", PROCESSES[:2])
def test_main_file_that_reads_it_is_told_so_in_a_worker_that_imports_it(place, tmp_path):
    program = f"""
import sys
from chainpump import *

WORDS = sys.stdin.read().split()

if __name__ == "__main__":
    print(list(Pipeline(WORDS).map(str.upper, on={EXPRESSIONS[place]})))
"""
    done = run(program, tmp_path, text=LINES)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot read standard input as it imports the program: the main process has read it." in done.stderr
    assert 'Put what reads it under `if __name__ == "__main__":`' in done.stderr


def read_line() -> Iterator[str]:
    yield sys.stdin.readline()


@pytest.mark.parametrize("place", PROCESSES)
def test_source_is_told_of_a_stream_that_only_the_main_process_has(place, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(LINES))
    text = r"sys\.stdin of the main process is a StringIO, which no worker process can read\."
    with pytest.raises(StageError, match=text):
        list(Pipeline(source(read_line), on=on(place)))
    assert list(Pipeline(source(read_line), on=on("threads"))) == ["first\n"]


@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_does_not_read_it_may_ask_it_anything_else(place, monkeypatch):
    found = list(Pipeline([1]).then(stage(stages.stdin_attributes), on=on(place)))
    assert found == [("<stdin>", "utf-8", False, True, False)]


def test_unreadable_stream_raises_by_whatever_it_is_read():
    for read in (
        lambda stream: stream.read(),
        lambda stream: stream.readline(),
        list,
        lambda stream: stream.buffer.peek(),
        lambda stream: stream.fileno(),
    ):
        with pytest.raises(io.UnsupportedOperation, match=re.escape("because")):
            read(StandardInput(refusal="because").open())


def test_run_within_a_stage_that_cannot_read_it_says_why_that_cannot(monkeypatch):
    monkeypatch.setattr(sys, "stdin", StandardInput(refusal="because").open())
    with pytest.raises(StageError, match=r"raised UnsupportedOperation.*:\n  because"):
        list(Pipeline(source(read_line), on=on("forkserver")))
