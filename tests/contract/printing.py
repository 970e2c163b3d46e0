"""A program in a terminal whose worker prints and is killed: `python printing.py PLACE FILE`.

The file gets what would have been shown above a live table.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from chainpump import Pipeline, Progress, RunError, Threads
from faults.executors import on


class Above:
    """A live table that draws nothing."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, progress: Progress) -> None:
        """Draw a snapshot."""

    def print_above(self, text: str) -> None:
        """Keep what is to be shown."""
        self.lines += text.split("\n")


def printed(number: int) -> int:
    """Print something in each way, and be killed at the end."""
    print("printed", number)
    print("error", number, file=sys.stderr)
    os.write(1, b"raw %d\n" % number)
    if number == 2:
        os.write(2, b"no end of line")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


if __name__ == "__main__":
    above = Above()
    with suppress(RunError):
        Pipeline(range(3)).map(printed, on=on(sys.argv[1])).into(sum, on=Threads()).run(observe=above)
    Path(sys.argv[2]).write_text("\n".join(above.lines), encoding="utf-8")
