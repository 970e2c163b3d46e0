"""The tables of docs/operators.md list every operator, and each example yields what the page says."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from ast import literal_eval
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chainpump import Pipeline, Runnable

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "operators.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(?:Pipeline\.)?(\w+)\(.*?\)` \| .* \| `(.*)` \| `(.*)` \|$", PAGE, re.MULTILINE)
# What an operator returns.
ANOTHER = re.compile(r"(chainpump\.)?(Pipeline|Runnable)\b")


def names() -> dict[str, Any]:
    """What the page defines before and between its tables."""
    defined: dict[str, Any] = {"Pipeline": Pipeline, "Iterable": Iterable, "Iterator": Iterator}
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[:2]:
        exec(code, defined)
    return defined


def test_every_operator_is_listed() -> None:
    methods = inspect.getmembers(Pipeline, inspect.isfunction)
    operators = {name for name, method in methods if ANOTHER.match(str(inspect.signature(method).return_annotation))}
    assert {name for name, _, _ in ROWS} == {name for name in operators if not name.startswith("_")} - {"inline"}


def test_the_pictures_are_those_that_the_operators_give_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    pictures = importlib.import_module("operator_pictures")
    for name in pictures.OPERATORS:
        shown = (DOCS / "pictures" / f"operator_{name}.svg").read_text(encoding="utf-8")
        assert pictures.picture(name) == shown, "python docs/operator_pictures.py"
    assert set(re.findall(r"pictures/operator_(\w+)\.svg", PAGE)) == set(pictures.OPERATORS)
    assert {name for name, _, _ in ROWS} <= set(pictures.OPERATORS)


@pytest.mark.parametrize("name,example,result", ROWS, ids=[name for name, _, _ in ROWS])
def test_an_example_yields_what_the_page_says(name: str, example: str, result: str) -> None:
    made = eval(example, names()).inline()
    assert (made.run().value if isinstance(made, Runnable) else list(made)) == literal_eval(result)
