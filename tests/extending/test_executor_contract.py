"""An executor from outside of the package passes the tests that those of the package pass."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from interpreter import Interpreter

from chainpump import Threads
from contract import test_executor
from contract.placings import Placing

PYTHON = Interpreter(python=sys.executable)
# Each program takes a third of a second of a processor: so sources and sinks run in one where a test is about them.
ALL = pytest.param(Placing(PYTHON, PYTHON, PYTHON), id="programs")
STAGE = pytest.param(Placing(Threads(), PYTHON, Threads()), id="a stage in a program")
WITH_SOURCE_AND_SINK = (
    "test_a_failure_is_told_as_it_is_inline",
    "test_functions_of_a_notebook_run_everywhere",
    "test_items_arrive_once_and_in_order",
    "test_large_arrays_arrive_whole",
    "test_several_sinks_give_the_list_of_what_each_returned",
    "test_the_value_of_a_run_is_what_its_sink_returned",
)
# Of joined stages and threads; and one that calls another test.
OF_OTHERS = ("test_of_joined", "test_between_threads", "test_a_failure_in_a_spawned")


def placed(test: FunctionType, marks: list[Any]) -> Callable[..., None]:
    """The same test, with other places."""
    same = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    same.__dict__["pytestmark"] = marks
    return same


for name, test in vars(test_executor).items():
    marks = getattr(test, "pytestmark", [])
    kept = [mark for mark in marks if mark.args[0] != "placing"]
    if len(kept) < len(marks) and not name.startswith(OF_OTHERS):
        places = ALL if name in WITH_SOURCE_AND_SINK else STAGE
        globals()[name] = placed(test, [*kept, pytest.mark.parametrize("placing", [places]).mark])


def test_every_test_of_the_contract_is_among_them() -> None:
    missing = {name for name in vars(test_executor) if name.startswith("test_")} - set(globals())
    assert all(name.startswith(OF_OTHERS) for name in missing), missing
    assert set(WITH_SOURCE_AND_SINK) <= set(globals())
