"""Rule 5: the sink raises; all else is cancelled, and the original exception is raised in the main process."""

import re

import pytest

from chainpump import Cancelled, Pipeline, Processes, Run, sink, source
from faults import stages
from faults.places import ANYWHERE, EVERYWHERE, FORKING, MOST_WORKERS, on
from faults.roles import Fail, failing_sink, passed
from support.cases import in_turns
from support.gate import Gate, Journal
from support.threads import meanwhile


@pytest.mark.parametrize("place", EVERYWHERE)
def test_exception_of_a_sink_is_raised_as_it_is_and_the_rest_is_cancelled(place: str, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.counting, 1 << 60, journal), on=on(place)).into(
        sink(stages.failing_sink, stages.raise_value_error, 3), on=on(place)
    )
    with pytest.raises(ValueError, match=r"^\('bad value', 42\)") as caught:
        pipeline.run()
    assert type(caught.value) is ValueError
    assert caught.value.args == ("bad value", 42)
    assert journal.lines == ["source cleaned up"]
    blame = r"^sink 'failing_sink' \(worker 1 of 1, pid \d+\) raised ValueError on item 3:\n"
    assert re.match(blame, caught.value.__notes__[-1])


@pytest.mark.parametrize("place", FORKING)
def test_exception_of_a_sink_brings_the_workers_traceback_as_a_note(place: str) -> None:
    with pytest.raises(ValueError, match="bad value") as caught:
        Pipeline(range(9)).into(sink(stages.failing_sink, stages.raise_value_error, 3), on=on(place)).run()
    assert "in failing_sink" in caught.value.__notes__[0]


@in_turns
@pytest.mark.parametrize(
    "fail, kind, text",
    [
        pytest.param(stages.raise_locked, "Locked", "holds a lock", id="lock"),
        pytest.param(stages.raise_odd, "Odd", "7: odd init", id="odd-init"),
        pytest.param(stages.raise_local, "Local", "of a class that has no name outside", id="local-class"),
        pytest.param(stages.raise_group_with_lock, "ExceptionGroup", "several", id="group-with-lock"),
    ],
)
@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_of_a_sink_that_cannot_travel_is_named_in_a_stage_error(
    place: str, fail: Fail, kind: str, text: str
) -> None:
    """Where it need not travel it is raised as it is."""
    with pytest.raises(BaseException, match=text) as caught:
        failing_sink(fail, place).run()
    assert type(caught.value).__name__ == ("StageError" if place in ("forkserver", "spawn", "fork") else kind)
    told = "\n".join([str(caught.value), *caught.value.__notes__])
    assert re.search(rf"^sink 'failing' \(worker 1 of 1, pid \d+\) raised {kind} on item 3:\n", told, re.MULTILINE)


@in_turns
@pytest.mark.parametrize(
    "fail, kind",
    [
        (stages.raise_unusual, stages.Unusual),
        (stages.raise_cancelled, Cancelled),
        (stages.sys_exit_0, SystemExit),
        (stages.sys_exit_1, SystemExit),
        (stages.raise_keyboard_interrupt, KeyboardInterrupt),
    ],
    ids=["BaseException", "Cancelled", "sys.exit-0", "sys.exit-1", "KeyboardInterrupt"],
)
@pytest.mark.parametrize("place", ANYWHERE)
def test_what_is_no_exception_never_looks_like_success_from_a_sink(
    place: str, fail: Fail, kind: type[BaseException]
) -> None:
    with pytest.raises(kind) as caught:
        failing_sink(fail, place).run()
    # Which is Ctrl-C, for all that anybody can tell.
    if (place, kind) != ("inline", KeyboardInterrupt):
        blame = rf" \(worker 1 of 1, pid \d+\) raised {kind.__name__} on item \d:\n"
        assert re.search(blame, caught.value.__notes__[-1])


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_one_of_several_sinks_that_raises_cancels_the_others(place: str, gate: Gate, journal: Journal) -> None:
    pipeline = Pipeline(source(stages.counting, 1 << 60, journal), on=on(place)).into(
        sink(stages.one_sink_fails, stages.raise_value_error, gate, journal), on=on(place, 3)
    )

    def let_three_in() -> None:
        for _ in range(3):
            gate.wait_held()
        gate.release(3)

    with meanwhile(let_three_in), pytest.raises(ValueError, match="bad value"):
        pipeline.run()
    assert sorted(journal.lines) == ["sink cleaned up"] * 3 + ["source cleaned up"]


def test_sink_that_raises_before_its_first_item_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="bad value"):
        Pipeline(source(stages.count_for_ever)).into(stages.refusing, on=Processes(1)).run()


def test_sink_that_raises_after_its_last_item_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="bad value"):
        Pipeline(range(5)).into(stages.raising_at_the_end, on=Processes(1)).run()


@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_in_the_callers_loop_is_the_callers(place: str, journal: Journal) -> None:
    """The loop is the sink: its exception passes untouched, and all workers are cancelled."""
    pipeline = passed(place, 1, stages.counting, 1 << 60, journal)
    original = KeyError("mine")
    with pytest.raises(KeyError) as caught, pipeline.open() as run:
        raise_at(run, 3, original)
    assert caught.value is original
    assert not hasattr(original, "__notes__")
    assert journal.lines == ["source cleaned up"]


def raise_at(run: Run[int], at: int, error: Exception) -> None:
    """A loop that fails."""
    for item in run:
        if item == at:
            raise error
