"""Stages on other machines pass the tests that those on this machine pass. The other machines are this one, twice."""

from __future__ import annotations

from chainpump import Hosts, Threads
from contract import test_executor
from contract.moved import placed
from contract.placings import Placing

HOSTS = Hosts(["localhost", "localhost"], workers=1)
ALL = Placing(HOSTS, HOSTS, HOSTS)
STAGE = Placing(Threads(), HOSTS, Threads())
WITH_SOURCE_AND_SINK = (
    "test_a_failure_is_told_as_it_is_inline",
    "test_functions_of_a_notebook_run_everywhere",
    "test_items_arrive_once_and_in_order",
    "test_large_arrays_arrive_whole",
    "test_several_sinks_give_the_list_of_what_each_returned",
    "test_the_value_of_a_run_is_what_its_sink_returned",
)
# Of joined stages and threads, and one that calls another test; of `in_flight=`, which is refused here.
OF_OTHERS = (
    "test_of_joined",
    "test_between_threads",
    "test_a_failure_in_a_spawned",
    "test_a_stage_that_returns_early_is_named_however_few_items_are_in_flight",
    "test_a_stage_may_stop_and_what_follows_goes_on",
    "test_no_more_items_are_made_than_may_be_in_flight",
    "test_one_item_in_flight_is_strict_alternation",
    "test_few_items_in_flight_starve_no_worker",
)

TESTS = {name: each for name, each in vars(test_executor).items() if name.startswith("test_")}
globals().update(
    {
        name: placed(each, ALL if name in WITH_SOURCE_AND_SINK else STAGE)
        for name, each in TESTS.items()
        if not name.startswith(OF_OTHERS)
    }
)
