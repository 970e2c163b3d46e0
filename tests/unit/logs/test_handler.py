"""The handler of worker processes, as `logging` sees it while it is being made."""

from __future__ import annotations

import subprocess
import sys

from support.gate import WHOLE

PROGRAM = """
import logging
from chainpump.errors import Cancelled
from chainpump.logs.handler import PipeHandler

def cancelled(handler):
    raise Cancelled

# Its constructor makes the lock last, when the module knows the handler already.
logging.Handler.createLock = cancelled
try:
    PipeHandler(None, ())
except Cancelled as error:
    # The handler lives as long as the traceback.
    kept = error
"""


def test_a_program_ends_quietly_that_is_cancelled_as_its_handler_is_made() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
