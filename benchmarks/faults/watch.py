"""Runs a cell as a program of its own, with a time limit, and sees what comes of it from outside.

All processes of a cell are in a session of its own, which orphans do not leave: so cells can run side by side.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

# What a cell says is JSON.
from typing import IO, Any

from benchmarks.faults.wrongs import WRONGS, Wrong
from benchmarks.runner import ROOT

# Seconds; what is there so long after the end counts as left behind.
LINGER = 2.0
# Seconds from one look at the processes to the next.
GLANCE = 0.02
# They stay for the life of a program.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a cell.

    error: the text of the exception with its traceback, None if there was none. late: it came to no end within the
    limit; stays: it did, but its main process then did not. seconds: until the end of both. arrived: how many items
    came, each counted once. left: processes that were there `LINGER` seconds after the end.
    """

    system: str
    wrong: str
    error: str | None
    late: bool
    stays: bool
    seconds: float
    arrived: int
    left: int


def watch(system: str, wrong: Wrong, limit: float) -> Seen:
    """Run a cell. Nothing of it is left running."""
    with TemporaryDirectory() as scratch:
        items, errors = Path(scratch) / "items", Path(scratch) / "stderr"
        items.touch()
        command = [sys.executable, "-m", "benchmarks.faults.cell", system, str(WRONGS.index(wrong)), str(items)]
        with errors.open("w") as stderr, _started(command, stderr, scratch) as main:
            try:
                seen = (_follow_killed if wrong.kills_main else _follow)(main, limit)
            finally:
                for pid in _session(main.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        return Seen(system, wrong.name, arrived=len(set(items.read_text().split())), **seen)


def _started(command: Sequence[str], stderr: IO[str], scratch: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": scratch},
        start_new_session=True,
    )


def _follow(main: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
    """Wait for what came of it, look what is left, then let it go and look again."""
    assert main.stdin is not None
    assert main.stdout is not None
    words = _Words(main.stdout, limit)
    started = words.wait_for("started")
    try:
        error = words.wait_for("ended")
    except TimeoutError:
        return {"error": None, "late": True, "stays": True, "seconds": limit, "left": 0}
    seconds = monotonic() - started
    left = _left(main.pid)
    main.stdin.close()
    let_go = monotonic()
    try:
        main.wait(limit)
    except subprocess.TimeoutExpired:
        return {"error": error, "late": False, "stays": True, "seconds": limit, "left": left}
    seconds += monotonic() - let_go
    return {"error": error, "late": False, "stays": False, "seconds": seconds, "left": max(left, _left(main.pid))}


def _follow_killed(main: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
    """Kill it once some items have come, and see how long the others stay."""
    assert main.stdout is not None
    words = _Words(main.stdout, limit)
    try:
        words.wait_for("early")
    except TimeoutError:
        return {"error": None, "late": True, "stays": True, "seconds": limit, "left": 0}
    main.kill()
    main.wait()
    killed = monotonic()
    left = _left(main.pid)
    return {"error": None, "late": False, "stays": False, "seconds": monotonic() - killed, "left": left}


class _Words:
    """What a cell says, line by line, until the limit."""

    def __init__(self, stream: IO[bytes], limit: float) -> None:
        self._stream = stream
        self._deadline = monotonic() + limit
        self._text = b""

    def wait_for(self, what: str) -> Any:
        """The value that comes with a word. Raises TimeoutError."""
        while True:
            line, end, rest = self._text.partition(b"\n")
            if end:
                self._text = rest
                word, value = json.loads(line)
                if word == what:
                    return value
                continue
            ready, _, _ = select.select([self._stream], [], [], max(0.0, self._deadline - monotonic()))
            chunk = os.read(self._stream.fileno(), 1 << 20) if ready else b""
            if not chunk:
                raise TimeoutError(what)
            self._text += chunk


def _left(main: int) -> int:
    """How many processes of a cell are there beside its main process, and do not end within `LINGER` seconds."""
    deadline = monotonic() + LINGER
    while found := [pid for pid in _session(main) if pid != main and not _helps(pid, main)]:
        if monotonic() > deadline:
            break
        sleep(GLANCE)
    return len(found)


def _session(leader: int) -> list[int]:
    """The living processes of a session."""
    fields = {int(path.name): _fields(path) for path in Path("/proc").iterdir() if path.name.isdecimal()}
    return [pid for pid, (state, _, _, session) in fields.items() if session == str(leader) and state not in "ZX"]


def _helps(pid: int, main: int) -> bool:
    """Whether it is one of the standard library's helpers, of a program that lives."""
    process = Path(f"/proc/{pid}")
    with suppress(FileNotFoundError, ProcessLookupError):
        command = (process / "cmdline").read_text()
        return _fields(process)[1] == str(main) and any(name in command for name in HELPERS)
    return False


def _fields(process: Path) -> tuple[str, str, str, str]:
    """State, parent, group and session."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state, parent, group, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        return state, parent, group, session
    return "X", "", "", ""
