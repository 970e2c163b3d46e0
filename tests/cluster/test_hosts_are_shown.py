"""Reports, progress, stalls and stacks name the machine of each worker."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import partial

import pytest

from chainpump import Hosts, Pipeline, Progress, StallError, Threads
from chainpump.cli import stacks as looking
from chainpump.cli.stacks import stacks
from chainpump.ipc.system import is_portable
from cluster import work
from support.gate import LIMIT, Gate
from support.processes import until

# This machine, twice, under other names.
NAMED = Hosts(["n1", "n2"], command=f"env HOST={{host}} {sys.executable}", address="127.0.0.1")


def test_a_report_counts_the_items_of_each_machine() -> None:
    report = Pipeline(range(50)).map(work.doubled, on=NAMED).into(list, on=Threads()).run()
    _, doubled, _ = report.stages
    assert {each.host for each in doubled.hosts} == {"n1", "n2"}
    assert sum(each.received for each in doubled.hosts) == doubled.received == 50
    assert [each["host"] for each in json.loads(report.to_json())["stages"][1]["hosts"]] == ["n1", "n2"]
    rows = [line.split()[0] for line in str(report).splitlines()[1:6]]
    assert rows == ["range", "doubled", "n1", "n2", "list"]


def test_progress_counts_the_workers_of_each_machine_while_they_live(gate: Gate) -> None:
    seen: list[Progress] = []
    held = partial(work.held, gate, 3)
    with Pipeline(range(9)).map(held, on=Hosts(["localhost"]), name="held").open(observe=seen.append) as run:
        gate.wait_held()
        until(
            lambda: [(each.host, each.alive) for each in run.progress().stages[1].hosts] == [("localhost", 1)],
            "the board of the other machine",
        )
        assert "workers on 1 of 1 hosts" in run.progress().line()
        gate.release()
        assert list(run) == list(range(9))
    assert seen[-1].stages[1].hosts[0].received == 9


def test_a_stall_names_the_machine_and_shows_the_stack_there(gate: Gate) -> None:
    with pytest.raises(StallError) as caught:
        list(Pipeline(range(9)).map(partial(work.held, gate, 3), on=NAMED, name="held").open(stall_timeout=2))
    assert re.search(r"stage 'held' \(worker \d of 2, pid \d+ on n[12]\)", str(caught.value))
    assert re.search(r"held +\d of 2, pid \d+ on n[12] +in item 3", str(caught.value))
    assert "in hold" in "\n".join([str(caught.value), *caught.value.__notes__])


@pytest.mark.skipif(is_portable(), reason="what is portable cannot be told from other files")
def test_stacks_of_workers_on_other_machines_come_by_way_of_the_main_process(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "PATIENCE", LIMIT)
    with Pipeline(range(9)).map(partial(work.held, gate, 3), on=NAMED, name="held").open() as run:
        gate.wait_held()
        text = stacks(os.getpid())
        gate.release()
        assert list(run) == list(range(9))
    who = re.escape(re.search(r"stage 'held' \(worker \d of 2, pid \d+ on n[12]\)", text).group())  # type: ignore[union-attr]
    assert re.search(rf'^{who}\n(  File .*\n)*  File ".*gate.py", line \d+ in hold$', text, re.MULTILINE)
    assert "No answer" not in text
