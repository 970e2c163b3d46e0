"""The examples of docs/runs.md run, in the order of the page."""

import re
import subprocess
import sys
from pathlib import Path

from support.gate import WHOLE

PAGE = (Path(__file__).parents[1] / "docs" / "runs.md").read_text(encoding="utf-8")


def test_examples_of_the_page_run(tmp_path: Path) -> None:
    first, *others = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    # A machine that tests has no screen.
    others = [each for each in others if "tkinter" not in each]
    assert len(others) == 7
    program = tmp_path / "page.py"
    guarded = "".join(f"    {line}\n" for each in others for line in each.splitlines())
    program.write_text(f'{first}\nif __name__ == "__main__":\n{guarded}    print(run.status)\n')
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    shown = lines.index("500 completed")
    assert all("items" in line for line in lines[:shown])
    assert lines[shown + 1 : shown + 4] == ["False 0", "500", "500"]
    assert lines[shown + 4].startswith("{'status': 'running', 'items': ")
    assert lines[shown + 5] == "cancelled"
    assert lines[shown + 6] == "SinkRun(range -> score -> store, running)"
    assert lines[-1] == "cancelled"
