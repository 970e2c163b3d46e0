"""Element-wise operators on every executor, alone and in mixtures, give what they give inline, in the same order."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from operator import itemgetter
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from chainpump import (
    DeadItem,
    DeadLetter,
    Executor,
    Inline,
    Pipeline,
    Processes,
    Raise,
    RemoteError,
    Retry,
    RunError,
    Runnable,
    Skip,
    StageError,
    Threads,
    TooManyFailuresError,
    source,
    stage,
)
from chainpump.plan.placement import copies_of
from contract import operations, stages
from contract.operations import Boxed, HalfWay, Held, Scaled, Stubborn, Unlucky
from contract.placings import FORKS
from contract.stages import Bad
from support.cases import in_turns, pairwise
from support.gate import Gate, Journal
from support.processes import wait_asleep
from support.threads import meanwhile


class Places(NamedTuple):
    """The executors of a source, of two operators in a row, and of a sink."""

    source: Executor
    first: Executor
    second: Executor
    sink: Executor


def forks(workers: int) -> Processes:
    return Processes(workers, start_method="fork")


INLINE, THREAD, PROCESS = Inline(), Threads(), Processes()

PLACES = {
    "inline": Places(INLINE, INLINE, INLINE, INLINE),
    "1 process": Places(PROCESS, PROCESS, PROCESS, PROCESS),
    "2 processes": Places(INLINE, Processes(2), Processes(2), INLINE),
    "3 processes": Places(PROCESS, Processes(3), Processes(3), PROCESS),
    "1 fork": Places(INLINE, forks(1), forks(1), INLINE),
    "3 forks": Places(forks(1), forks(3), forks(2), forks(1)),
    "1 thread": Places(THREAD, THREAD, THREAD, THREAD),
    "3 threads": Places(THREAD, Threads(3), Threads(3), THREAD),
    "processes, then threads": Places(INLINE, Processes(2), Threads(3), PROCESS),
    "threads, then forks": Places(PROCESS, Threads(3), forks(2), INLINE),
    "inline, then threads": Places(INLINE, INLINE, Threads(3), INLINE),
    "inline, then processes": Places(PROCESS, INLINE, Processes(3), THREAD),
    "processes, then inline": Places(THREAD, Processes(3), INLINE, INLINE),
}


def named(*names: str) -> Sequence[Any]:
    return [pytest.param(PLACES[name], id=name, marks=FORKS if "fork" in name else ()) for name in names]


EVERYWHERE = named(*PLACES)
MOST = named("inline", "2 processes", "1 fork", "3 threads", "inline, then threads", "processes, then threads")
SOME = named("2 processes", "3 threads", "threads, then forks", "inline, then processes")
SEVERAL = named("3 processes", "3 threads", "threads, then forks")
FEW = named("inline", "3 processes", "3 threads")
SPAWNED = Places(INLINE, Processes(2, start_method="spawn"), THREAD, INLINE)
N = 300


def numbers(places: Places, n: int = N) -> Pipeline[int]:
    return Pipeline(source(stages.numbers, n), on=places.source)


def arrived(pipeline: Pipeline[Any], places: Places) -> list[Any]:
    return pipeline.into(stages.listed, on=places.sink).run().value


# -------------------------------------------------------------------------------------------------- same results

OPERATORS = {
    "map": lambda pipeline, **how: pipeline.map(operations.increased, **how),
    "filter": lambda pipeline, **how: pipeline.filter(operations.is_even, **how),
    "filter by a text": lambda pipeline, **how: pipeline.filter(operations.letters, **how),
    "filter of all": lambda pipeline, **how: pipeline.filter(operations.never, **how),
    "flat_map of a generator": lambda pipeline, **how: pipeline.flat_map(operations.some, **how),
    "flat_map of lists": lambda pipeline, **how: pipeline.flat_map(operations.some_listed, **how),
}


@in_turns
@pytest.mark.parametrize("places", EVERYWHERE)
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_gives_what_it_gives_inline_in_the_same_order(places: Places, operator: str) -> None:
    pipeline = OPERATORS[operator](numbers(places, 3_000), on=places.first)
    assert arrived(pipeline, places) == list(pipeline.inline())


@in_turns
@pytest.mark.parametrize("places", EVERYWHERE)
@pytest.mark.parametrize("way", [arrived, lambda pipeline, _: list(pipeline)], ids=["arrived", "iterated"])
def test_operators_in_a_row_keep_the_order(places: Places, way: Callable[..., list[Any]]) -> None:
    pipeline = (
        numbers(places, 400)
        .map(operations.increased, on=places.first)
        .filter(operations.letters, on=places.second)
        .flat_map(operations.some_listed, on=places.first)
        .map(operations.increased, on=places.second)
        .filter(operations.is_even, on=places.first)
    )
    assert way(pipeline, places) == list(pipeline.inline())


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("operator", OPERATORS)
def test_without_order_the_same_items_come(places: Places, operator: str) -> None:
    pipeline = OPERATORS[operator](numbers(places, 2_000), on=places.first, ordered=False)
    pipeline = pipeline.map(str, on=places.second, ordered=False)
    assert Counter(arrived(pipeline, places)) == Counter(pipeline.inline())


@in_turns
@pytest.mark.parametrize("places", SEVERAL)
@pytest.mark.parametrize("ordered", [(True, False), (False, True)])
def test_one_operator_without_order_loses_nothing_among_ordered_ones(
    places: Places, ordered: tuple[bool, bool]
) -> None:
    pipeline = numbers(places, 2_000).map(operations.increased, on=places.first, ordered=ordered[0])
    pipeline = pipeline.filter(operations.is_even, on=places.second, ordered=ordered[1])
    assert Counter(arrived(pipeline, places)) == Counter(pipeline.inline())


@pytest.mark.parametrize("places", MOST)
def test_none_one_and_very_many_results_of_an_item_stay_in_order_through_a_further_map(places: Places) -> None:
    pipeline = numbers(places, 45).flat_map(operations.sometimes_many, on=places.first)
    mapped = pipeline.map(operations.tagged, on=places.second)
    assert arrived(mapped, places) == list(mapped.inline())


@pytest.mark.parametrize("places", SEVERAL)
def test_very_many_results_stay_in_order_through_a_second_flat_map(places: Places) -> None:
    pipeline = numbers(places, 25).flat_map(operations.sometimes_many, on=places.first)
    doubled = pipeline.flat_map(lambda pair: [pair] * (1 + pair[1] % 3), on=places.second)
    kept = doubled.filter(lambda pair: pair[1] % 7, on=places.first)
    assert arrived(kept, places) == list(kept.inline())


@pytest.mark.parametrize("places", FEW)
def test_generator_stages_between_operators_see_the_items_in_order(places: Places) -> None:
    one = PROCESS if places.first.capabilities.pickles_functions else THREAD
    pipeline = (
        numbers(places, 1_000)
        .map(operations.increased, on=places.first)
        .then(stages.summed, on=one)
        .filter(operations.is_even, on=places.second)
        .then(stages.summed, on=one)
        .map(operations.increased, on=places.first)
    )
    assert arrived(pipeline, places) == list(pipeline.inline())


@in_turns
@pytest.mark.parametrize("places", SOME)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_items_or_none_pass_through_many_workers(places: Places, n: int) -> None:
    pipeline = numbers(places, n).map(operations.increased, on=places.first)
    pipeline = pipeline.flat_map(operations.some_listed, on=places.second)
    assert arrived(pipeline, places) == list(pipeline.inline())


@pytest.mark.parametrize("places", SOME)
def test_large_items_stay_in_order(places: Places) -> None:
    pipeline = numbers(places, 40).map(lambda value: (value, bytes(value << 12)), on=places.first)
    lengths = pipeline.map(lambda pair: (pair[0], len(pair[1])), on=places.second)
    assert arrived(lengths, places) == [(value, value << 12) for value in range(40)]


@pytest.mark.parametrize("places", MOST)
def test_each_is_called_once_for_each_item(places: Places, journal: Journal) -> None:
    report = numbers(places).map(operations.increased, on=places.first).each(journal.write, on=places.second).run()
    written = list(map(str, range(1, N + 1)))
    assert (journal.lines if places.second.workers == 1 else sorted(journal.lines, key=int)) == written
    assert report.value is None or report.value == [None] * copies_of(places.second)


# ---------------------------------------------------------------------------------------------- all sorts of functions

OFFSET = 3


def closure(factor: int) -> Callable[[int], int]:
    return lambda value: value * factor + OFFSET


FUNCTIONS = {
    "builtin": abs,
    "class": Boxed,
    "builtin class": str,
    "bound method": Scaled(3).times,
    "method of a builtin": "abc".__mul__,
    "callable": Scaled(4),
    "lambda": lambda value: -value,
    "closure": closure(5),
    "partial": functools.partial(operations.plus, more=7),
    "partial of a builtin": functools.partial(pow, 2),
    "function": operations.increased,
}


@in_turns
@pytest.mark.parametrize("places", FEW)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_sort_of_function_can_be_mapped(places: Places, function: str) -> None:
    pipeline: Pipeline[Any] = numbers(places, 20).map(FUNCTIONS[function], on=places.first)
    assert arrived(pipeline, places) == [FUNCTIONS[function](value) for value in range(20)]


@in_turns
@pytest.mark.parametrize("places", FEW)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_sort_of_function_can_filter(places: Places, function: str) -> None:
    pipeline = numbers(places, 20).filter(FUNCTIONS[function], on=places.first)
    assert arrived(pipeline, places) == [value for value in range(20) if FUNCTIONS[function](value)]


@in_turns
@pytest.mark.parametrize("places", FEW)
@pytest.mark.parametrize("function", [range, "ab".split, lambda text: text, itemgetter(slice(2))])
def test_any_sort_of_function_can_be_flat_mapped(places: Places, function: Callable[[Any], Any]) -> None:
    items = [3, 0, 1] if function is range else ["b", "a", "c"]
    pipeline: Pipeline[Any] = Pipeline(items).flat_map(function, on=places.first)
    assert arrived(pipeline, places) == [each for item in items for each in function(item)]


# ---------------------------------------------------------------------------------------------------- same blame


def blame(pipeline: Pipeline[Any] | Runnable[Any]) -> tuple[object, ...]:
    """What is told of a failure, wherever the stage ran: all but the worker and its process."""
    with pytest.raises((RunError, Bad)) as caught:
        list(pipeline) if isinstance(pipeline, Pipeline) else pipeline.run()
    error = caught.value
    # Of a sink: the exception itself, and the message as a note.
    if isinstance(error, Bad):
        return type(error), repr(error), anywhere(error.__notes__[-1])
    first = error.failures[0]
    return type(error), error.stage, first.index, first.item, repr(error.__cause__), anywhere(str(first))


def anywhere(text: str) -> str:
    return re.sub(r" \(worker \d of \d, pid \d+\)", "", text)


RAISING = Unlucky(frozenset([41]))
FAULTS = {
    "map": lambda pipeline, places: pipeline.map(RAISING, on=places.first),
    "filter": lambda pipeline, places: pipeline.filter(RAISING, on=places.first),
    "flat_map that yields before": lambda pipeline, places: pipeline.flat_map(
        HalfWay(frozenset([41])), on=places.first
    ),
    "flat_map of no iterable": lambda pipeline, places: pipeline.flat_map(
        lambda value: None if value == 41 else (), on=places.first
    ),
    "map on the first item": lambda pipeline, places: pipeline.map(Unlucky(frozenset([0])), on=places.first),
    "map on the last item": lambda pipeline, places: pipeline.map(Unlucky(frozenset([N - 1])), on=places.first),
    "map without order": lambda pipeline, places: pipeline.map(RAISING, on=places.first, ordered=False),
    "map behind a map": lambda pipeline, places: pipeline.map(operations.increased, on=places.first).map(
        RAISING, on=places.second
    ),
    "map behind a filter": lambda pipeline, places: pipeline.filter(lambda value: value % 3 == 2, on=places.first).map(
        RAISING, on=places.second
    ),
    "filter behind a filter": lambda pipeline, places: pipeline.filter(
        lambda value: value % 3 == 2, on=places.first
    ).filter(RAISING, on=places.second),
    "map behind a flat_map": lambda pipeline, places: pipeline.flat_map(operations.some, on=places.first).map(
        operations.unlucky_pair, on=places.second
    ),
    "flat_map behind a flat_map": lambda pipeline, places: pipeline.flat_map(
        operations.some_listed, on=places.first
    ).flat_map(HalfWay(frozenset([41])), on=places.second),
    "map behind very many results": lambda pipeline, places: pipeline.flat_map(
        lambda value: range(5_000) if value == 2 else (), on=places.first
    ).map(Unlucky(frozenset([4_321])), on=places.second),
    "map behind a generator stage": lambda pipeline, places: (
        pipeline.filter(operations.is_even, on=places.first)
        .then(stages.same, on=PROCESS)
        .map(Unlucky(frozenset([40])), on=places.second)
    ),
    "generator stage behind a filter": lambda pipeline, places: pipeline.filter(
        operations.is_even, on=places.first
    ).then(stage(stages.raising_stage, 40), on=PROCESS),
    "each behind a filter": lambda pipeline, places: pipeline.filter(
        lambda value: value % 3 == 2, on=places.first
    ).each(RAISING, on=places.second),
}


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_function_that_raises_is_blamed_as_it_is_inline(places: Places, fault: str) -> None:
    pipeline = FAULTS[fault](numbers(places), places)
    assert blame(pipeline) == blame(pipeline.inline())


@pytest.mark.parametrize("places", MOST)
def test_blame_names_the_item_by_its_number_at_the_source(places: Places) -> None:
    odd = Pipeline(source(range, 100, 200), on=places.source).filter(operations.is_even, on=places.first)
    with pytest.raises(StageError) as caught:
        list(odd.map(Unlucky(frozenset([150])), on=places.second, name="check"))
    assert (caught.value.stage, caught.value.failures[0].index, caught.value.failures[0].item) == ("check", 50, "150")


STOPPING = {
    "map": lambda pipeline, **how: pipeline.map(operations.exhausted, **how),
    "filter": lambda pipeline, **how: pipeline.filter(operations.exhausted, **how),
    "flat_map": lambda pipeline, **how: pipeline.flat_map(lambda value: [operations.exhausted(value)], **how),
}


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("operator", STOPPING)
def test_a_function_that_raises_stop_iteration_is_blamed_for_it(places: Places, operator: str) -> None:
    with pytest.raises(StageError, match=r"on item 41:\n") as caught:
        arrived(STOPPING[operator](numbers(places), on=places.first, name="next"), places)
    assert (caught.value.stage, caught.value.failures[0].index) == ("next", 41)


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("operator", STOPPING)
def test_an_item_on_which_a_function_raises_stop_iteration_is_skipped_and_counted(
    places: Places, operator: str
) -> None:
    pipeline = STOPPING[operator](numbers(places), on=places.first, on_error=Skip())
    report = pipeline.into(stages.listed, on=places.sink).run()
    assert report.value == [value for value in range(N) if value != 41 and (value or operator != "filter")]
    assert (report.stages[1].received, report.stages[1].finished, report.stages[1].skipped) == (N, N - 1, 1)


@pytest.mark.parametrize("places", FEW)
def test_an_exception_that_cannot_travel_is_told_as_text(places: Places) -> None:
    with pytest.raises(StageError, match=r"raised Unsendable on item 5:\n  5 and 5\n"):
        list(numbers(places, 20).map(operations.raising_unsendable, on=places.first))


@pytest.mark.parametrize("places", FEW)
def test_results_before_the_one_that_raised_are_not_lost_when_it_is_skipped(places: Places) -> None:
    pipeline = numbers(places).map(Unlucky(frozenset([0, 1, 50, N - 1])), on=places.first, on_error=Skip())
    assert arrived(pipeline, places) == [value for value in range(N) if value not in (0, 1, 50, N - 1)]


# -------------------------------------------------------------------------------------------------------- policies

GENTLE = {
    "Skip": Skip(),
    "Skip of types": Skip(ValueError, KeyError),
    "Skip of a base type": Skip(Exception),
    "Skip up to a limit": Skip(limit=60),
    "DeadLetter": DeadLetter(),
    "DeadLetter of types": DeadLetter(ValueError, LookupError),
    "DeadLetter up to a limit": DeadLetter(limit=60),
    "Retry, otherwise Skip": Retry(2, otherwise=Skip()),
    "Retry, otherwise DeadLetter": Retry(1, on=ValueError, otherwise=DeadLetter()),
}
DOUBTFUL = {
    "map": lambda pipeline, **how: pipeline.map(operations.doubtful, **how),
    "filter": lambda pipeline, **how: pipeline.filter(operations.doubtful, **how),
    "flat_map": lambda pipeline, **how: pipeline.flat_map(lambda value: [operations.doubtful(value)] * 2, **how),
}


def counts(runnable: Runnable[Any]) -> tuple[object, ...]:
    """The value, the ledger, and the dead letters without their order, which several workers do not keep."""
    report = runnable.run()
    ledger = [
        (each.stage, each.received, each.finished, each.skipped, each.dead, each.sent if each.role != "sink" else 0)
        for each in report.stages
    ]
    letters = sorted(
        (letter.index, letter.stage, letter.item, repr(letter.error), letter.traceback)
        for letter in report.dead_letters
    )
    return report.value, ledger, letters


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("operator", DOUBTFUL)
@pytest.mark.parametrize("policy", ["Skip", "DeadLetter"])
def test_a_policy_leaves_the_same_items_the_same_counts_and_the_same_letters(
    places: Places, operator: str, policy: str
) -> None:
    pipeline = DOUBTFUL[operator](numbers(places), on=places.first, on_error=GENTLE[policy], name="doubtful")
    pipeline = pipeline.map(operations.increased, on=places.second)
    runnable = pipeline.into(stages.listed, on=places.sink)
    assert counts(runnable) == counts(runnable.inline())


@in_turns
@pytest.mark.parametrize("places", SOME)
@pytest.mark.parametrize("policy", GENTLE)
def test_every_policy_that_goes_on_gives_what_it_gives_inline(places: Places, policy: str) -> None:
    pipeline = numbers(places).map(operations.doubtful, on=places.first, on_error=GENTLE[policy])
    runnable = pipeline.flat_map(operations.some_listed, on=places.second).into(stages.listed, on=places.sink)
    assert counts(runnable) == counts(runnable.inline())


@pytest.mark.parametrize("places", MOST)
def test_the_ledger_counts_what_was_left_out(places: Places) -> None:
    pipeline = numbers(places, 100).map(operations.doubtful, on=places.first, on_error=Skip(), name="skipping")
    pipeline = pipeline.map(Unlucky(frozenset([10, 20, 30])), on=places.second, on_error=DeadLetter(), name="burying")
    report = pipeline.into(stages.listed, on=places.sink).run()
    told = [(each.received, each.finished, each.skipped, each.dead) for each in report.stages[1:]]
    assert told == [(100, 80, 20, 0), (80, 77, 0, 3), (77, 77, 0, 0)]
    assert [each.sent for each in report.stages[:-1]] == [100, 80, 77]


@pytest.mark.parametrize("places", FEW)
def test_a_failure_of_another_type_than_the_skipped_ones_ends_the_run(places: Places) -> None:
    pipeline = numbers(places, 8).map(operations.doubtful, on=places.first, on_error=Skip(ValueError), name="doubt")
    told = blame(pipeline)
    assert told == blame(pipeline.inline())
    assert told[:5] == (StageError, "doubt", 7, "7", "KeyError(7)")


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("kind", [Skip, DeadLetter])
def test_one_failure_more_than_the_limit_ends_the_run(places: Places, kind: type[Skip | DeadLetter]) -> None:
    on_error = kind(limit=7)
    pipeline = numbers(places).map(operations.doubtful, on=places.first, on_error=on_error, name="doubt")
    with pytest.raises(TooManyFailuresError) as caught:
        arrived(pipeline, places)
    first = caught.value.failures[0]
    assert caught.value.stage == "doubt"
    assert first.headline == "stage 'doubt' failed on more than 7 items, its limit. The last of them:"
    assert 1 <= sum(line.startswith("item ") for line in first.details) <= 5


@pytest.mark.parametrize("places", named("inline", "1 process", "1 thread", "1 fork"))
def test_the_last_failures_before_the_limit_are_listed(places: Places) -> None:
    pipeline = numbers(places).map(operations.doubtful, on=places.first, on_error=Skip(limit=7), name="doubt")
    with pytest.raises(TooManyFailuresError) as caught:
        arrived(pipeline, places)
    assert caught.value.failures[0].details[:5] == (
        "item 17: KeyError: 17",
        "item 23: ValueError: bad value 23",
        "item 27: KeyError: 27",
        "item 33: ValueError: bad value 33",
        "item 37: KeyError: 37",
    )
    assert blame(pipeline) == blame(pipeline.inline())


@pytest.mark.parametrize("places", FEW)
def test_a_limit_of_no_failures_allows_none(places: Places) -> None:
    pipeline = numbers(places).map(Unlucky(frozenset([5])), on=places.first, on_error=Skip(limit=0))
    with pytest.raises(TooManyFailuresError, match=r"failed on more than 0 items, its limit"):
        arrived(pipeline, places)


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("times", [1, 3])
def test_an_item_succeeds_on_a_later_try_in_its_place(places: Places, times: int) -> None:
    pipeline = numbers(places).map(Stubborn(times), on=places.first, on_error=Retry(3, on=Bad))
    report = pipeline.into(stages.listed, on=places.sink).run()
    assert report.value == list(range(N))
    assert (report.stages[1].skipped, report.stages[1].dead) == (0, 0)


@pytest.mark.parametrize("places", FEW)
def test_a_filter_and_a_flat_map_try_again_and_leave_nothing_of_the_failed_try(places: Places) -> None:
    on_error = Retry(2, on=Bad, backoff=0.0001)
    pipeline = numbers(places).filter(Stubborn(2), on=places.first, on_error=on_error)
    pipeline = pipeline.flat_map(Stubborn(2).twice, on=places.second, on_error=on_error)
    assert arrived(pipeline, places) == [value for value in range(1, N) for _ in range(2)]


@pytest.mark.parametrize("places", FEW)
def test_an_item_that_fails_once_more_than_it_is_tried_ends_the_run(places: Places) -> None:
    pipeline = numbers(places, 4).map(Stubborn(3), on=places.first, on_error=Retry(2, on=Bad), name="try")
    told = blame(pipeline)
    assert told[:5] == (StageError, "try", 0, "0", "Bad('try 3 of 0')")


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("otherwise", [Skip(), DeadLetter()], ids=["Skip", "DeadLetter"])
def test_an_item_that_fails_to_the_last_try_is_left_out(places: Places, otherwise: Skip | DeadLetter) -> None:
    pipeline = numbers(places).map(Stubborn(9), on=places.first, on_error=Retry(2, on=Bad, otherwise=otherwise))
    report = pipeline.into(stages.listed, on=places.sink).run()
    assert report.value == [value for value in range(N) if value % 5]
    left_out = (report.stages[1].skipped, report.stages[1].dead)
    assert left_out == ((N // 5, 0) if otherwise == Skip() else (0, N // 5))
    last_tries = sorted((letter.index, str(letter.error)) for letter in report.dead_letters)
    assert last_tries == ([] if otherwise == Skip() else [(n, f"try 3 of {n}") for n in range(0, N, 5)])


@pytest.mark.parametrize("places", FEW)
def test_a_dead_letter_has_the_item_its_number_the_stage_the_error_and_the_traceback(places: Places) -> None:
    pipeline = numbers(places).filter(operations.is_even, on=places.first)
    pipeline = pipeline.map(Unlucky(frozenset([50])), on=places.second, on_error=DeadLetter(), name="check")
    with pipeline.open() as run:
        assert list(run) == [value for value in range(0, N, 2) if value != 50]
        (letter,) = run.dead_letters
    assert (letter.stage, letter.index, letter.item, repr(letter.error)) == ("check", 50, 50, "Bad('cannot take 50')")
    lines = letter.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "operations.py" in lines[1]
    assert lines[-1] == "contract.stages.Bad: cannot take 50"


@pytest.mark.parametrize("places", FEW)
def test_a_dead_letter_whose_error_cannot_travel_has_its_traceback(places: Places) -> None:
    pipeline = numbers(places, 20).map(operations.raising_unsendable, on=places.first, on_error=DeadLetter())
    with pipeline.open() as run:
        assert list(run) == [value for value in range(20) if value != 5]
        (letter,) = run.dead_letters
    assert (letter.index, letter.item) == (5, 5)
    assert str(letter.error).endswith("5 and 5")
    assert letter.traceback.endswith("Unsendable: 5 and 5")
    if isinstance(letter.error, RemoteError):
        assert repr(letter.error) == "RemoteError('contract.operations.Unsendable', '5 and 5')"
        assert letter.error.traceback == letter.traceback


@pytest.mark.parametrize("places", FEW)
def test_an_error_that_cannot_travel_is_told_by_its_type_its_text_and_its_attributes(places: Places) -> None:
    pipeline = numbers(places, 20).map(operations.not_found, on=places.first, on_error=DeadLetter())
    letter: Any
    (letter,) = pipeline.into(stages.listed, on=places.sink).run().dead_letters
    assert (letter.error.code, letter.error.filename) == (404, "http://host/5")
    if isinstance(letter.error, RemoteError):
        assert (letter.error.type_name, letter.error.text) == ("urllib.error.HTTPError", "HTTP Error 404: Not Found")
        assert str(letter.error) == "urllib.error.HTTPError: HTTP Error 404: Not Found"
        with pytest.raises(AttributeError, match=r"^urllib\.error\.HTTPError had no attribute 'lock', or it "):
            _ = letter.error.lock
    else:
        assert not places.first.capabilities.own_process
        letter.error.close()


@pytest.mark.parametrize("places", FEW)
def test_dead_letters_are_given_to_a_function_if_there_is_one(places: Places) -> None:
    seen: list[int] = []
    pipeline = numbers(places).map(
        operations.doubtful, on=places.first, on_error=DeadLetter(to=lambda letter: seen.append(letter.index))
    )
    report = pipeline.into(stages.listed, on=places.sink).run()
    assert sorted(seen) == [value for value in range(N) if value % 10 in (3, 7)]
    assert report.dead_letters == ()


class Open:
    """A receiver of dead letters that cannot be pickled."""

    def __init__(self, path: Path) -> None:
        # The test closes it.
        self.file = path.open("w", encoding="utf-8")
        self.queue: SimpleQueue[DeadItem] = SimpleQueue()

    def take(self, letter: DeadItem) -> None:
        self.file.write(f"{letter.item}\n")


@pytest.mark.parametrize("places", [*FEW, pytest.param(SPAWNED, id="spawn")])
def test_what_receives_dead_letters_stays_in_the_main_process(places: Places, tmp_path: Path) -> None:
    taker = Open(tmp_path / "letters")
    policy = Retry(1, otherwise=DeadLetter(to=taker.take))
    pipeline = numbers(places, 20).map(operations.doubtful, on=places.first, on_error=policy)
    report = (
        pipeline.map(operations.increased, on=places.second, on_error=DeadLetter(to=taker.queue.put))
        .into(stages.listed, on=places.sink)
        .run()
    )
    taker.file.close()
    assert sorted(map(int, (tmp_path / "letters").read_text().split())) == [3, 7, 13, 17]
    assert len(report.value) == 16


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("policy", [Skip(), DeadLetter()], ids=["Skip", "DeadLetter"])
def test_each_applies_its_policy(places: Places, policy: Skip | DeadLetter) -> None:
    runnable = numbers(places).each(operations.doubtful, on=places.first, on_error=policy, name="doubt")
    assert counts(runnable)[1:] == counts(runnable.inline())[1:]


@pytest.mark.parametrize("places", FEW)
def test_to_raise_is_a_policy_too(places: Places) -> None:
    pipeline = numbers(places).map(RAISING, on=places.first, on_error=Raise())
    assert blame(pipeline) == blame(numbers(places).map(RAISING, on=places.first))


# ------------------------------------------------------------------------------------------------------- in_flight


@in_turns
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("places", MOST)
def test_operators_with_few_items_in_flight_keep_the_order(places: Places, in_flight: int) -> None:
    pipeline = (
        numbers(places, 120)
        .map(operations.increased, on=places.first, in_flight=in_flight)
        .filter(operations.letters, on=places.second, in_flight=in_flight)
        .flat_map(operations.some_listed, on=places.first, in_flight=in_flight)
        .map(operations.increased, on=places.second, in_flight=in_flight)
    )
    assert arrived(pipeline, places) == list(pipeline.inline())


@in_turns
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("places", MOST)
def test_a_sink_with_few_items_in_flight_behind_operators_gets_them_in_order(places: Places, in_flight: int) -> None:
    pipeline = numbers(places, 120).map(operations.increased, on=places.first)
    pipeline = pipeline.flat_map(operations.some_listed, on=places.second)
    runnable = pipeline.into(stages.listed, on=places.sink, in_flight=in_flight)
    assert runnable.run().value == list(pipeline.inline())


@pairwise
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("places", SEVERAL)
def test_one_bounded_operator_among_others_does_no_harm(places: Places, place: int, in_flight: int) -> None:
    pipeline: Pipeline[Any] = numbers(places, 200)
    for each, on in enumerate((places.first, places.second, places.first)):
        function = (operations.some_listed, lambda value: [value, value], lambda value: [value] * (value % 2))[each]
        pipeline = pipeline.flat_map(function, on=on, in_flight=in_flight if each == place else None)
    assert arrived(pipeline, places) == list(pipeline.inline())


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("places", SEVERAL)
def test_several_sinks_with_few_items_in_flight_get_all_of_them(places: Places, in_flight: int) -> None:
    pipeline = numbers(places, 200).map(operations.increased, on=places.first).filter(bool, on=places.second)
    values = pipeline.into(stages.listed, on=places.second, in_flight=in_flight).run().value
    assert sorted(number for part in values for number in part) == list(range(1, 201))


@pytest.mark.parametrize("places", SEVERAL)
def test_a_generator_stage_with_few_items_in_flight_between_operators_does_no_harm(places: Places) -> None:
    pipeline = numbers(places, 120).filter(operations.is_even, on=places.first)
    pipeline = pipeline.then(stages.summed, on=PROCESS, in_flight=1).flat_map(operations.some_listed, on=places.second)
    assert arrived(pipeline, places) == list(pipeline.inline())


# ----------------------------------------------------------------------------------- take, batch, window and unbatch


@in_turns
@pytest.mark.parametrize("places", EVERYWHERE)
@pytest.mark.parametrize("n", [0, 1, 250])
def test_take_stops_an_endless_source(places: Places, n: int) -> None:
    pipeline = Pipeline(source(stages.endless), on=places.source).map(operations.increased, on=places.first)
    taken = pipeline.take(n, on=places.sink)
    assert list(taken) == list(range(1, n + 1))
    assert arrived(taken.map(operations.increased, on=places.second), places) == list(range(2, n + 2))


@pytest.mark.parametrize("places", FEW)
def test_take_stops_an_endless_iterable_of_the_main_process(places: Places) -> None:
    assert list(Pipeline(iter(count())).map(str, on=places.first).take(3, on=places.sink)) == ["0", "1", "2"]


@pytest.mark.parametrize("places", SOME)
def test_take_of_more_than_there_are_gives_all(places: Places) -> None:
    assert list(numbers(places).map(operations.increased, on=places.first).take(N + 1, on=places.sink)) == [
        *range(1, N + 1)
    ]


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("n", [1, 7, 1_000])
def test_batches_are_of_one_size_but_for_the_last(places: Places, n: int) -> None:
    pipeline = numbers(places).map(operations.increased, on=places.first).batch(n, on=places.sink)
    assert arrived(pipeline, places) == [list(range(1, N + 1))[at : at + n] for at in range(0, N, n)]


@pytest.mark.parametrize("places", FEW)
def test_unbatch_undoes_batch(places: Places) -> None:
    pipeline = numbers(places).map(operations.increased, on=places.first).batch(7, on=places.sink)
    pipeline = pipeline.map(lambda batch: batch[::-1], on=places.second).unbatch(on=places.sink)
    assert arrived(pipeline, places) == list(pipeline.inline())
    assert sorted(pipeline) == list(range(1, N + 1))


@in_turns
@pytest.mark.parametrize("places", MOST)
@pytest.mark.parametrize("n,step", [(1, 1), (2, 1), (7, 3), (3, 3), (3, 7), (N, 1), (N + 1, 1)])
def test_windows_are_neighbours_in_the_order_of_the_source(places: Places, n: int, step: int) -> None:
    pipeline = numbers(places).map(operations.increased, on=places.first).window(n, step=step, on=places.sink)
    values = range(1, N + 1)
    assert arrived(pipeline, places) == [tuple(values[at : at + n]) for at in range(0, N - n + 1, step)]


@pytest.mark.parametrize("on", [THREAD, PROCESS, INLINE], ids=["thread", "process", "inline"])
def test_a_window_leaves_as_its_last_item_comes(on: Executor, gate: Gate) -> None:
    pipeline = Pipeline(source(operations.pausing, gate, 5, 3), on=PROCESS).window(3, on=on)
    with pipeline.open() as run:
        windows = iter(run)
        assert [next(windows) for _ in range(3)] == [(0, 1, 2), (1, 2, 3), (2, 3, 4)]
        gate.release()
        assert list(windows) == [(3, 4, 5), (4, 5, 6), (5, 6, 7)]


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("on", [THREAD, PROCESS], ids=["thread", "process"])
def test_windows_are_whole_with_fewer_items_in_flight_than_one_holds(on: Executor, step: int) -> None:
    pipeline = Pipeline(source(stages.numbers, 10), on=PROCESS).map(int, on=Threads(2))
    windows = list(pipeline.window(4, step=step, on=on, in_flight=1))
    assert windows == [tuple(range(at, at + 4)) for at in range(0, 7, step)]


WAITING = {
    "a source": lambda pipeline: pipeline,
    "a map": lambda pipeline: pipeline.map(int, on=THREAD),
    "several workers in order": lambda pipeline: pipeline.map(int, on=Threads(3)),
    "several processes in order": lambda pipeline: pipeline.filter(lambda value: value != 1, on=Processes(2)),
}


@pytest.mark.parametrize("before", WAITING)
@pytest.mark.parametrize("on", [THREAD, PROCESS, INLINE], ids=["thread", "process", "inline"])
def test_a_short_batch_leaves_while_the_source_waits(before: str, on: Executor, gate: Gate) -> None:
    pipeline = WAITING[before](Pipeline(source(operations.pausing, gate, 5, 3), on=PROCESS))
    expected = [value for value in range(8) if "processes" not in before or value != 1]
    with pipeline.batch(100, within=0.1, on=on).open() as run:
        batches = iter(run)
        early: list[int] = []
        while len(early) < len(expected) - 3:
            early += next(batches)
        gate.release()
        assert early + [value for batch in batches for value in batch] == expected


@pytest.mark.parametrize("places", FEW)
def test_batches_that_fill_in_time_are_of_one_size(places: Places) -> None:
    pipeline = numbers(places).map(operations.increased, on=places.first).batch(50, within=60, on=THREAD)
    assert [len(batch) for batch in arrived(pipeline, places)] == [50] * 6


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("on", [THREAD, PROCESS], ids=["thread", "process"])
def test_a_batch_with_fewer_in_flight_than_it_holds_leaves_in_time(on: Executor, in_flight: int) -> None:
    """A batch can never fill here: whoever waits for more must not hold the slots of what it has."""
    pipeline = Pipeline(source(stages.numbers, 10), on=PROCESS).map(int, on=Threads(2))
    batches = list(pipeline.batch(4, within=0.05, on=on, in_flight=in_flight))
    assert [value for batch in batches for value in batch] == list(range(10))
    assert max(map(len, batches)) <= 4


# ------------------------------------------------------------------------------------------------ one slow item

# Items of 1 MiB that there are.
LARGE = 400
# Of them may have been made: 64 MiB too early, and what is under way.
AHEAD = 160


@pytest.mark.parametrize("on", [Threads(4), Processes(4)], ids=["threads", "processes"])
def test_what_comes_too_early_is_bounded_while_one_item_is_slow(on: Executor, gate: Gate, journal: Journal) -> None:
    pipeline = Pipeline(source(operations.large, LARGE, journal), on=PROCESS).map(Held(gate, 5), on=on)
    with meanwhile(pipeline.into(operations.numbers_of, on=THREAD).run) as report:
        try:
            gate.wait_held()
            wait_asleep(int(journal.lines[0]))
            made = len(journal.lines) - 1
        finally:
            gate.release()
        assert report.result().value == list(range(LARGE))
    assert made <= AHEAD


@pytest.mark.parametrize("on", [Threads(4), Processes(4)], ids=["threads", "processes"])
def test_small_items_come_in_order_once_the_slow_one_among_them_is_done(on: Executor, gate: Gate) -> None:
    pipeline = Pipeline(source(operations.small, 20_000), on=PROCESS).map(Held(gate, 7), on=on)
    with meanwhile(pipeline.into(operations.numbers_of, on=THREAD).run) as report:
        gate.wait_held()
        gate.release()
        assert report.result().value == list(range(20_000))


@pytest.mark.parametrize("in_flight", [1, 3])
def test_with_few_in_flight_at_the_end_the_source_waits_for_the_slow_item(
    in_flight: int, gate: Gate, journal: Journal
) -> None:
    pipeline = Pipeline(source(operations.large, 20, journal), on=PROCESS).map(Held(gate, 5), on=Threads(4))
    with meanwhile(pipeline.into(operations.numbers_of, on=THREAD, in_flight=in_flight).run) as report:
        try:
            gate.wait_held()
            wait_asleep(int(journal.lines[0]))
            made = len(journal.lines) - 1
        finally:
            gate.release()
        assert report.result().value == list(range(20))
    assert made <= 5 + in_flight
