"""`docs/extending.md` shows the files that the tests run, and these need public names alone."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chainpump
from chainpump import extending
from chainpump.plan import generator_stages
from extending.clusters import Cluster
from support.gate import LIMIT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples" / "extending").glob("*.py"))
BLOCK = re.compile(r"^\[(examples/extending/\w+\.py)\]\(\.\./\1\):\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PUBLIC = {"chainpump": set(chainpump.__all__), "chainpump.extending": set(extending.__all__)}

# What each example prints when it is run as a program: lines, in any order.
OUTPUT = {
    "kubernetes": ["[0, 1, 4, 9]"],
    "slurm": ["[0, 1, 4, 9]"],
    "interpreter": [str({f"{sys.version_info.major}.{sys.version_info.minor}"})],
    "picture": ["1000 memoryview", "1000 memoryview"],
    "retry_after": ["[0, 2] [1, 3]"],
    "split_when": ["[0.0, 60.0]", "[7200.0, 7260.0]"],
}


def test_the_page_shows_each_example_as_it_is() -> None:
    assert dict(BLOCK.findall(PAGE)) == {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in EXAMPLES
    }
    assert f"```python\n{inspect.getsource(generator_stages.window)}```" in PAGE
    assert PAGE.count("```python") == len(EXAMPLES) + 1 == 8


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_needs_public_names_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not [name.name for name in node.names if name.name.startswith("chainpump")]
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("chainpump"):
            assert {name.name for name in node.names} <= PUBLIC[str(node.module)]
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.endswith("__")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_as_a_program(path: Path, tmp_path: Path, cluster: Cluster) -> None:
    done = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    assert done.stderr == ""
    if path.stem in OUTPUT:
        assert done.stdout.splitlines() == OUTPUT[path.stem]
    else:
        assert '"is_over": true' in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_page_names_every_name_of_the_module() -> None:
    assert all(f"`{name}`" in PAGE for name in extending.__all__)
