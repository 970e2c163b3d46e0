"""Stages on other machines keep the promises of stages on this one. The other machines are this one, twice."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from chainpump import (
    DeadLetter,
    Hosts,
    ItemTimeoutError,
    Pipeline,
    Processes,
    Skip,
    StageError,
    StageOptionError,
    Threads,
    WorkerLostError,
    current_worker,
    sink,
    source,
    stage,
)
from cluster import work
from cluster.programs import agent_of
from contract import stages
from support.gate import WHOLE, Gate, Journal

TWO = Hosts(["localhost", "localhost"], workers=4)
ONE = Hosts(["localhost"])
REPLACED = Hosts(["localhost", "localhost"], workers=2, restarts=2)
COLOURED = Hosts(["localhost"], env=lambda number: {"COLOUR": f"blue {number}"})

# ------------------------------------------------------------------------------------------------------------- items


def test_the_order_is_kept_behind_workers_on_several_machines() -> None:
    assert list(Pipeline(range(5_000)).map(work.doubled, on=TWO)) == list(range(0, 10_000, 2))


def test_neighbouring_stages_may_be_on_the_same_machines_or_on_others() -> None:
    pipeline = Pipeline(range(900)).map(work.doubled, on=TWO).flat_map(work.spread, on=TWO)
    mixed = pipeline.map(work.doubled, on=Processes(2)).filter(bool, on=ONE).map(work.doubled, on=Threads(2))
    assert list(mixed) == list(mixed.inline())


def test_a_source_and_a_sink_may_be_on_another_machine() -> None:
    pipeline = Pipeline(source(stages.numbers, 500), on=ONE).map(work.doubled, on=TWO)
    assert pipeline.into(sink(stages.listed), on=ONE).run().value == list(range(0, 1_000, 2))


def test_large_arrays_cross_machines_and_arrive_writable() -> None:
    arrays = [np.full(1 << 17, number) for number in range(40)]
    for number, array in enumerate(Pipeline(arrays).map(np.negative, on=TWO)):
        np.add(array, number, out=array)
        assert not array.any()


def test_without_order_every_item_comes_once() -> None:
    assert sorted(Pipeline(range(2_000)).map(work.doubled, on=TWO, ordered=False)) == list(range(0, 4_000, 2))


def test_workers_are_spread_over_the_machines(gate: Gate) -> None:
    """Each is held at its first item, so that the others get one as well, however late their machine joins."""
    with Pipeline(source(stages.endless)).map(gate.hold, on=TWO).open():
        agents = Counter(agent_of(gate.wait_held()) for _ in range(4))
    assert list(agents.values()) == [2, 2]
    assert os.getpid() not in agents


def test_lambdas_and_functions_of_this_function_travel() -> None:
    factor = 3

    def scaled(item: int) -> int:
        return item * factor

    assert list(Pipeline(range(9)).map(scaled, on=ONE).filter(lambda item: item > 9, on=ONE)) == [12, 15, 18, 21, 24]


MAIN_FILE = """
from dataclasses import dataclass
from chainpump import Hosts, Pipeline, Processes

@dataclass
class Point:
    x: int

def same(item):
    return item

TWO = Hosts(["localhost", "localhost"])

if __name__ == "__main__":
    points = Pipeline([Point(1), Point(2)]).map(lambda point: point, on=TWO).map(same, on=Processes()).map(same, on=TWO)
    print(list(points), all(type(each) is Point for each in points))
