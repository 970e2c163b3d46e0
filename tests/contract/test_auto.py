"""Auto stages give what Inline gives, on every executor, while workers come and go."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from chainpump import Executor, Pipeline, Processes, Run, Skip, StageOptionError, Threads, source, stage
from chainpump.engine import autoscaler
from contract import operations, stages
from faults.places import places
from support.cases import in_turns
from support.gate import Gate, Journal
from support.processes import until
from support.scaling import MOST, ForcedScaling

N = 3_000
AUTO: Mapping[str, Executor] = {
    "forkserver": Processes("auto"),
    "fork": Processes("auto", start_method="fork"),
    "threads": Threads("auto"),
}
ITEMS = Pipeline(source(stages.now_and_then, N), on=Threads())
FEW = Pipeline(source(stages.now_and_then, 100), on=Threads())
ARRAYS = Pipeline(source(stages.arrays, 200), on=Threads())
PLACES = pytest.mark.parametrize("place", places(*AUTO))
CHAINS: Mapping[str, Callable[[Executor], Pipeline[Any]]] = {
    "map": lambda auto: ITEMS.map(operations.increased, on=auto),
    "several": lambda auto: (
        ITEMS.map(operations.increased, on=auto)
        .filter(operations.is_even, on=auto)
        .flat_map(operations.some_listed, on=auto)
        .map(operations.increased, on=auto)
    ),
    "many of one": lambda auto: FEW.flat_map(operations.sometimes_many, on=auto).map(operations.tagged, on=auto),
    "in slabs": lambda auto: ARRAYS.map(operations.itself, on=auto).map(operations.weight, on=auto),
    "in slots": lambda auto: ITEMS.map(operations.increased, on=auto, in_flight=3).map(operations.increased, on=auto),
    "some left out": lambda auto: ITEMS.map(operations.doubtful, on=auto, on_error=Skip(ValueError, KeyError)),
}


def workers(run: Run[Any], name: str) -> int:
    """How many a stage has."""
    return next(each.alive for each in run.progress().stages if each.stage == name)


# ------------------------------------------------------------------------------------------------------- the same items


@in_turns
@PLACES
@pytest.mark.parametrize("chain", CHAINS)
def test_items_come_once_and_in_order_while_workers_come_and_go(chain: str, place: str, scaling: ForcedScaling) -> None:
    scaling.shuffle(seed=len(chain))
    pipeline = CHAINS[chain](AUTO[place])
    with pipeline.open() as run:
        assert list(run) == list(pipeline.inline())
        assert run.report().decisions


@PLACES
def test_generator_stages_give_each_item_once_while_workers_come_and_go(place: str, scaling: ForcedScaling) -> None:
    scaling.shuffle(seed=1)
    pipeline = ITEMS.then(stages.increased, on=AUTO[place]).then(stages.repeated, on=AUTO[place])
    pipeline = pipeline.then(stages.increased, on=AUTO[place], in_flight=4)
    with pipeline.open() as run:
        assert Counter(run) == Counter(pipeline.inline())
        assert run.report().decisions


@PLACES
def test_a_sink_on_auto_workers_returns_a_list_of_what_each_returned(place: str, scaling: ForcedScaling) -> None:
    pipeline = Pipeline(range(N)).map(operations.increased, on=AUTO[place])
    assert pipeline.into(stages.total, on=AUTO[place]).run().value == [sum(range(1, N + 1))]
    scaling.shuffle(seed=2)
    values: Any = pipeline.into(stages.total, on=AUTO[place]).run().value
    assert sum(values) == sum(range(1, N + 1))


@PLACES
def test_each_on_auto_workers_is_called_once_for_each_item(
    place: str, scaling: ForcedScaling, journal: Journal
) -> None:
    scaling.shuffle(seed=3)
    report = ITEMS.each(partial(operations.written, journal=journal), on=AUTO[place]).run()
    assert sorted(map(int, journal.lines)) == list(range(N))
    assert (report.value, bool(report.decisions)) == (None, True)


# ----------------------------------------------------------------------------------------------------- workers, by hand


@PLACES
def test_an_auto_stage_begins_with_one_worker_and_those_that_are_given_take_part(
    place: str, gate: Gate, scaling: ForcedScaling
) -> None:
    with Pipeline(range(4)).map(gate.hold, on=AUTO[place], name="held").open() as run:
        pids = [gate.wait_held()]
        until(lambda: workers(run, "held") == 1, "its one worker")
        scaling.wanted["held"] = 2
        pids.append(gate.wait_held())
        assert workers(run, "held") == 2
        assert len(set(pids)) == (1 if place == "threads" else 2)
        gate.release(4)
        assert list(run) == list(range(4))
    assert run.report().stages[1].workers == 2


@PLACES
def test_a_worker_that_is_taken_back_ends_as_if_its_input_had_ended(
    place: str, gate: Gate, journal: Journal, scaling: ForcedScaling
) -> None:
    held = stage(stages.held_with_a_last_one, gate, journal)
    with Pipeline(source(stages.endless), on=Threads()).then(held, on=AUTO[place], name="held").open() as run:
        scaling.wanted["held"] = 2
        gate.wait_held()
        gate.wait_held()
        scaling.wanted["held"] = 1
        until(lambda: len(run.report().decisions) == 2, "the decision")
        gate.release(1_000)
        # What it yields behind its loop arrives.
        assert -1 in run
        until(lambda: workers(run, "held") == 1, "its end")
        assert journal.lines == ["over"]


@PLACES
def test_a_place_is_used_again(place: str, scaling: ForcedScaling) -> None:
    pipeline = Pipeline(source(stages.endless), on=Threads()).map(operations.increased, on=AUTO[place], name="one")
    with pipeline.open() as run:
        items = iter(run)
        for wanted in (MOST, 1, MOST, 1):
            scaling.wanted["one"] = wanted
            while workers(run, "one") != wanted:
                deque(islice(items, 1_000), maxlen=0)
        report = run.report()
    assert report.stages[1].workers == MOST
    # Nobody has died.
    assert report.stages[1].restarts == 0


# -------------------------------------------------------------------------------------------------------- by measuring


@PLACES
def test_the_stage_that_holds_up_the_others_gets_workers(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever else the machine does, there are processors for more workers.
    monkeypatch.setattr(autoscaler, "processors", lambda: 64)
    pipeline = Pipeline(source(stages.endless), on=Threads()).map(operations.increased, on=AUTO[place], name="fast")
    with pipeline.map(operations.late, on=AUTO[place], name="slow").open() as run:
        for _ in run:
            if run.report().decisions:
                break
        first = run.report().decisions[0]
    assert (first.stage, first.before, first.after > 1) == ("slow", 1, True)
    assert "busy" in first.reason


# --------------------------------------------------------------------------------------------------------- what is told


def test_decisions_are_in_every_form_of_the_report(gate: Gate, scaling: ForcedScaling, tmp_path: Path) -> None:
    scaling.wanted["held"] = 2
    with Pipeline(range(2)).map(gate.hold, on=Threads("auto"), name="held").open() as run:
        gate.wait_held()
        gate.wait_held()
        gate.release(2)
        list(run)
    report = run.report()
    (decision,) = report.decisions
    assert (decision.stage, decision.before, decision.after) == ("held", 1, 2)
    assert 0 < decision.at < report.duration
    assert str(decision) in str(report).splitlines()
    assert json.loads(report.to_json())["decisions"] == [
        {"at": decision.at, "stage": "held", "before": 1, "after": 2, "reason": "the test wants it"}
    ]
    report.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert ">1 → 2</td>" in page
    assert "the test wants it" in page


def test_a_run_without_auto_stages_tells_of_no_decisions(tmp_path: Path) -> None:
    report = Pipeline(range(2)).map(operations.increased, on=Threads()).into(stages.total, on=Threads()).run()
    assert json.loads(report.to_json())["decisions"] == []
    report.to_html(tmp_path / "page.html")
    assert "given" not in (tmp_path / "page.html").read_text()


# -------------------------------------------------------------------------------------------------------------- placing


@PLACES
def test_auto_is_for_every_stage_that_names_no_executor_and_a_source_gets_one_worker(place: str) -> None:
    pipeline = Pipeline(source(stages.numbers, 100)).map(operations.increased)
    runnable = pipeline.into(stages.total)
    assert runnable.run(on=AUTO[place]).value == [5_050]
    assert [each.on.workers for each in runnable.plan(on=AUTO[place]).stages] == [1, "auto", "auto"]


def test_an_auto_stage_runs_inline_as_any_other() -> None:
    assert list(Pipeline(range(3)).map(operations.increased, on=Threads("auto")).inline()) == [1, 2, 3]


@pytest.mark.parametrize("auto", AUTO.values(), ids=AUTO)
def test_a_source_has_one_worker(auto: Executor) -> None:
    with pytest.raises(StageOptionError, match=r"every item came as often as there are workers\."):
        Pipeline(source(stages.numbers, 3), on=auto)


def test_take_has_one_worker() -> None:
    with pytest.raises(
        StageOptionError, match=r"^stage 'take\(3\)' cannot run on Threads\(workers='auto'\): each worker"
    ):
        Pipeline(range(9)).take(3, on=Threads("auto"))
