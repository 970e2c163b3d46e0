"""Rule 4, first half: user code raises; the error names who, where and on what, with the original as its cause."""

import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chainpump
from chainpump import Pipeline, Processes, StageError, source, stage
from faults import stages
from faults.places import ANYWHERE, EXECUTORS, FORKING, MOST, MOST_WORKERS, PROCESSES, WAYS, on, places
from faults.roles import Fail, failing_sink, failing_source, failing_stage
from support.cases import in_turns, pairwise
from support.gate import Gate

Build = Callable[[Fail, str], Pipeline[Any]]
ROLES = [
    pytest.param(failing_source, "source 'failing'", "", id="source"),
    pytest.param(failing_stage, "stage 'failing'", " on item 3", id="stage"),
]


def raised(who: str, kind: str, item: str = "", of: int = 1) -> str:
    """The first line of the message, whole."""
    return rf"^{who} \(worker \d of {of}, pid \d+\) raised {kind}{item}:\n"


@pairwise
@WAYS
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", ANYWHERE)
def test_worker_that_raises_ends_the_run_with_its_exception_as_the_cause(
    place: str, build: Build, who: str, item: str, way: Any
) -> None:
    with pytest.raises(StageError, match=raised(who, "ValueError", item)) as caught:
        way(build(stages.raise_value_error, place), place)
    error = caught.value
    assert type(error.__cause__) is ValueError
    assert error.__cause__.args == ("bad value", 42)
    assert 'raise ValueError("bad value", 42)' in "".join(traceback.format_exception(error))
    (failure,) = error.failures
    assert (error.stage, error.worker) == (failure.stage, failure.worker) == (who.split("'")[1], 1)
    assert failure.index == (3 if item else None)
    assert "stages.py:" in str(error)


@pytest.mark.parametrize("fail", [stages.raise_from_another, stages.raise_while_handling])
@pytest.mark.parametrize("build", [failing_source, failing_stage])
@pytest.mark.parametrize("place", ANYWHERE)
def test_exceptions_that_led_to_an_exception_are_shown_with_it(place: str, build: Build, fail: Fail) -> None:
    with pytest.raises(StageError) as caught:
        list(build(fail, place))
    error = caught.value.__cause__
    assert error is not None
    assert "KeyError: 'the reason'" in "".join(traceback.format_exception(caught.value))
    # Pickle drops them, and the traceback of the process is a note.
    if place in ("threads", "tasks", "inline"):
        assert repr(error.__context__ or error.__cause__) == "KeyError('the reason')"


@pytest.mark.parametrize("place", ANYWHERE)
def test_error_says_which_process_it_was_in(place: str) -> None:
    with pytest.raises(StageError) as caught:
        list(failing_stage(stages.raise_value_error, place))
    (failure,) = caught.value.failures
    assert (failure.pid == os.getpid()) is (place in ("threads", "tasks", "inline"))


@pytest.mark.parametrize("place", FORKING)
def test_traceback_of_a_process_travels_as_a_note_that_starts_at_the_users_line(place: str) -> None:
    with pytest.raises(StageError) as caught:
        list(failing_stage(stages.raise_value_error, place))
    assert caught.value.__cause__ is not None
    (note,) = caught.value.__cause__.__notes__
    first, *lines = note.splitlines()
    assert re.fullmatch(r"The worker's traceback \(pid \d+\):", first)
    assert "in failing_stage" in lines[1]
    library = str(Path(chainpump.__file__).parent)
    assert not [line for line in lines if library in line]


@pytest.mark.parametrize("place", PROCESSES)
def test_exception_of_several_megabytes_arrives_whole(place: str) -> None:
    with pytest.raises(StageError) as caught:
        list(failing_stage(stages.raise_large, place))
    assert type(caught.value.__cause__) is ValueError
    assert len(caught.value.__cause__.args[0]) == 3_000_000


NOT_PICKLABLE = [
    pytest.param(stages.raise_locked, "Locked", "holds a lock", id="lock"),
    pytest.param(stages.raise_odd, "Odd", "7: odd init", id="odd-init"),
    pytest.param(stages.raise_local, "Local", "of a class that has no name outside", id="local-class"),
    pytest.param(stages.raise_group_with_lock, "ExceptionGroup", "several (2 sub-exceptions)", id="group-with-lock"),
]


