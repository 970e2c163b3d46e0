"""Run every cell of the matrix of faults many times in a row: `python -m tests.matrix --times 20 --load 10`.

A cell is a fault, where it happens, and how the run is consumed; docs/reliability.md has the table. Left out are tests
that repeat something by themselves. A pass in which a test fails is printed as pytest tells of it; the others follow,
since each cell counts for itself. Exit status 1 then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# As the tests have it.
sys.path.insert(0, str(Path(__file__).parent))

from chaos import busy
from support.cases import ALL_CASES

__all__ = ["main"]

FAULTS = Path(__file__).parent / "faults"
# Campaigns in short, what is injected, and what belongs to one feature.
NO_CELLS = {
    "test_auto_stages.py",
    "test_chaos.py",
    "test_crash_points.py",
    "test_ctrl_c_points.py",
    "test_faults_on_purpose.py",
    "test_local_transport.py",
    "test_main_file.py",
    "test_soak.py",
    "test_stacks.py",
    "test_successors.py",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print a line for each pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=20, help="passes (default: 20)")
    parser.add_argument("--load", type=int, default=0, metavar="K", help="busy processes beside them (default: none)")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="tests side by side (default: 2)")
    options = parser.parse_args(arguments)
    files = [str(path) for path in sorted(FAULTS.glob("test_*.py")) if path.name not in NO_CELLS]
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(options.at_once), "--dist", "worksteal", *files]
    went_well = True
    with busy(options.load):
        for number in range(1, options.times + 1):
            started = time.monotonic()
            environment = {**os.environ, ALL_CASES: "1"}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            last = done.stdout.strip().rpartition("\n")[2]
            if done.returncode:
                went_well = False
                print(done.stdout, done.stderr, sep="\n")
            print(f"{number} of {options.times}: {last} ({time.monotonic() - started:.0f} s)", flush=True)
    return int(not went_well)


if __name__ == "__main__":
    sys.exit(main())
