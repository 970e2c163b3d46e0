"""The documents keep their word: each promise links to a test that exists, and every link leads somewhere."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import chainpump
from support.gate import WHOLE

ROOT = Path(__file__).parents[1]
DESIGN = ROOT / "docs" / "design.md"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
TEST_LINK = re.compile(r"\[`(test_\w+)`\]\(([^)]+\.py)\)")
LINK = re.compile(r"\]\(([^)#]+)")


def rules() -> dict[int, list[tuple[str, str]]]:
    """Rule number to the tests that its row names, each as name and path."""
    rows = re.findall(r"^\| (\d)\. (.*)$", DESIGN.read_text(), re.MULTILINE)
    return {int(number): TEST_LINK.findall(row) for number, row in rows}


def test_each_of_the_five_rules_names_a_test() -> None:
    assert sorted(rules()) == [1, 2, 3, 4, 5]
    assert all(rules().values())


@pytest.mark.parametrize(
    "page, name, path", [(page, name, path) for page in PAGES for name, path in TEST_LINK.findall(page.read_text())]
)
def test_the_test_that_a_page_names_exists(page: Path, name: str, path: str) -> None:
    tree = ast.parse((page.parent / path).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_reference_has_every_public_name() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = re.findall(r"^\.\. auto(?:class|exception|function):: (\w+)", pages, re.MULTILINE)
    assert set(shown) - {"chainpump"} == set(chainpump.__all__)


def test_the_reference_has_every_operator() -> None:
    page = (ROOT / "docs" / "reference" / "pipelines.md").read_text(encoding="utf-8")
    methods = {name for name in vars(chainpump.Pipeline) if not name.startswith("_")}
    assert methods <= set(re.findall(r"Pipeline\.(\w+)", page))


def test_the_overview_has_every_extra_with_its_version() -> None:
    page = (ROOT / "docs" / "overview.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\w-]+) ([\d.]+)( or newer)? \|", page, re.MULTILINE)
    shown = {extra: f"{package}{'>=' if newer else '=='}{version}" for extra, package, version, newer in rows}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {name: needs[0].partition(";")[0] for name, needs in project["optional-dependencies"].items()}
    assert shown == {name: brought[name] for name in brought.keys() - {"dev", "docs", "gallery", "codecs", "bench"}}


def test_a_dead_link_of_the_built_site_is_named(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="more/a%20b.html#top of it">there</a>'
        '<a href="https://example.org/x.html#y">elsewhere</a><img src="p.svg">'
    )
    page = tmp_path / "more" / "a b.html"
    page.write_text('<a id="top of it" href="../index.html">back</a><a href="#below">down</a><a href="#">up</a>')
    command = [sys.executable, ROOT / "docs" / "check_links.py", tmp_path]

    def checked() -> tuple[int, str]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE, check=False)
        return done.returncode, done.stderr

    assert checked() == (
        1,
        "index.html: p.svg leads to no file\nmore/a b.html: #below leads to no anchor\n2 dead links\n",
    )
    page.write_text('<a id="top of it" href="../index.html">back</a><h2 id="below">')
    (tmp_path / "p.svg").touch()
    assert checked() == (0, "")
