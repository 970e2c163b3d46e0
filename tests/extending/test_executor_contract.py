"""An executor from outside of the package passes the tests that those of the package pass."""

from __future__ import annotations

import sys

from interpreter import Interpreter

from chainpump import Threads
from contract import test_executor
from contract.moved import names_of, placed
from contract.placings import Placing

PYTHON = Interpreter(python=sys.executable)
# Each program takes a third of a second of a processor: so sources and sinks run in one where a test is about them.
ALL = Placing(PYTHON, PYTHON, PYTHON)
STAGE = Placing(Threads(), PYTHON, Threads())
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


TESTS = {name: each for name, each in vars(test_executor).items() if name.startswith("test_")}
globals().update(
    (name, placed(each, ALL if name in WITH_SOURCE_AND_SINK else STAGE))
    for name, each in TESTS.items()
    if not name.startswith(OF_OTHERS)
)


def test_every_test_of_the_contract_runs_here_in_a_program() -> None:
    here = {name: vars(globals()[name])["pytestmark"] for name in TESTS if not name.startswith(OF_OTHERS)}
    assert len(here) >= len(TESTS) - 4
    for marks in here.values():
        (placing,) = (mark for mark in marks if "placing" in names_of(mark))
        at = names_of(placing).index("placing")
        assert all(case.values[at].stage == PYTHON for case in placing.args[1])
