"""mypy and pyright find every marked mistake in `tests/typing`, no other, and agree with the build-time core."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pytest

sys.path.insert(0, str(Path(__file__).parent / "typing"))
import chains
import verdicts
from checkers import Lines, mypy, pyright

ROOT = Path(__file__).parent.parent
RIGHT, WRONG = ROOT / "tests/typing/right.py", ROOT / "tests/typing/wrong.py"
TABLE = ROOT / "tests/unit/hints/test_hints.py"

# Every so many of the pairs of `tests.typing.verdicts`, which are 15,000.
SAMPLE = 25


CHECKERS = {name: checker for name, checker in {"mypy": mypy, "pyright": pyright}.items() if find_spec(name)}


@pytest.mark.skipif(not CHECKERS, reason="no type checker is installed")
def test_type_checkers_find_the_marked_mistakes_and_agree_with_the_build(tmp_path: Path) -> None:
    """One call of each checker for all: most of its time is the start, and the reading of the library."""
    shutil.copy(RIGHT, tmp_path)
    shutil.copy(WRONG, tmp_path)
    hints, pairs, asked = HintTable.read(), verdicts.table(each=SAMPLE), chains.table(whole=False)
    (tmp_path / "table.py").write_text("\n".join(hints.lines))
    verdicts.write(tmp_path, pairs)
    asked.write(tmp_path)
    with ThreadPoolExecutor() as pool:
        refused = dict(zip(CHECKERS, pool.map(lambda checker: checker(tmp_path), CHECKERS.values()), strict=True))

    marked = marked_mistakes()
    ours = verdicts.core(pairs)
    assert not [each for each in ours if isinstance(each, Exception)]
    for name, lines in refused.items():
        assert {each for each in lines if each[0] in (RIGHT.name, WRONG.name)} == marked, name
        assert hints.differ(lines) == set(), name
        alike = sum((pairs.place(at) not in lines) is verdict for at, verdict in enumerate(ours))
        assert alike >= 0.97 * len(ours), name
    if len(refused) == 2:
        assert [each for each in asked.verdicts(list(refused.values())) if each.differs] == []


def marked_mistakes() -> Lines:
    """The lines whose mistakes are marked."""
    return {
        (file.name, number)
        for file in (RIGHT, WRONG)
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if "# E:" in line
    }


@dataclass(frozen=True)
class HintTable:
    """The pairs of hints of the core's own test, as lines of a module. refused: the numbers of lines to refuse."""

    lines: list[str]
    refused: set[int]

    @classmethod
    def read(cls) -> Self:
        tree = ast.parse(TABLE.read_text())
        tables = {node.targets[0].id: node.value.elts for node in tree.body if is_table(node)}  # type: ignore[attr-defined]
        lines = ["# mypy: allow-any-generics", *definitions(tree)]
        refused = set()
        for name, pairs in tables.items():
            for pair in pairs:
                given, wanted = map(ast.unparse, pair.elts)
                lines.append(f"def case_{len(lines)}(given: {given}) -> None: wanted: {wanted} = given")
                refused |= {len(lines)} if name == "DOES_NOT_FIT" else set()
        return cls(lines, refused)

    def differ(self, refused: Lines) -> set[str]:
        """The pairs of which a checker says something else than the core."""
        found = {number for file, number in refused if file == "table.py" and "case_" in self.lines[number - 1]}
        return {self.lines[number - 1] for number in found ^ self.refused}


def is_table(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("FITS", "DOES_NOT_FIT")


def definitions(tree: ast.Module) -> Iterable[str]:
    """What the table refers to: everything above it, but for what is under test."""
    for node in tree.body:
        if is_table(node):
            return
        if not (isinstance(node, ast.ImportFrom) and str(node.module).startswith(("chainpump", "hypothesis"))):
            yield from ast.unparse(node).splitlines()