@pairwise
@WAYS
@pytest.mark.parametrize("fail, kind, text", NOT_PICKLABLE)
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", PROCESSES)
def test_exception_that_cannot_travel_arrives_as_type_text_and_traceback(
    place: str, build: Build, who: str, item: str, fail: Fail, kind: str, text: str, way: Any
) -> None:
    with pytest.raises(StageError, match=raised(who, kind, item)) as caught:
        way(build(fail, place), place)
    error = caught.value
    assert error.__cause__ is None
    assert text in str(error)
    (note,) = error.__notes__
    assert f"in {build.__name__}" in note
    assert text in note


@pairwise
@WAYS
@pytest.mark.parametrize("fail, kind, text", NOT_PICKLABLE)
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", places("threads", "tasks", "inline"))
def test_exception_that_cannot_be_pickled_is_the_cause_where_it_need_not_travel(
    place: str, build: Build, who: str, item: str, fail: Fail, kind: str, text: str, way: Any
) -> None:
    with pytest.raises(StageError, match=raised(who, kind, item)) as caught:
        way(build(fail, place), place)
    assert type(caught.value.__cause__).__name__ == kind
    assert text in str(caught.value)


@in_turns
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_that_cannot_say_what_it_is_still_names_the_stage(
    place: str, build: Build, who: str, item: str
) -> None:
    with pytest.raises(StageError, match=raised(who, "Mute", item)):
        list(build(stages.raise_mute, place))


@pairwise
@pytest.mark.parametrize(
    "fail, kind",
    [
        pytest.param(stages.raise_unusual, "Unusual", id="BaseException"),
        pytest.param(stages.sys_exit_0, "SystemExit", id="sys.exit-0"),
        pytest.param(stages.sys_exit_1, "SystemExit", id="sys.exit-1"),
        pytest.param(stages.raise_keyboard_interrupt, "KeyboardInterrupt", id="KeyboardInterrupt"),
    ],
)
@WAYS
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", EXECUTORS)
def test_what_is_no_exception_ends_the_run_all_the_same(
    place: str, build: Build, who: str, item: str, fail: Fail, kind: str, way: Any
) -> None:
    with pytest.raises(StageError, match=raised(who, kind, item)) as caught:
        way(build(fail, place), place)
    assert type(caught.value.__cause__).__name__ == kind


OWN_CANCELLED = (
    r"  by myself\n(  item: 3\n)?"
    r"  Nobody had cancelled the run, which is this library's to say: raise an exception of your own\.\n"
)


@pairwise
@WAYS
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", ANYWHERE)
def test_function_that_raises_cancelled_although_nobody_has_cancelled_is_to_blame(
    place: str, build: Build, who: str, item: str, way: Any
) -> None:
    with pytest.raises(StageError, match=raised(who, "Cancelled", item) + OWN_CANCELLED) as caught:
        way(build(stages.raise_cancelled, place), place)
    assert repr(caught.value.__cause__) == "Cancelled('by myself')"
    assert len(caught.value.failures) == 1


@in_turns
@WAYS
@pytest.mark.parametrize("place", MOST)
def test_element_wise_function_that_raises_cancelled_is_to_blame(place: str, way: Any) -> None:
    pipeline = Pipeline(source(stages.count, 10), on=on(place)).map(stages.cancelled_at_three, on=on(place))
    first_line = raised("stage 'cancelled_at_three'", "Cancelled", " on item 3")
    with pytest.raises(StageError, match=first_line + OWN_CANCELLED):
        way(pipeline, place)


LARGE = [
    pytest.param(stages.raise_recursion, RecursionError, id="RecursionError"),
    pytest.param(stages.raise_long, ValueError, id="long-message"),
    pytest.param(stages.raise_group, ExceptionGroup, id="group"),
    pytest.param(stages.raise_base_group, BaseExceptionGroup, id="group-of-BaseExceptions"),
]


@pairwise
@WAYS
@pytest.mark.parametrize("fail, kind", LARGE)
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_of_any_size_and_depth_is_the_cause(
    place: str, build: Build, who: str, item: str, fail: Fail, kind: Any, way: Any
) -> None:
    with pytest.raises(StageError, match=raised(who, kind.__name__, item)) as caught:
        way(build(fail, place), place)
    check_whole(caught.value.__cause__, kind)


