"""Code that travels by value says the same of its place as where it came from."""

from __future__ import annotations

import linecache
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import pytest

from chainpump.hints.objects import where_of
from chainpump.messages.call_stacks import user_traceback
from chainpump.messages.source_files import user_line
from chainpump.pickling import functions

CELL = "def outer():\n    return lambda n: 1 // n\n\nfunction = outer()\n"


def arrived(function: Callable[..., Any]) -> Callable[..., Any]:
    copy: Callable[..., Any] = functions.loads(functions.dumps(function))
    assert copy is not function
    return copy


def traceback_of(function: Callable[[int], object]) -> str:
    with pytest.raises(ZeroDivisionError) as caught:
        function(0)
    return "".join(traceback.format_exception(caught.value))


@pytest.fixture
def in_cell(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], object]:
    """A function of a notebook's third cell: a kernel gives the file that it pretends to a name of its own."""
    file = "/tmp/ipykernel_42/123.py"
    monkeypatch.setattr(linecache, "cache", {file: (len(CELL), None, CELL.splitlines(keepends=True), file)})
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, file, "exec"), names)
    function: Callable[[int], object] = names["function"]
    return function


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What IPython says of its cells."""
    label = {"/tmp/ipykernel_42/123.py": ("Cell", "In[3]")}.get
    shell = types.SimpleNamespace(compile=types.SimpleNamespace(format_code_name=label))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_a_lambda_that_travels_by_value_keeps_its_file_and_line() -> None:
    divide = lambda n: 1 // n  # noqa: E731  # the subject
    line = divide.__code__.co_firstlineno
    text = traceback_of(arrived(divide))
    assert f'File "{__file__}", line {line}, in <lambda>\n    divide = lambda n: 1 // n' in text


def test_functions_within_a_function_that_travels_keep_their_file() -> None:
    def outer() -> Callable[[int], int]:
        return lambda n: 1 // n

    assert arrived(outer)().__code__.co_filename == __file__


def test_a_function_of_a_repl_brings_its_source(in_cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = functions.dumps(in_cell)
    monkeypatch.setattr(linecache, "cache", {})
    text = traceback_of(functions.loads(data))
    assert 'File "/tmp/ipykernel_42/123.py", line 2, in <lambda>\n    return lambda n: 1 // n\n' in text


def test_a_function_of_a_notebook_is_told_by_its_cell(in_cell: Any, notebook: None) -> None:
    assert where_of(in_cell) == "Cell In[3]:2"
    text = traceback_of(arrived(in_cell))
    assert 'File "Cell In[3]", line 2, in <lambda>\n    return lambda n: 1 // n\n' in text


def test_what_a_cell_raises_in_a_thread_is_told_by_its_cell(in_cell: Any, notebook: None) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        in_cell(0)
    assert 'File "Cell In[3]", line 2, in <lambda>\n    return lambda n: 1 // n\n' in user_traceback(caught.value)


def test_the_line_of_a_shell_is_one_of_the_program() -> None:
    names: dict[str, Any] = {"__name__": "__main__", "user_line": user_line}
    exec(compile("def call():\n    return user_line()", "<ipython-input-3-8a0e>", "exec"), names)
    assert names["call"]() == "<ipython-input-3-8a0e>:2"


def test_in_a_notebook_a_function_of_a_file_keeps_that(notebook: None) -> None:
    assert arrived(lambda: 0).__code__.co_filename == __file__


def test_outside_of_a_shell_ipython_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert arrived(lambda: 0).__code__.co_filename == __file__
