"""What worker processes print while a live table is drawn comes to the table, all of it and in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract import printing
from faults.places import PROCESSES
from support.gate import WHOLE

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("place", PROCESSES)
def test_what_a_killed_worker_has_printed_is_shown_above_the_table(place: str, tmp_path: Path) -> None:
    ours, terminal = os.openpty()
    try:
        subprocess.run(
            [sys.executable, printing.__file__, place, tmp_path / "above"],
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            stdout=terminal,
            stderr=terminal,
            check=True,
            timeout=WHOLE,
        )
        os.write(terminal, b"|")
        assert os.read(ours, 4096) == b"|", "nothing has gone through the table"
    finally:
        os.close(ours)
        os.close(terminal)
    lines = [f"{what} {number}" for number in range(3) for what in ("printed", "error", "raw")]
    assert (tmp_path / "above").read_text().split("\n") == [*lines, "no end of line"]
