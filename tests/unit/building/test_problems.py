"""All that is wrong with one step of a pipeline is told at once; with `collecting`, with all of its steps."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from chainpump import Inline, Pipeline, Processes, Runnable, StageOptionError, StageTypeError, Tasks, source, stage
from chainpump.building.problems import Problems, collecting
from chainpump.errors import PlanError


def numbers() -> Iterator[int]:
    yield from range(3)


def shout(texts: Iterable[str], mark: str = "!") -> Iterator[str]:
    yield from (text + mark for text in texts)


def quote(text: str) -> str:
    return repr(text)


def halves(values: Iterable[int]) -> Iterator[float]:
    yield from (value / 2 for value in values)


def test_one_problem_is_raised_as_it_is() -> None:
    problems = Problems()
    with problems:
        raise StageOptionError("no such option")
    with pytest.raises(StageOptionError, match=r"^no such option$") as caught:
        problems.tell()
    assert caught.value.problems == ("no such option",)


def test_several_are_one_error_of_the_class_of_the_first_and_the_same_one_counts_once() -> None:
    problems = Problems()
    for error in (StageTypeError("first"), StageOptionError("second"), StageTypeError("first")):
        with problems:
            raise error
    with pytest.raises(StageTypeError) as caught:
        problems.tell()
    assert caught.value.problems == ("first", "second")
    assert str(caught.value) == "first\nAlso found there:\n- second"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_is_no_problem_of_a_plan_passes_through() -> None:
    with pytest.raises(KeyError), Problems():
        raise KeyError("a defect")


def problems_of(error: PlanError) -> list[str]:
    return [problem.splitlines()[0].partition(" (")[0].partition("): ")[0] for problem in error.problems]


def test_arguments_junction_and_options_of_a_stage_are_told_together() -> None:
    with pytest.raises(StageTypeError) as caught:
        Pipeline(source(numbers)).then(stage(shout, mrk="?"), in_flight=0, on=3)  # type: ignore[call-arg, arg-type]
    assert problems_of(caught.value) == [
        "stage 'shout' has no parameter 'mrk'",
        "stage 'shout' cannot follow 'numbers':",
        "stage 'shout': on must be an executor but got: 3.",
        "stage 'shout': in_flight must be at least 1 but got: 0.",
    ]


def test_those_of_an_operator_too() -> None:
    with pytest.raises(StageOptionError) as caught:
        Pipeline(source(numbers)).map(quote, on=Inline(), timeout=3, in_flight=-1, on_error=None)  # type: ignore[arg-type]
    assert problems_of(caught.value) == [
        "on_error must be a policy but got: None.",
        "stage 'quote': timeout= cannot work on Inline(",
        ".map(quote) cannot follow 'numbers':",
        "stage 'quote': in_flight must be at least 1 but got: -1.",
    ]


def test_those_of_a_source_too() -> None:
    with pytest.raises(StageTypeError) as caught:
        Pipeline(source(numbers, 3), on=Tasks(2))  # type: ignore[call-arg]
    assert problems_of(caught.value) == [
        "source 'numbers' is not async, and Tasks runs async functions",
        "source 'numbers' cannot run on Tasks(workers=2",
    ]


def build() -> Runnable[Any]:
    return (
        Pipeline(source(numbers, 3))  # type: ignore[call-arg]
        .then(shout)  # type: ignore[arg-type]
        .map(quote, on=Processes(restarts=2))
        .then(halves, on=Processes(restarts=1))  # type: ignore[arg-type]
        .into(sum)
    )


def test_collecting_lists_the_problems_of_all_steps_once_with_the_lines_that_built_them() -> None:
    with collecting() as found:
        build()
    assert problems_of(PlanError(*(str(each.error) for each in found))) == [
        "source 'numbers' cannot be called with its arguments: too many positional arguments",
        "stage 'shout' cannot follow 'numbers':",
        "stage 'halves' cannot follow 'quote':",
        "stage 'halves' cannot run on Processes(workers=1, start_method='forkserver', restarts=1",
    ]
    first = build.__code__.co_firstlineno
    assert [each.where for each in found] == [f"{__file__}:{first + line}" for line in (2, 3, 5, 5)]


def test_what_a_faulty_stage_yields_is_known_all_the_same() -> None:
    with collecting() as found:
        faulty = Pipeline(source(numbers)).then(stage(shout, 1, 2))  # type: ignore[call-arg, arg-type]
        assert str(faulty.plan()).splitlines()[-1].split()[-2] == "str"
        faulty.map(quote)
    assert len(found) == 2


def test_a_pipeline_that_is_only_looked_at_does_not_start() -> None:
    with collecting(), pytest.raises(StageOptionError, match=r"^this pipeline is only being checked, and was about to"):
        list(Pipeline(source(numbers)))
    assert list(Pipeline(source(numbers), on=Inline())) == [0, 1, 2]
