"""Stages on Ray pass the tests that those of this machine pass, and those on other machines."""

from __future__ import annotations

import socket
from types import FunctionType
from typing import Any

from chainpump import Ray, Threads
from cluster import test_hosts, test_hosts_contract, test_replay
from contract.moved import placed
from contract.placings import Placing

# Ray finds two machines for the stages of one pipeline.
ONE = Ray(1, scheduling_strategy="SPREAD")
TWO = Ray(4, scheduling_strategy="SPREAD")
REPLACED = Ray(2, scheduling_strategy="SPREAD", restarts=2)
COLOURED = Ray(1, env=lambda number: {"COLOUR": f"blue {number}"})
ALL = Placing(ONE, ONE, ONE)
STAGE = Placing(Threads(), ONE, Threads())
TESTS = test_hosts_contract.TESTS
globals().update(
    {
        name: placed(each, ALL if name in test_hosts_contract.WITH_SOURCE_AND_SINK else STAGE)
        for name, each in TESTS.items()
        if name in vars(test_hosts_contract)
    }
)
HERE = socket.gethostname()
# Those that are about `Hosts(...)`. How many workers a machine has is up to Ray, if each has one at least.
OF_HOSTS = (
    "test_workers_are_spread_over_the_machines",
    "test_hosts_are_values",
    "test_machines_are_reached_by_a_command",
    "test_options_that_cannot_work",
    "test_the_current_worker",
    "test_functions_and_items_of_the_main_file",
    "test_a_bound_of_items_is_refused",
)


def on_ray(test: Any, two: Ray = TWO) -> Any:
    """The same test with its stages on Ray, where this machine has its own name."""
    own = {"TWO": two, "ONE": ONE, "REPLACED": REPLACED, "COLOURED": COLOURED, "MOVED": 1}
    names = {**test.__globals__, **own}
    constants = (each.replace("localhost", HERE) if isinstance(each, str) else each for each in test.__code__.co_consts)
    code = test.__code__.replace(co_consts=tuple(constants))
    moved = FunctionType(code, names, test.__name__, test.__defaults__, test.__closure__)
    moved.__dict__.update(vars(test))
    return moved


globals().update(
    {
        f"{name}_": on_ray(each)
        for name, each in vars(test_hosts).items()
        if name.startswith("test_") and not name.startswith(OF_HOSTS)
    }
)
test_what_a_lost_machine_had = on_ray(test_replay.test_what_a_lost_machine_had_is_done_on_another_one, REPLACED)
test_machines_are_lost = on_ray(test_replay.test_machines_are_lost_one_after_the_other, REPLACED)
