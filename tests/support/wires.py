"""Which tests can tell one transport from another: those in which something crosses from one process to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from chainpump import Inline, Processes, Tasks, Threads
from support.cases import in_short

__all__ = ["NO_WIRE", "crosses_a_wire", "processes_in"]

# Whether spawned workers count: they have the wires that others have. They take most of the time, and have their turn
# in the tests of macOS, where Python spawns, and where all cases are asked for.
SPAWN = in_short(usual=False, whole=True)
PLACES = {"forkserver": True, "spawn": SPAWN, "fork": True, "threads": False, "tasks": False, "inline": False}

# Files in which nothing crosses, or what crosses is not what they are about.
NO_WIRE = {
    # Pure: values in, values out.
    "test_bad_items.py",
    "test_codec_round_trip.py",
    "test_flow_properties.py",
    "test_generator_stages.py",
    "test_hints_beside_pycroscope.py",
    "test_hostile_hints.py",
    "test_large_bytes_out_of_band.py",
    "test_lifecycle_machine.py",
    "test_link_properties.py",
    "test_order_properties.py",
    "test_pairing_machine.py",
    "test_pictures_of_odd_names.py",
    "test_retained_properties.py",
    "test_upstream_backup.py",
    # Of tasks and threads of the main process.
    "test_context_of_the_caller.py",
    "test_ctrl_c_points.py",
    "test_tasks.py",
    "test_tasks_http.py",
    "test_tasks_that_take_too_long.py",
    # What is sent is so by the channels of single stages, which other files have, or by something that is no channel.
    "test_composed_runs.py",
    "test_joined.py",
    "test_logs.py",
    "test_progress.py",
    "test_stacks.py",
    # Of what a program is: its main file, its streams, its surroundings. Each ends before an item is sent, or after.
    "test_main_file.py",
    "test_main_without_file.py",
    "test_seeds.py",
    "test_standard_input.py",
    "test_surroundings.py",
    "test_surroundings_of_workers.py",
    # Campaigns over time and over every line; as commands they heed the variable, too.
    "test_crash_points.py",
    "test_soak.py",
}


def crosses_a_wire(item: pytest.Item) -> bool:
    """Whether a test may: all that its parameters do not confine to the main process."""
    if item.path.name in NO_WIRE:
        return False
    cell = getattr(item, "callspec", None)
    found = set(processes_in(cell.params.values())) if cell else set()
    return True in found or not found


def processes_in(values: Iterable[Any]) -> Iterator[bool]:
    """Of each value that says where workers are, whether they are processes that count here."""
    for value in values:
        if isinstance(value, str) and value in PLACES:
            yield PLACES[value]
        elif isinstance(value, Inline | Threads | Tasks | Processes):
            yield isinstance(value, Processes) and (SPAWN or value.start_method != "spawn")
        elif isinstance(value, tuple):
            yield from processes_in(value)
