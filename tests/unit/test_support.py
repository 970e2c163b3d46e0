"""What tests know of processes, they know whichever way the kernel tells it."""

import os
import signal
import subprocess

import pytest

from support import processes
from support.processes import descendants, kill_and_reap


@pytest.mark.parametrize("lists_children", [True, False])
def test_descendants_are_children_and_their_children_and_orphans_alike(
    lists_children: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LISTS_CHILDREN", lists_children and processes.LISTS_CHILDREN)
    script = "sleep 1000 & echo $!; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        assert descendants() == {shell.pid, grandchild}
        os.kill(shell.pid, signal.SIGKILL)
    # An orphan, which this process has adopted.
    assert descendants() == {grandchild}
    kill_and_reap([grandchild])
    assert descendants() == set()