"""


def test_functions_and_items_of_the_main_file_travel(tmp_path: Path) -> None:
    """The other machines do not import it."""
    program = tmp_path / "program.py"
    program.write_text(MAIN_FILE)
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (ran.stdout, ran.stderr) == ("[Point(x=1), Point(x=2)] True\n", "")


def test_the_report_counts_what_other_machines_did() -> None:
    report = Pipeline(range(300)).map(work.doubled, on=TWO).each(work.doubled, on=Threads()).run()
    assert [(each.stage, each.received, each.sent) for each in report.stages][1] == ("doubled", 300, 300)


# ---------------------------------------------------------------------------------------------------------- failures


def test_a_failure_names_the_machine_and_the_item() -> None:
    with pytest.raises(StageError) as caught:
        list(Pipeline(range(100)).map(partial(work.failing, 41), on=TWO))
    assert re.match(
        r"stage 'failing' \(worker \d of 4, pid \d+ on localhost\) raised ValueError on item 41:", str(caught.value)
    )
    assert isinstance(caught.value.__cause__, ValueError)
    assert (caught.value.failures[0].index, caught.value.stage) == (41, "failing")


def test_a_worker_that_dies_is_named_with_its_machine_and_its_signal(journal: Journal) -> None:
    with pytest.raises(WorkerLostError, match=r"on localhost\): killed by SIGKILL, \d+ items? in flight") as caught:
        list(Pipeline(range(100)).map(partial(work.dying_once, 41, journal), on=TWO))
    assert (caught.value.stage, caught.value.exit_code) == ("dying_once", -9)


def test_a_worker_that_dies_is_replaced_and_no_result_is_lost(journal: Journal) -> None:
    pipeline = Pipeline(range(2_000)).map(partial(work.dying_once, 741, journal), on=REPLACED)
    report = pipeline.into(sink(stages.listed)).run()
    assert report.value == list(range(2_000))
    assert report.stages[1].restarts == 1


def test_a_function_that_takes_too_long_is_stopped_and_the_policy_decides() -> None:
    pipeline = Pipeline(range(60)).map(partial(work.hanging, 30), on=TWO, timeout=3.0, on_error=Skip(ItemTimeoutError))
    assert list(pipeline) == [*range(30), *range(31, 60)]


def test_dead_letters_arrive_with_their_items_and_errors() -> None:
    pipeline = Pipeline(range(50)).map(partial(work.failing, 7), on=TWO, on_error=DeadLetter())
    report = pipeline.into(sink(stages.listed), on=Threads()).run()
    assert report.value == [*range(7), *range(8, 50)]
    assert [(each.item, str(each.error)) for each in report.dead_letters] == [(7, "cannot take 7")]


# --------------------------------------------------------------------------------------------------------------- end


def test_a_cancelled_stage_cleans_up(gate: Gate, journal: Journal) -> None:
    with Pipeline(range(100_000)).then(stage(work.tidy, journal, gate), on=ONE).open() as run:
        gate.wait_held()
        run.cancel()
    assert journal.lines == ["Cancelled", "clean"]


def test_a_stage_may_stop_and_what_follows_goes_on() -> None:
    pipeline = Pipeline(source(stages.endless), on=Processes()).then(stage(work.first_ones, 50), on=ONE, may_stop=True)
    assert list(pipeline.map(work.doubled, on=TWO)) == list(range(0, 100, 2))


def test_a_loop_that_is_left_ends_the_run_everywhere() -> None:
    for item in Pipeline(source(stages.endless), on=ONE).map(work.doubled, on=TWO):
        if item == 1_000:
            break


# ------------------------------------------------------------------------------------------------------ surroundings


def test_a_machine_that_has_no_descriptor_for_links_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The system refuses the first attempt of each machine to accept a link."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{REFUSING}")
    program.chmod(0o755)
    on = Hosts(["n1", "n2"], workers=2, command=f"{program} {{host}}", address="127.0.0.1")
    assert list(Pipeline(range(50)).map(work.doubled, on=on)) == list(range(0, 100, 2))
    warnings = sorted(record.getMessage() for record in caplog.records)
    assert [text.partition(".")[0] for text in warnings] == [
        f"{name} cannot accept links of other machines for now: Too many open files" for name in ("n1", "n2")
    ]


# The program of an agent: the first connection cannot be accepted.
REFUSING = """
import errno, os, socket

accept, left = socket.socket.accept, [1]

def refusing(listening):
    if left:
        left.pop()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return accept(listening)

