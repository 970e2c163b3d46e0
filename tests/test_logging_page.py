"""The program of docs/logging.md prints what that page says."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from support.gate import WHOLE

PAGE = (Path(__file__).parents[1] / "docs" / "logging.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's code block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return found


def by_place(text: str) -> dict[str, list[str]]:
    """The lines of each stage, in order; between stages there is none."""
    lines = defaultdict(list)
    for line in text.splitlines():
        lines[line.split()[1]].append(line)
    return lines


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_program_of_the_page_prints_what_the_page_says(tmp_path: Path, method: str) -> None:
    script = tmp_path / "shop.py"
    script.write_text(block("python").replace("Processes()", f"Processes(start_method={method!r})"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert by_place(done.stdout) == by_place(block("text"))
    assert done.stdout.splitlines()[-1] == block("text").splitlines()[-1]
