"""Programs that belong to a run end with it, whatever they do."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from chainpump.cluster.agent_control import Invitation
from chainpump.cluster.launched_program import launched
from support.gate import LIMIT
from support.processes import gone, watching

READS = "import sys; sys.stdin.read()"
LINE = "import sys; line = sys.stdin.readline(); sys.exit(7 if line == 'key\\n' else 8)"


def test_a_program_gets_its_input_and_its_exit_code_is_known() -> None:
    started = launched("a program", [sys.executable, "-c", LINE], standard_input=b"key\n")
    started.end(time.monotonic() + LIMIT)
    assert started.exit_code == 7


def test_the_end_of_a_program_is_noticed_once() -> None:
    started = launched("a program", [sys.executable, "-c", "pass"])
    assert len(started.waitables) == 1
    while not started.check_ended():
        pass
    assert not started.check_ended()
    assert started.waitables == ()
    started.end(time.monotonic())
    assert started.exit_code == 0


def test_a_program_that_reads_ends_by_the_end_of_its_input() -> None:
    started = launched("a program", [sys.executable, "-c", READS], standard_input=b"")
    started.end(time.monotonic() + LIMIT)
    assert started.exit_code == 0


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_program_that_does_not_end_is_killed(is_stopped: bool) -> None:
    started = launched("a program", [sys.executable, "-c", "import time; time.sleep(1000)"], standard_input=b"")
    with watching([started.pid]) as watched:
        if is_stopped:
            os.kill(started.pid, signal.SIGSTOP)
        started.end(time.monotonic())
        assert gone(watched)
    assert started.exit_code == -signal.SIGKILL


def test_a_program_that_does_not_exist_is_refused() -> None:
    with pytest.raises(FileNotFoundError):
        launched("a program", ["/no/such/program"])


def test_an_invitation_is_read_as_it_was_written_and_nothing_behind_it() -> None:
    reading, writing = os.pipe()
    invitation = Invitation(("10.0.0.7", 41_207), 3, b"\x00key\xff", 2.5)
    os.write(writing, invitation.line() + b"rest")
    os.close(writing)
    assert Invitation.read(reading) == invitation
    assert os.read(reading, 10) == b"rest"
    with pytest.raises(EOFError, match="chainpump starts this program itself"):
        Invitation.read(reading)
    os.close(reading)
