"""What a program is told that uses a pipeline in a way that cannot work: what to write instead, at its own line."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from chainpump import (
    DeadLetter,
    Inline,
    Pipeline,
    Processes,
    Retry,
    Skip,
    StageError,
    StageOptionError,
    StageTypeError,
    Threads,
    source,
    stage,
)
from chainpump.cli.main import main
from chainpump.plan.generator_stages import unbatch
from chainpump.policies import Action

# Any: the mistakes are hidden from type checkers.
NUMBERS: Any = Pipeline(range(3))
SUMMED: Any = NUMBERS.into(sum, on=Inline())
DO: Any = {"processes": Processes, "retry": Retry, "skip": Skip, "letter": DeadLetter, "pipeline": Pipeline}


def mistaken(use: Callable[[], object]) -> Exception:
    with pytest.raises((AttributeError, TypeError, StageTypeError, StageOptionError)) as caught:
        use()
    # The last line of the traceback is one of this file.
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__
    return caught.value


@pytest.mark.parametrize(
    "use,text",
    [
        (
            lambda: NUMBERS.run,
            (
                "'Pipeline' object has no attribute 'run'.\n"
                "  A pipeline runs when its items are taken, as in list(pipeline), "
                "or with a sink: pipeline.into(list).run()."
            ),
        ),
        (
            lambda: NUMBERS.flatmap(str),
            "'Pipeline' object has no attribute 'flatmap'.\n  Did you mean .flat_map()?",
        ),
        (lambda: NUMBERS.wibble, "'Pipeline' object has no attribute 'wibble'"),
        (
            lambda: SUMMED.map(str),
            "'Runnable' object has no attribute 'map'.\n  A sink is the end of a pipeline: add stages before it.",
        ),
        (
            lambda: SUMMED.value,
            "'Runnable' object has no attribute 'value'.\n  Write .run(), whose report has the value: .run().value.",
        ),
        (
            lambda: list(SUMMED),
            (
                "'Runnable' object is not iterable: its sink takes the items, and a run gives the value of the sink.\n"
                "  Write .run().value for that value, or leave the sink out to take the items."
            ),
        ),
        (
            lambda: Pipeline(SUMMED),
            (
                "Pipeline(...) must be given an iterable but got: Runnable(range -> sum).\n"
                "  Its sink is its end, and it has no items: add stages before the sink."
            ),
        ),
        (
            lambda: NUMBERS | list,
            (
                "'Pipeline' object does not support | or >>.\n"
                "  Add a stage with .map(function) or .then(stage), and a sink with .into(function)."
            ),
        ),
        (
            lambda: NUMBERS >> str,
            (
                "'Pipeline' object does not support | or >>.\n"
                "  Add a stage with .map(function) or .then(stage), and a sink with .into(function)."
            ),
        ),
        (
            lambda: NUMBERS + NUMBERS,
            "'Pipeline' object does not support +.\n  Write Pipeline.concat(a, b).",
        ),
        (
            lambda: NUMBERS.__enter__(),  # noqa: PLW0108  # it must not be looked up yet
            (
                "'Pipeline' object does not support the context manager protocol: "
                "it is a description, and not a run.\n  Write `with pipeline.open() as run:`."
            ),
        ),
    ],
)
def test_what_a_pipeline_does_not_have_is_answered_with_what_to_write(use: Callable[[], object], text: str) -> None:
    assert str(mistaken(use)) == text


@pytest.mark.parametrize(
    "use,advice",
    [
        (lambda: NUMBERS.map(str, worker=3), "Write on=Processes(4), or on=Threads(4)."),
        (lambda: NUMBERS.map(str, n_jobs=3), "Write on=Processes(4), or on=Threads(4)."),
        (lambda: NUMBERS.map(str, retries=3), "Write on_error=Retry(4)."),
        (lambda: NUMBERS.map(str, chunksize=3), "Write .batch(4) before it."),
        (lambda: NUMBERS.map(str, inflight=3), "Did you mean 'in_flight'?"),
        (lambda: SUMMED.run(progess=True), "Did you mean 'progress'?"),
        (lambda: DO["processes"](worker=3), "Did you mean 'workers'?"),
        (lambda: DO["skip"](limits=3), "Did you mean 'limit'?"),
        (lambda: DO["letter"](too=print), "Did you mean 'to'?"),
        (lambda: DO["retry"](3, tries=4), "Did you mean 'times'?"),
        (lambda: NUMBERS.batch(size=3), "Its options are: n, by, most, within, on, in_flight, name."),
        (
            lambda: NUMBERS.then(str, Processes(2)),
            "Its options are given by their names: on=, in_flight=, may_stop=, name=.",
        ),
    ],
)
def test_an_unknown_option_is_answered_with_the_one_that_is_meant(use: Callable[[], object], advice: str) -> None:
    assert str(mistaken(use)).splitlines()[1:] == [f"  {advice}"]


def test_an_unknown_option_is_told_with_the_name_of_the_call() -> None:
    first = str(mistaken(lambda: NUMBERS.batch(size=3))).splitlines()[0]
    assert first == "Pipeline.batch() got an unexpected keyword argument 'size'."
    first = str(mistaken(lambda: DO["processes"](worker=3))).splitlines()[0]
    assert first == "Processes() got an unexpected keyword argument 'worker'."


@pytest.mark.parametrize(
    "use",
    [
        lambda: NUMBERS.map(str, in_flight=0),
        lambda: NUMBERS.map(3),
        lambda: NUMBERS.batch(0),
        lambda: NUMBERS.then(3),
        lambda: NUMBERS.take("3"),
        lambda: SUMMED.run(grace=-1),
        lambda: NUMBERS.open(grace=-1),
        lambda: Processes(0),
        lambda: Retry(0),
        lambda: Skip("ValueError"),  # type: ignore[arg-type]  # the mistake
        lambda: Pipeline(3),  # type: ignore[call-overload]  # the mistake
        lambda: Pipeline.concat(3),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_an_error_about_a_call_ends_at_the_line_of_the_program(use: Callable[[], object]) -> None:
    mistaken(use)


def test_a_type_error_inside_a_call_is_left_as_it_is() -> None:
    def hostile() -> None:
        raise TypeError("got an unexpected keyword argument 'worker'")

    class Strange:
        def __call__(self, item: int) -> int:
            return item

        def __reduce__(self) -> str:
            hostile()
            return ""

    with pytest.raises(StageTypeError, match="cannot be sent to another process"):
        Pipeline(range(3)).map(Strange())


def test_the_signs_of_another_library_keep_their_meaning() -> None:
    class Piped:
        def __ror__(self, other: object) -> str:
            return "piped"

        def __radd__(self, other: object) -> str:
            return "added"

    assert (NUMBERS | Piped(), NUMBERS + Piped()) == ("piped", "added")


def test_a_pipeline_has_no_more_attributes_than_before() -> None:
    assert not hasattr(NUMBERS, "run")
    assert not hasattr(NUMBERS, "_repr_png_")
    assert not hasattr(SUMMED, "__iter__")


def test_several_exceptions_may_be_given_as_a_list_or_a_tuple() -> None:
    assert Skip([KeyError, OSError]) == Skip((KeyError, OSError)) == Skip(KeyError, OSError)
    assert DeadLetter([KeyError], OSError).types == (KeyError, OSError)
    assert Retry(1, on=[KeyError]) == Retry(1, on=(KeyError,))
    assert Retry(1, on=[KeyError]).decide(KeyError(), 1).action is Action.RETRY


def test_items_that_are_no_batches_are_told_what_unbatch_takes() -> None:
    with pytest.raises(TypeError) as caught:
        list(unbatch(NUMBERS.inline()))
    assert str(caught.value) == (
        "unbatch takes iterables apart but got: int. Leave .unbatch() out, or let the stage before it make lists."
    )


def test_a_function_of_flat_map_that_returns_nothing_is_told_what_to_return() -> None:
    def forgets(number: int) -> Any:
        return [number] if number < 0 else None

    with pytest.raises(StageError) as caught:
        list(NUMBERS.flat_map(forgets, on=Threads()))
    assert str(caught.value.__cause__) == (
        "flat_map takes an iterable of results but the function returned None. Return [] for none."
    )


def test_an_async_source_is_told_how_it_runs() -> None:
    async def pages() -> AsyncIterator[int]:
        yield 1

    text = str(mistaken(lambda: Pipeline(source(pages))))
    assert text.splitlines()[1] == "  It runs in an event loop: Pipeline(source(pages, ...), on=Tasks())."


def test_an_unknown_option_of_a_command_is_told_with_the_usage_of_that_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["run", "file.py:pipeline", "--reprot", "x.html"])
    told = capsys.readouterr().err
    assert "usage: python -m chainpump run " in told
    assert "unrecognized arguments: --reprot x.html. Did you mean '--report'?" in told


def test_a_stage_without_yield_is_told_so() -> None:
    def looks(numbers: Iterable[int]) -> Iterator[int]:  # type: ignore[return]
        for number in numbers:
            number + 1  # forgotten on purpose  # pyright: ignore[reportUnusedExpression]

    def looks_at(number: int) -> Any:
        number += 1

    def to_come(numbers: Iterable[int]) -> Iterator[int]: ...  # type: ignore[empty-body]

    text = str(mistaken(lambda: NUMBERS.then(looks)))
    assert text.splitlines()[0].startswith("stage 'looks' makes no items: it has no `yield`, and returns nothing (")
    assert text.splitlines()[1:] == [
        "  Let it yield each item that it makes. At the end of a pipeline, write .into(looks)."
    ]
    assert "source 'looks' makes no items" in str(mistaken(lambda: Pipeline(source(looks, [1]))))
    text = str(mistaken(lambda: NUMBERS.flat_map(looks_at)))
    assert text.endswith("For its effect alone, write .tap(looks_at) or .each(looks_at).")
    assert NUMBERS.then(to_come)


def test_a_function_that_is_called_instead_of_bound_is_one_problem() -> None:
    def scaled(numbers: Iterable[int], factor: int) -> Iterator[int]:
        yield from (factor * number for number in numbers)

    error = mistaken(lambda: NUMBERS.then(stage(scaled([1], 2)), on=Processes()))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert isinstance(error, StageTypeError)
    assert error.problems == (str(error),)
    assert str(error).endswith("Give the function and its arguments, without calling it: stage(scaled, argument).")


def test_to_await_a_description_tells_what_to_await() -> None:
    async def wrong(chain: Any) -> None:
        await chain

    for chain, advice in ((NUMBERS, "`async for item in pipeline`"), (SUMMED, "`await runnable.run_async()`")):
        with pytest.raises(
            TypeError, match=re.escape("can't be used in 'await' expression: it is a description")
        ) as caught:
            asyncio.run(wrong(chain))
        assert advice in str(caught.value)


def test_who_gets_only_none_from_a_map_is_warned_of_once() -> None:
    def save(number: int):  # type: ignore[no-untyped-def]
        number += 1

    def use(item: Any) -> Any:
        return item

    def listed(items: Iterable[Any]) -> list[Any]:
        return list(items)

    text = r"^'use' gets only None: 'save' before it returns nothing\. .*: \.tap\(save\)\. .*: \.each\(save\)\.$"
    with pytest.warns(UserWarning, match=text) as caught:
        NUMBERS.map(save).map(use)
    assert [each.filename for each in caught] == [__file__]
    for build in (lambda: NUMBERS.map(print).each(use), lambda: NUMBERS.map(save).into(listed)):
        with pytest.warns(UserWarning, match="gets only None"):
            build()
    # Nobody is surprised here.
    assert NUMBERS.map(save).batch(2).into(list).plan()
    assert NUMBERS.tap(save).map(use).plan()
