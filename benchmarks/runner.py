"""Run one case in a process of its own, with a time limit, and count the CPU time of all that it started.

    benchmarks (this process, adopts orphans)
      `- python -m benchmarks.case ...         reaped by wait4: its own time and that of what it has reaped
           |- workers of a peer (fork)         reaped by the case
           `- fork server, resource tracker    outlive the case: adopted when it ends, then reaped by wait4
                `- workers of chainpump        reaped by the fork server

Linux adds to a process's time that of the descendants reaped below it, so the sum over what is reaped here
misses nobody, unless somebody ignores SIGCHLD. Linux only: PR_SET_CHILD_SUBREAPER, pidfds and /proc.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from time import monotonic

# What a case returns is JSON.
from typing import Any

# prctl(2).
PR_SET_CHILD_SUBREAPER = 36
# Seconds for a fork server and the like to end after their case.
ORPHAN_GRACE = 5.0
# Seconds for a case to print its stacks.
STACKS_GRACE = 1.0
ROOT = Path(__file__).resolve().parent.parent


class CaseError(Exception):
    """A case raised, took too long, lost items or left processes behind: `problem` says which, `case` whose."""

    def __init__(self, problem: str, case: str) -> None:
        super().__init__(problem, case)
        self.problem = problem
        self.case = case


@dataclass(frozen=True, slots=True)
class Outcome:
    """value: what the case returned; cpu: seconds, user + system, of all its processes."""

    value: Any
    cpu: float


def run_case(function: str, arguments: Mapping[str, object], limit: float) -> Outcome:
    """Call `module:function` with those arguments in a fresh interpreter, for `limit` seconds at most.

    Raises CaseError. Either way nothing of the case is left running.
    """
    name = f"{function} {dict(arguments)}"
    print(f"  {name}", file=sys.stderr)
    _adopt_orphans()
    command = [sys.executable, "-m", "benchmarks.case", function, json.dumps(arguments)]
    # A folder for its temporary files, because a case that is killed cannot remove them.
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err, TemporaryDirectory() as scratch:
        case = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=os.environ | {"TMPDIR": scratch, "PYTHONFAULTHANDLER": "1"},
            start_new_session=True,
        )
        late = True
        try:
            late = not _ends_within(case.pid, limit)
        finally:
            # Also on Ctrl-C, which does not reach the case: its session is its own.
            if late:
                _kill(case.pid)
        case.returncode, cpu = _reap(case.pid)
        orphans_cpu, left_behind = _reap_orphans()
        out.seek(0)
        err.seek(0)
        errors = err.read().strip()
        if problem := _problem(limit if late else None, case.returncode, errors, left_behind):
            print(errors, file=sys.stderr)
            raise CaseError(problem, name)
        return Outcome(json.loads(out.read().splitlines()[-1]), cpu + orphans_cpu)


def _problem(limit: float | None, status: int, errors: str, left_behind: int) -> str | None:
    if limit is not None:
        return f"over {limit:g} s"
    if status:
        return (errors.splitlines() or [f"exit status {status}"])[-1]
    if left_behind:
        return f"left {left_behind} processes behind"
    return None


def _kill(session: int) -> None:
    """Have every Python process of a case print its stacks (faulthandler), then kill what is left of it."""
    os.killpg(session, signal.SIGABRT)
    _ends_within(session, STACKS_GRACE)
    os.killpg(session, signal.SIGKILL)


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _reap_orphans() -> tuple[float, int]:
    """Reap every child that is left: their CPU seconds, and how many had to be killed."""
    deadline = monotonic() + ORPHAN_GRACE
    cpu, killed = 0.0, 0
    # The children of a child that has just been reaped are ours now: look again until there are none.
    while orphans := _children():
        for pid in orphans:
            if not _ends_within(pid, max(0.0, deadline - monotonic())):
                os.kill(pid, signal.SIGKILL)
                killed += 1
            cpu += _reap(pid)[1]
    return cpu, killed


def _children() -> list[int]:
    path = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return [int(pid) for pid in path.read_text().split()]


def _ends_within(pid: int, seconds: float) -> bool:
    handle = os.pidfd_open(pid)
    try:
        waiter = select.poll()
        waiter.register(handle, select.POLLIN)
        return bool(waiter.poll(seconds * 1000))
    finally:
        os.close(handle)


def _reap(pid: int) -> tuple[int, float]:
    """Exit code and CPU seconds of an ended child, descendants included that were reaped below it."""
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
