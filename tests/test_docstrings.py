"""The examples in the docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import chainpump
from chainpump.pickling import registry

MODULES = [each.name for each in pkgutil.walk_packages(chainpump.__path__, "chainpump.")]


@pytest.mark.parametrize("name", ["chainpump", *sorted(set(MODULES) - {"chainpump.__main__"})])
def test_examples_do_what_they_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests need not know what an example registers.
    monkeypatch.setattr(registry, "_REGISTERED", {})
    names = {each: getattr(chainpump, each) for each in ("Inline", "Pipeline")}
    assert doctest.testmod(importlib.import_module(name), extraglobs=names).failed == 0


def test_every_method_of_a_pipeline_has_an_example() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    for method, function in inspect.getmembers(chainpump.Pipeline, inspect.isfunction):
        if not method.startswith("_") and method not in ("plan", "inline"):
            assert [each for test in finder.find(function, method) for each in test.examples], method
