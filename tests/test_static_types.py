"""mypy and pyright find every marked mistake in `tests/typing`, no other, and agree with the build-time core."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "typing"))
import verdicts

ROOT = Path(__file__).parent.parent
RIGHT, WRONG = ROOT / "tests/typing/right.py", ROOT / "tests/typing/wrong.py"
TABLE = ROOT / "tests/unit/hints/test_hints.py"

# Every so many of the pairs of `tests.typing.verdicts`, which are 15,000.
SAMPLE = 25
# File name and line, counted from 1.
Lines = set[tuple[str, int]]


def mypy(folder: Path) -> Lines:
    """The lines of the files of a folder of which mypy --strict reports errors."""
    options = ("--strict", "--output=json", "--config-file=", f"--cache-dir={folder / 'cache'}")
    found = run("mypy", *options, *map(str, sorted(folder.glob("*.py"))), MYPYPATH=str(ROOT / "src"))
    reports = [json.loads(line) for line in found.splitlines()]
    errors = [(Path(each["file"]), each["line"]) for each in reports if each["severity"] == "error"]
    return {(file.name, line) for file, line in errors if file.parent == folder}


def pyright(folder: Path) -> Lines:
    """The lines of the files of a folder of which pyright reports errors, in strict mode where they say so."""
    config = folder / "pyrightconfig.json"
    config.write_text(json.dumps({"include": ["*.py"], "extraPaths": [str(ROOT / "src")]}))
    found = run("pyright", "--outputjson", "-p", str(config), "--pythonpath", sys.executable)
    reports = json.loads(found)["generalDiagnostics"]
    errors = [each for each in reports if each["severity"] == "error"]
    return {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in errors}


def run(module: str, *arguments: str, **environment: str) -> str:
    command, variables = (sys.executable, "-m", module, *arguments), os.environ | environment
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


CHECKERS = [
    pytest.param(checker, id=name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name, checker in {"mypy": mypy, "pyright": pyright}.items()
]


@pytest.mark.parametrize("checker", CHECKERS)
def test_exactly_the_marked_mistakes_are_reported(checker: Callable[..., Lines], tmp_path: Path) -> None:
    marked: Lines = set()
    for file in (RIGHT, WRONG):
        shutil.copy(file, tmp_path)
        lines = enumerate(file.read_text().splitlines(), start=1)
        marked |= {(file.name, number) for number, line in lines if "# E:" in line}
    assert checker(tmp_path) == marked


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_give_the_verdicts_of_the_table_of_hints(checker: Callable[..., Lines], tmp_path: Path) -> None:
    tree = ast.parse(TABLE.read_text())
    tables = {node.targets[0].id: node.value.elts for node in tree.body if is_table(node)}  # type: ignore[attr-defined]
    lines = ["# mypy: allow-any-generics", *definitions(tree)]
    expected: Lines = set()
    for name, pairs in tables.items():
        for pair in pairs:
            given, wanted = map(ast.unparse, pair.elts)
            lines.append(f"def case_{len(lines)}(given: {given}) -> None: wanted: {wanted} = given")
            expected |= {("table.py", len(lines))} if name == "DOES_NOT_FIT" else set()
    (tmp_path / "table.py").write_text("\n".join(lines))
    made = verdicts.table(each=SAMPLE)
    verdicts.write(tmp_path, made)
    # Both tables at once: a checker takes most of its time to start.
    refused = checker(tmp_path)
    found = {each for each in refused if each[0] == "table.py" and "case_" in lines[each[1] - 1]}
    differ = {lines[number - 1] for _, number in found ^ expected}
    assert not differ
    ours = verdicts.core(made)
    assert not [each for each in ours if isinstance(each, Exception)]
    alike = sum((made.place(at) not in refused) is verdict for at, verdict in enumerate(ours))
    assert alike >= 0.97 * len(ours)


def is_table(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("FITS", "DOES_NOT_FIT")


def definitions(tree: ast.Module) -> Iterable[str]:
    """What the table refers to: everything above it, but for what is under test."""
    for node in tree.body:
        if is_table(node):
            return
        if not (isinstance(node, ast.ImportFrom) and str(node.module).startswith(("chainpump", "hypothesis"))):
            yield from ast.unparse(node).splitlines()


@pytest.mark.skipif(any(find_spec(name) is None for name in ("mypy", "pyright")), reason="a checker is not installed")
def test_the_build_says_of_chains_of_all_kinds_of_functions_what_both_checkers_say() -> None:
    *differ, totals = run("tests.typing.chains", "--few", PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'src'}").splitlines()
    assert " 0 crashes" in totals
    assert not differ
