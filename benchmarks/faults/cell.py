"""The program of one cell: `python -m benchmarks.faults.cell SYSTEM PLACE` runs one system with one thing wrong.

It says on standard output when it starts, when some items have come, and what came of it, then waits for a line; what
items came goes into the file that is its third argument, since the loop may be in another process.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Iterable
from functools import partial

# Items are opaque.
from typing import Any

from benchmarks.faults.systems import SYSTEMS
from benchmarks.faults.wrongs import EARLY, WRONGS, Wrong


def main() -> None:
    """Run it, and say what came of it."""
    run, wrong = SYSTEMS[sys.argv[1]], WRONGS[int(sys.argv[2])]
    _say("started", time.monotonic())
    error: str | None = None
    try:
        run(wrong, partial(consume, wrong, sys.argv[3]))
    except BaseException as raised:
        # Also what a worker's `sys.exit` may become.
        error = "".join(traceback.format_exception(raised))
    _say("ended", error)
    sys.stdin.readline()


def consume(wrong: Wrong, path: str, items: Iterable[Any]) -> None:
    """The loop."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number, item in enumerate(items, start=1):
        os.write(file, b"%d\n" % item)
        if number == EARLY:
            _say("early", None)
            if wrong.ends_early:
                return


def _say(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


if __name__ == "__main__":
    main()
