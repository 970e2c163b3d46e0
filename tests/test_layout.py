"""The layout of the package: few files at the top, short modules, no folder that does not list its files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "chainpump"
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("*/__init__.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_AT_TOP = 8
MOST_LINES = 400
# Their docstrings are the reference of the public methods.
LONG = {PACKAGE / "pipeline.py", PACKAGE / "building" / "generator_operators.py"}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def test_few_files_stand_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_TOP


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_folder_lists_its_files_with_a_line_each(folder: Path) -> None:
    listed = re.findall(r"^\* `([a-z_]+)`: \S", docstring_of(folder / "__init__.py"), re.MULTILINE)
    folders = [path.parent.name for path in folder.glob("*/__init__.py")]
    assert listed == sorted([*folders, *(path.stem for path in folder.glob("*.py") if path.stem != "__init__")])


def test_modules_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > MOST_LINES and path not in LONG} == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_modules_that_documents_name_exist(document: Path) -> None:
    folders = "|".join(folder.name for folder in FOLDERS if folder.parent == PACKAGE)
    named = re.findall(rf"`((?:{folders})\.[a-z_]+)[`.]", document.read_text(encoding="utf-8"))
    assert [name for name in named if not (PACKAGE / f"{name.replace('.', '/')}.py").is_file()] == []
