"""Which machines the stages of a run get, and the commands that start their agents."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import pytest

from chainpump import Hosts
from chainpump.cluster import commands
from chainpump.cluster.agent_control import Invitation
from chainpump.cluster.commands import CommandLauncher


@pytest.mark.parametrize(
    "stages,names,places",
    [
        ([Hosts(["a", "b"], workers=3)], ["a", "b"], [[0, 1, 0]]),
        ([Hosts(["a", "b"], workers=1), Hosts(["a", "b"])], ["a", "b"], [[0], [0, 1]]),
        ([Hosts(["a", "a"])], ["a", "a"], [[0, 1]]),
        ([Hosts(["a"]), Hosts(["b"])], ["a", "b"], [[0], [1]]),
        ([Hosts(["a"]), Hosts(["a"], command="srun -w {host} python3")], ["a", "a"], [[0], [1]]),
    ],
    ids=["in turn", "shared", "twice", "others", "another command"],
)
def test_stages_with_equal_hosts_and_commands_share_machines(
    stages: Sequence[Hosts], names: Sequence[str], places: Sequence[Sequence[int]]
) -> None:
    launcher = CommandLauncher(stages)
    assert (launcher.names, launcher.places) == (names, places)


def test_the_command_of_a_machine_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Sequence[str]] = []
    monkeypatch.setattr(commands, "launched", lambda name, command, **_: started.append([name, *command]))
    launcher = CommandLauncher([Hosts(["n1", "localhost"], command="ssh -p 22 {host} '/opt/my python'")])
    invitation = Invitation(("10.0.0.7", 41_207), 1, b"key", 5.0)
    launcher.launch(0, invitation)
    launcher.launch(1, invitation)
    remote, local = started
    agent = ["-m", "chainpump.cluster.agent_main"]
    assert remote == ["the command that starts the agent of n1", "ssh", "-p", "22", "n1", "/opt/my python", *agent]
    assert local[:2] == ["the command that starts the agent of localhost", sys.executable]


def test_the_most_patient_stage_says_when_a_machine_is_lost() -> None:
    assert CommandLauncher([Hosts(["n1"], lost_after=30), Hosts(["n2"])]).lost_after == 30
    assert CommandLauncher([Hosts(["n1"], lost_after=2.5)]).lost_after == 2.5


def test_machines_reach_this_one_at_the_given_address_or_by_its_name() -> None:
    assert CommandLauncher([Hosts(["n1"]), Hosts(["n2"], address="10.0.0.7")]).address == "10.0.0.7"
    assert CommandLauncher([Hosts(["n1", "localhost"])]).address == socket.gethostname()
    local = CommandLauncher([Hosts(["localhost"])])
    assert (local.is_local, local.address) == (True, "127.0.0.1")


def test_a_lost_machine_is_followed_by_the_others_of_the_same_hosts_in_turn() -> None:
    launcher = CommandLauncher([Hosts(["a", "b", "c"]), Hosts(["d"])])
    followers = [launcher.another(0, [1, 2, 3]) for _ in range(3)]
    assert followers == [4, 5, 6]
    assert launcher.names == ["a", "b", "c", "d", "b", "c", "b"]


def test_a_machine_without_others_follows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Sequence[str]] = []
    monkeypatch.setattr(commands, "launched", lambda _, command, **__: started.append(command))
    launcher = CommandLauncher([Hosts(["a", "a"], command="srun -w {host} python3"), Hosts(["d"])])
    assert launcher.another(0, [1, 2]) == 3
    assert launcher.another(3, [2]) == 4
    launcher.launch(4, Invitation(("10.0.0.7", 41_207), 5, b"key", 5.0))
    assert started[0][:4] == ["srun", "-w", "a", "python3"]