@in_turns
@pytest.mark.parametrize("fail, kind", LARGE)
@pytest.mark.parametrize("place", ANYWHERE)
def test_exception_of_any_size_and_depth_comes_out_of_a_sink_as_it_is(place: str, fail: Fail, kind: Any) -> None:
    with pytest.raises(kind) as caught:
        failing_sink(fail, place).run()
    check_whole(caught.value, kind)
    blamed = r"^sink 'failing' \(worker 1 of 1, pid \d+\) raised \w+ on item 3:\n"
    assert re.match(blamed, caught.value.__notes__[-1])


def check_whole(error: BaseException | None, kind: type[BaseException]) -> None:
    """Nothing is cut off."""
    assert type(error) is kind
    if isinstance(error, ValueError):
        assert error.args == ("x" * stages.LONG,)
    if isinstance(error, BaseExceptionGroup):
        assert len(error.exceptions) == 2


@pairwise
@WAYS
@pytest.mark.parametrize("build, who, item", ROLES)
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_runs_out_of_memory_tells_it(place: str, build: Build, who: str, item: str, way: Any) -> None:
    with pytest.raises(StageError, match=raised(who, "MemoryError", item)) as caught:
        way(build(stages.run_out_of_memory, place), place)
    assert type(caught.value.__cause__) is MemoryError


@pytest.mark.parametrize("place", PROCESSES)
def test_sink_that_runs_out_of_memory_tells_it(place: str) -> None:
    with pytest.raises(MemoryError):
        failing_sink(stages.run_out_of_memory, place).run()


@pytest.mark.parametrize("fail", [stages.raise_unusual, stages.sys_exit_0], ids=lambda fail: fail.__name__)
def test_what_is_no_exception_ends_an_inline_run_all_the_same(fail: Fail) -> None:
    with pytest.raises(StageError):
        list(failing_stage(fail, "inline"))


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_the_one_of_several_workers_that_raised_is_named(place: str, gate: Gate) -> None:
    """Three workers are inside at once, one of them with item 1."""
    pipeline = Pipeline(source(stages.count, 100), on=on(place)).then(
        stage(stages.fail_at_one, stages.raise_value_error, gate, 1), on=on(place, 3)
    )
    with pipeline.open() as run:
        for _ in range(3):
            gate.wait_held()
        # Whoever passes comes again.
        gate.release(1000)
        with pytest.raises(StageError, match=raised("stage 'fail_at_one'", "ValueError", " on item 1", of=3)):
            list(run)


@pytest.mark.parametrize("place", MOST_WORKERS)
def test_item_is_numbered_by_the_worker_that_made_it_where_several_did(place: str) -> None:
    pipeline = (
        Pipeline(source(stages.count, 10), on=on(place))
        .then(stages.same, on=on(place, 2), name="made")
        .then(stage(stages.failing_stage, stages.raise_value_error, 5), on=on(place))
    )
    with pytest.raises(StageError, match=r"\) raised ValueError on item \d from worker [12] of 'made':\n"):
        list(pipeline)


@pytest.mark.parametrize("place", FORKING)
def test_function_that_cannot_be_loaded_in_the_worker_is_named(place: str) -> None:
    pipeline = Pipeline(range(3)).then(stage(stages.ignoring, stages.Unloadable()), on=on(place))
    # It inherits the arguments as they are.
    if place == "fork":
        assert list(pipeline) == [0, 1, 2]
        return
    first_line = r"^stage 'ignoring' could not start worker 1 of 1: ValueError: not for you"
    with pytest.raises(StageError, match=first_line) as caught:
        list(pipeline)
    assert caught.value.stage == "ignoring"


def test_error_in_an_iterable_of_the_main_process_names_it() -> None:
    def numbers():
        yield 1
        raise ValueError("bad line")

    with pytest.raises(
        StageError, match=r"^source 'generator' \(worker 1 of 1, pid \d+\) raised ValueError:\n"
    ) as caught:
        list(Pipeline(numbers()).then(stages.same, on=Processes(1)))
    assert str(caught.value.__cause__) == "bad line"
