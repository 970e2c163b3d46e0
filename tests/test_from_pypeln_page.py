"""The page about pypeln lists every public name and parameter, and its example does what it says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from chainpump.compat import pypeln as pl
from support.gate import WHOLE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "from_pypeln.md").read_text(encoding="utf-8")
LISTED = set(re.findall(r"^\| `([^`]+)` \|.*\[`test_", PAGE, re.MULTILINE))
CALLED = (
    "map",
    "filter",
    "flat_map",
    "each",
    "from_iterable",
    "to_iterable",
    "to_async_iterable",
    "ordered",
    "concat",
    "run",
    "IterableQueue",
    "run_coroutine_in_loop",
    "run_function_in_loop",
)


def public_names() -> set[str]:
    names = set(pl.__all__)
    for module in (pl.process, pl.thread, pl.task, pl.sync):
        names |= set(module.__all__)
        for name in CALLED:
            if name in module.__all__:
                parameters = inspect.signature(getattr(module, name)).parameters
                names |= {f"{name}({parameter}=)" for parameter in parameters}
    return names


def test_the_page_lists_every_public_name_and_parameter() -> None:
    assert public_names() - LISTED == set()
    assert LISTED - public_names() == {"worker_info", "element_index", "stage_status"}


def test_every_test_that_the_page_names_exists() -> None:
    for name, path in re.findall(r"\[`(test_\w+)`\]\(\.\./([\w/.]+)\)", PAGE):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_the_example_prints_what_the_page_shows() -> None:
    program, printed = re.findall(r"```(?:python|text)\n(.*?)```", PAGE, re.DOTALL)[:2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (done.stdout, done.stderr) == (printed, "")