socket.socket.accept = refusing
from chainpump.cluster.agent_main import main
main()
"""


def test_records_of_other_machines_are_handled_here(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(Pipeline(range(40)).map(work.logging_each, on=TWO)) == list(range(40))
    found = [record for record in caplog.records if record.name == "work"]
    assert sorted(record.getMessage() for record in found) == sorted(f"item {number}" for number in range(40))
    assert {record.stage for record in found} == {"logging_each"}  # type: ignore[attr-defined]
    assert {record.host for record in found} == {"localhost"}  # type: ignore[attr-defined]


def test_records_of_any_size_arrive_although_few_may_be_on_their_way(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(Pipeline(range(6)).map(work.logging_much, on=ONE)) == list(range(6))
    assert [len(record.getMessage()) for record in caplog.records if record.name == "work"] == [200_000] * 6


def test_workers_have_the_variables_of_their_stage_and_the_folder_of_the_program() -> None:
    (found,) = Pipeline([1]).map(work.surroundings, on=COLOURED)
    assert found == ("surroundings", "blue 0", str(Path.cwd()))


def test_the_current_worker_is_known_there() -> None:
    (found,) = Pipeline([1]).map(lambda _: current_worker(), on=ONE)
    assert (found.stage, found.number, found.count, found.executor) == ("<lambda>", 0, 1, "Hosts")


# ------------------------------------------------------------------------------------------------------------ checks


def test_options_that_cannot_work_are_refused() -> None:
    for make, words in (
        (lambda: Hosts([]), "must be a list of names"),
        (lambda: Hosts("n1"), "must be a list of names"),
        (lambda: Hosts(["-oProxyCommand=x"]), "name of a machine must be a text"),
        (lambda: Hosts(["n1"], workers=0), "It is the number on all machines together."),
        (lambda: Hosts(["n1"], workers="auto"), '"auto" watches the processors of one machine only.'),  # type: ignore[arg-type]
        (lambda: Hosts(["n1"], restarts=-1), "restarts must be a whole number"),
        (lambda: Hosts(["n1"], lost_after=1.9), "lost_after must be a number of seconds of at least 2"),
        (lambda: Hosts(["n1"], lost_after=float("inf")), "lost_after must be a number of seconds of at least 2"),
        (lambda: Hosts(["n1"], command="ssh n1 python3"), "command must be a text with {host}"),
    ):
        with pytest.raises(StageOptionError, match=re.escape(words)):
            make()


NEAR, FAR = Pipeline(range(9)).map(work.doubled, on=Threads()), Pipeline(range(9)).map(work.doubled, on=ONE)


@pytest.mark.parametrize(
    "bounded",
    [
        pytest.param(lambda: NEAR.map(work.doubled, on=ONE, in_flight=3), id="there"),
        pytest.param(lambda: FAR.map(work.doubled, on=Threads(), in_flight=3), id="behind"),
        pytest.param(lambda: FAR.map(work.doubled).into(sink(stages.listed), in_flight=3), id="at the end"),
    ],
)
def test_a_bound_of_items_is_refused_where_they_cross_machines(bounded: Callable[[], object]) -> None:
    with pytest.raises(StageOptionError, match="cannot have in_flight=3: its items come from other machines"):
        bounded()


def test_hosts_are_values() -> None:
    assert Hosts(["a", "b"]) == Hosts(("a", "b"), workers=2)
    assert repr(Hosts(["a"], workers=3, restarts=1)) == "Hosts(['a'], workers=3, restarts=1)"
    assert len({Hosts(["a"], env={"x": "1"}), Hosts(["a"], env={"x": "1"})}) == 1


def test_machines_are_reached_by_a_command(gate: Gate, journal: Journal) -> None:
    """It is `env` here, as if it went to another machine."""
    on = Hosts(["n1", "n2"], workers=2, command=f"env COLOUR={{host}} {sys.executable}", address="127.0.0.1")
    held = Pipeline(source(stages.endless)).map(partial(work.held_with_surroundings, gate, journal), on=on)
    with held.open():
        for _ in range(2):
            gate.wait_held()
    found = {str(("held_with_surroundings", colour, str(Path.cwd()))) for colour in ("n1", "n2")}
    assert set(journal.lines) == found
