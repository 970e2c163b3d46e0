"""The loss of a machine, of the way to it, or of the main process ends the run everywhere, and the error says which."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from chainpump import Hosts, Pipeline, WorkerLostError, source
from chainpump.cluster.commands import CommandLauncher
from cluster import work
from cluster.programs import agent_of, agents, switchboard
from contract import stages
from support.gate import WHOLE, Gate
from support.processes import children_by_thread, gone, watching

TWO = Hosts(["localhost", "localhost"], workers=2, lost_after=6.5)
# How the death of an agent is noticed. It depends on what the agent had not read and not sent, and on which process has
# its turn first.
KILLED = (
    "(localhost closed the connection|localhost cannot be reached any more"
    "|the command that starts the agent of localhost killed by SIGKILL)"
)


def lost(gate: Gate, program_of: Callable[[int], int], number: signal.Signals) -> str:
    """Send a signal to a program while a worker is busy; the text of the error that this causes."""
    with Pipeline(source(stages.endless)).map(partial(work.held, gate, 30), on=TWO).open() as run:
        worker = gate.wait_held()
        with watching([worker, *agents(), switchboard()]) as watched:
            os.kill(program_of(worker), number)
            with pytest.raises(WorkerLostError) as caught:
                for _ in run:
                    pass
            assert gone(watched)
    return str(caught.value)


def test_a_killed_agent_is_named() -> None:
    """Without a worker that is busy."""
    with Pipeline(source(stages.endless)).map(work.pid_of, on=TWO).open() as run:
        items = iter(run)
        os.kill(agent_of(next(items)), signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=rf"on localhost\): {KILLED}"):
            for _ in items:
                pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_agent_ends_the_run(gate: Gate, number: signal.Signals) -> None:
    words = {signal.SIGKILL: KILLED, signal.SIGSTOP: "localhost has sent nothing for 6.5 s: it is frozen"}[number]
    assert re.search(rf"stage 'held' lost worker \d of 2 .*: {words}", lost(gate, agent_of, number))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_switchboard_ends_the_run(gate: Gate, number: signal.Signals) -> None:
    words = {signal.SIGKILL: "has died", signal.SIGSTOP: "(has not answered for 10 s|did not answer it)"}[number]
    text = f"the process that connects this machine with the others {words}"
    assert re.search(text, lost(gate, lambda _: switchboard(), number))


def test_a_machine_that_cannot_be_reached_is_named() -> None:
    nowhere = Hosts(["nowhere"], command="false {host}", address="127.0.0.1")
    with pytest.raises(WorkerLostError, match=r"\(on nowhere\): the command that starts .* exited with code 1"):
        list(Pipeline(range(9)).map(work.doubled, on=nowhere))


PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from chainpump import Pipeline
from chainpump import Hosts
from cluster import work
from support.gate import Gate

if __name__ == "__main__":
    gate = Gate.__new__(Gate)
    gate.__setstate__((Path(sys.argv[1]), Path(sys.argv[2])))
    list(Pipeline(range(100)).map(partial(work.held, gate, 30), on=Hosts(["localhost", "localhost"], workers=2)))
"""


def test_nothing_outlives_a_killed_main_process(gate: Gate, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    held, released = gate.__getstate__()
    with subprocess.Popen([sys.executable, program, held, released], env=environment) as main:
        worker = gate.wait_held()
        with watching([worker, *children_by_thread(main.pid)]) as watched:
            main.kill()
            main.wait(WHOLE)
            assert gone(watched)


def test_an_agent_that_greets_and_never_has_its_links_is_lost_after_the_time_to_join(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Seconds; enough to start a program and to greet.
    monkeypatch.setattr(CommandLauncher, "join_within", 6.0)
    greets_only = shlex.join([sys.executable, str(Path(__file__).with_name("greets_only.py")), str(tmp_path / "seen")])
    on = Hosts(["n1"], command=f"env HOST={{host}} {greets_only}", address="127.0.0.1")
    with pytest.raises(WorkerLostError, match=r"n1 has not joined the run within 6 s"):
        list(Pipeline(range(9)).map(work.doubled, on=on))
    assert (tmp_path / "seen").read_text() == "has its plan"


def test_a_run_ends_at_once_if_no_machine_can_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    # A worker whose machine nobody takes for lost would be left behind, 30 s later, with a warning.
    with pytest.raises(WorkerLostError, match=r"the command that starts the agent of n[12] exited with code 1"):
        list(Pipeline(range(9)).map(work.doubled, on=Hosts(["n1", "n2"], command="false {host}")))
    assert caplog.text == ""
