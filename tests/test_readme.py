"""The README tells the truth: its example prints what it says, and its commands are those that are run."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

import chainpump
from support.gate import WHOLE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What there is no room for in the README.
OVERVIEW = (ROOT / "docs" / "overview.md").read_text(encoding="utf-8")


def blocks(language, page=README):
    """The contents of a page's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


EXAMPLE = blocks("python")[0]
PRINTED, RAISED = blocks("text")
ERRORS = blocks("text", OVERVIEW)

# How to make the example fail as each of the README's errors says: what in it to replace, and by what.
TEST = "        if all("
AT_50_000 = "        if n == 50_000:\n            "
FAILURES = [
    (TEST, f"{AT_50_000}raise ValueError('too large to test')\n{TEST}"),
    (TEST, f"{AT_50_000}import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n{TEST}"),
    (TEST, f"{AT_50_000}import time; time.sleep(60)\n{TEST}"),
    ("found: Iterable[int]", "found: Iterable[str]"),
]


def run(script, folder):
    path = folder / "primes.py"
    path.write_text(script)
    return subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=WHOLE, check=False)


def without_numbers(text):
    """Which worker it was, its pid and how many items it held differ from run to run; lines of the file do not."""
    kept = r"(?<!\.py:)(?<!\.py:\d)"
    return re.sub(rf"{kept}\d+|  +", "N", re.sub("item 49998 for .*", "item 49998 for N s", text))


def test_example_prints_what_the_readme_says(tmp_path):
    done = run(EXAMPLE, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PRINTED


@pytest.mark.parametrize("shown,change", [*zip(ERRORS, FAILURES, strict=True)])
def test_errors_read_as_the_readme_shows_them(tmp_path, shown, change):
    script = EXAMPLE.replace(*change)
    # Long enough for all to have started, on a machine however slow.
    if "sleep" in change[1]:
        script = script.replace(".run()", ".run(stall_timeout=3)")
    assert change[1] in script
    done = run(script, tmp_path)
    assert done.returncode == 1
    assert without_numbers(shown) in without_numbers(done.stderr.replace(f"{tmp_path}/", ""))


def test_picture_is_that_of_the_example(tmp_path):
    script = EXAMPLE.replace(".run().value)", ".plan().svg(), end='')")
    done = run(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (Path(__file__).parents[1] / "docs" / "primes.svg").read_text(encoding="utf-8")


WITH_OPERATORS = """\
import asyncio, os

urls = [f"page {number}" for number in range(100)]

async def fetch(url: str) -> str:
    await asyncio.sleep(0.001)
    return url + " fetched"

def parse(text: str) -> str:
    if text.startswith("page 13 "):
        raise ValueError(text)
    return text.upper()

def store(batch: list[str]) -> None:
    assert len(batch) <= 32

if __name__ == "__main__":
"""


def test_example_of_operators_does_what_the_readme_says(tmp_path):
    done = run(WITH_OPERATORS + indent(blocks("python")[1], "    "), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    *table, dead = done.stdout.splitlines()
    assert [line.split()[0] for line in table[:6]] == ["stage", "list", "fetch", "parse", "batch(32,", "store"]
    assert dead == "['page 13 fetched']"


def test_the_overview_shows_the_programs_and_the_error_of_the_readme():
    assert blocks("python", OVERVIEW)[:2] == blocks("python")
    assert ERRORS[0] == RAISED
    assert blocks("python", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")) == blocks("python")[1:]


def test_the_readme_is_one_screen():
    assert len(README.splitlines()) <= 130


def test_example_has_15_lines():
    assert sum(1 for line in EXAMPLE.splitlines() if line.strip()) <= 15


def test_every_executor_is_among_the_places_where_stages_run():
    public = {name: getattr(chainpump, name) for name in chainpump.__all__ if name != "Executor"}
    executors = {name for name, value in public.items() if isinstance(value, type) and hasattr(value, "start")}
    assert set(re.findall(r"^\| `(\w+)\(", OVERVIEW, flags=re.MULTILINE)) == executors


def test_there_are_two_commands_of_one_line():
    commands = blocks("sh")
    assert [command.count("\n") for command in commands] == [1, 1]
    example, tests = commands
    assert "python -m chainpump run examples/index_code.py:pipeline" in example
    assert tests.rstrip().endswith("python -m pytest -n 4 --dist worksteal")


def test_both_commands_install_the_versions_that_were_tested():
    assert all("pip install -q -c constraints.txt " in command for command in blocks("sh"))
    pins = (Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    assert any(pin.startswith("cloudpickle==") for pin in pins)


def test_continuous_integration_runs_these_commands():
    script = (Path(__file__).parents[1] / ".ci" / "run").read_text(encoding="utf-8")
    assert 'bash -c "$(readme_command 1)"' in script
    assert 'bash -c "$(readme_command 2)"' in script


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
