"""Each block of Python on the pages of the guide runs, and prints what its page says."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.page_program import blocks, like, outputs

DOCS = Path(__file__).parents[1] / "docs"
MORE = ("auto.md", "per_worker.md", "recycling.md", "surroundings.md", "warm.md")
PAGES = [
    page
    for page in sorted(
        [*DOCS.glob("howto/*.md"), *DOCS.glob("reference/*.md"), *DOCS.glob("t*.md"), *map(DOCS.joinpath, MORE)]
    )
    if blocks(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_of_a_page_run_and_print_what_it_says(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for package in re.findall(r"^<!-- needs (\w+) -->$", text, re.MULTILINE):
        if find_spec(package) is None:
            pytest.skip(f"it needs {package}: nox -s gallery")
    found = blocks(text)
    for block, printed in zip(found, outputs(found, tmp_path), strict=True):
        if block.printed is not None:
            assert like(block.printed, printed, block.vary), f"{block.code}\nprints\n{printed}"
