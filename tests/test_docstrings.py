"""The examples in the docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import chainpump
from chainpump.pickling import registry

MODULES = [each.name for each in pkgutil.walk_packages(chainpump.__path__, "chainpump.")]


@pytest.mark.parametrize("name", ["chainpump", *sorted(set(MODULES) - {"chainpump.__main__"})])
def test_examples_do_what_they_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests need not know what an example registers.
    monkeypatch.setattr(registry, "_REGISTERED", {})
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_operator_has_an_example() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    for method in ("map", "filter", "flat_map", "each", "batch", "window", "unbatch", "take", "concat", "merge"):
        examples = [each for test in finder.find(getattr(chainpump.Pipeline, method), method) for each in test.examples]
        assert examples, method
