"""The page for users of pipeline_lib: its programs run, and its table has every public name and parameter."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chainpump.compat import pipeline_lib
from support.gate import LIMIT

PAGE = Path(__file__).parents[2] / "docs" / "from_pipeline_lib.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def public_names() -> set[str]:
    """Each public name, each parameter as `name(parameter)`, and each property."""
    task = pipeline_lib.PipelineTask
    return {
        *pipeline_lib.__all__,
        *(f"execute({name})" for name in inspect.signature(pipeline_lib.execute).parameters),
        *(f"PipelineTask({field.name})" for field in dataclasses.fields(task)),  # type: ignore[arg-type]
        *(f"PipelineTask.{name}" for name, value in vars(task).items() if isinstance(value, property)),
    }


def test_the_table_has_every_public_name_and_parameter() -> None:
    table = TEXT.partition("## Every name")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([^`]+)` \| .+ \| \[`test_\w+`\]", table, re.MULTILINE)) == sorted(public_names())


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_programs_of_the_page_print_what_it_says(number: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[number])
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (ended.stdout, ended.stderr) == ("328350\n", "")
