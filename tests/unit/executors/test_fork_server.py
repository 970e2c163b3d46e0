"""The fork server of a process that ends while it starts a worker says nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.gate import WHOLE

# The pipe with what to run ends early, and the fork server then sends how the process has ended.
UNFINISHED = """
import os
from multiprocessing import forkserver
from chainpump.executors import fork_server

fork_server.ensure_running()
status, data = forkserver.connect_to_new_process([])
os.write(data, {begun!r})
os.close(data)
forkserver.read_signed(status)
print(forkserver.read_signed(status))
"""


@pytest.mark.parametrize("begun", [b"", b"\x80\x04\x95"])
def test_a_start_that_does_not_finish_prints_no_traceback(begun: bytes) -> None:
    command = [sys.executable, "-c", UNFINISHED.format(begun=begun)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
