"""Programs that ignore or block SIGCHLD, or wait for any child: a death is known at once all the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.gate import WHOLE

PROGRAM = """
import os, signal, sys, threading
from chainpump import *

def surroundings(name: str) -> None:
    match name:
        case "SIGCHLD is ignored":
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        case "all signals are blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        case "a handler takes all exit codes":
            signal.signal(signal.SIGCHLD, reap)
        case "a thread takes all exit codes":
            threading.Thread(target=reap_for_ever, daemon=True).start()

def reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass

def reap_for_ever() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            threading.Event().wait(0.01)

def same(item: int) -> int:
    return item

def die_at_500(item: int) -> int:
    if item == 500:
        os.kill(os.getpid(), signal.SIGKILL)
    return item

if __name__ == "__main__":
    surroundings(sys.argv[1])
    on = Processes(start_method=sys.argv[2])
    print(sum(Pipeline(range(1_000)).map(same, on=on)))
    try:
        sum(Pipeline(range(1_000)).map(die_at_500, on=on))
    except WorkerLostError as error:
        known = error.signal is signal.SIGKILL and "killed by SIGKILL" in str(error)
        unknown = error.exit_code is None and "died, with an exit code that is not known" in str(error)
        print(error.stage, known, unknown and "takes the exit codes of all child processes" in str(error))
"""
KNOWN, UNKNOWN = "die_at_500 True False", "die_at_500 False True"


@pytest.mark.parametrize(
    "surroundings, method, told",
    [
        pytest.param("SIGCHLD is ignored", "forkserver", {KNOWN}, id="ignored, forkserver"),
        pytest.param("SIGCHLD is ignored", "spawn", {UNKNOWN}, id="ignored, spawn"),
        pytest.param("SIGCHLD is ignored", "fork", {UNKNOWN}, id="ignored, fork"),
        pytest.param("all signals are blocked", "forkserver", {KNOWN}, id="blocked, forkserver"),
        pytest.param("all signals are blocked", "spawn", {KNOWN}, id="blocked, spawn"),
        # Who is first has the exit code.
        pytest.param("a handler takes all exit codes", "fork", {KNOWN, UNKNOWN}, id="handler, fork"),
        pytest.param("a thread takes all exit codes", "forkserver", {KNOWN}, id="thread, forkserver"),
        pytest.param("a thread takes all exit codes", "fork", {KNOWN, UNKNOWN}, id="thread, fork"),
    ],
)
def test_death_of_a_worker_is_told_whoever_takes_its_exit_code(
    surroundings: str, method: str, told: set[str], tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", surroundings, method]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WHOLE, check=False)
    total, found = done.stdout.splitlines()
    assert int(total) == sum(range(1_000))
    assert found in told
    assert "Traceback" not in done.stderr
