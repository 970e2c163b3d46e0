"""Durable runs with generator stages: they run again, and their items that are done are dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from placings import MOST, Placing

from chainpump import (
    DeadLetter,
    Inline,
    Journal,
    JournalError,
    Pipeline,
    Processes,
    Skip,
    StageError,
    Start,
    Threads,
    TooManyFailuresError,
    UnpicklableItemError,
    source,
)
from chainpump.durable.journal_file import read, read_letters
from chainpump.plan.generator_stages import batch
from chainpump.worker import checkpoint_input


def numbers(count: int) -> Iterator[int]:
    """The items of a source that is a function."""
    yield from range(count)


def add_one(number: int) -> int:
    """A stage."""
    return number + 1


def twice(number: int) -> list[int]:
    """A stage that makes items."""
    return [number, number]


def summed(items: Iterable[int]) -> Iterator[int]:
    """A generator stage whose items depend on all items before."""
    total = 0
    for item in items:
        total += item
        yield total


def pairs(items: Iterable[int]) -> Iterator[object]:
    """A generator stage of which one item cannot be sent to a process."""
    for item in items:
        yield (each for each in ()) if item == 15 else item


def sum_below_100(group: list[int]) -> int:
    """A stage that fails."""
    total = sum(group)
    if total > 100:
        raise ValueError(total)
    return total


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal"


def taken(chain: Pipeline[Any], most: int, **options: Any) -> list[Any]:
    """The first items of a durable run, which is left then: the last one is not done."""
    found = []
    with chain.open(**options) as run:
        for item in run:
            found.append(item)
            if len(found) == most:
                break
    return found


@pytest.mark.parametrize("placing", MOST)
def test_loop_behind_generator_stages_goes_on_at_the_item_that_it_had_not_finished(
    placing: Placing, journal: Path
) -> None:
    on = placing.stage
    chain = Pipeline(source(numbers, 60), on=placing.source).flat_map(twice, on=on)
    chain = chain.then(summed, on=on).batch(3, on=on).map(sum, on=on)
    whole = [sum(group) for group in batch(summed(number for number in range(60) for _ in range(2)), 3)]
    first = taken(chain, 13, journal=journal)
    assert [*first[:-1], *taken(chain, 100, journal=journal)] == whole
    assert list(read(journal).done) == [(0, 40)]
    assert read(journal).complete


# The checkpoints of the first attempt are not a matter of time in a thread and in a fork of this process.
@pytest.mark.parametrize("on", [Threads(1), Inline(), Processes(1, start_method="fork")], ids=repr)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_is_in_front_of_batches_is_not_done_again(
    on: Threads | Inline | Processes, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_input, "EVERY_NS", 0)
    made: list[int] = []
    begun: list[int] = []

    def numbers_from(count: int, start: Start = Start(0)) -> Iterator[int]:
        begun.append(start)
        yield from range(start, count)

    def seen(number: int) -> int:
        made.append(number)
        return number

    chain = Pipeline(source(numbers_from, 300), on=Threads(1)).map(seen, on=Threads(1)).flat_map(twice, on=on)
    # At most one checkpoint is found in each frame.
    few: dict[str, Any] = {"on": on, "in_flight": 8}
    chain = chain.enumerate(**few).batch(4, **few).unbatch(**few).map(str, on=on)
    first = taken(chain, 400, journal=journal)
    made.clear()
    assert [*first[:-1], *taken(chain, 1000, journal=journal)] == [str((n, n // 2)) for n in range(600)]
    assert begun == [0, made[0]]
    assert made[0] > 100
    assert made[-1] == 299


def test_items_of_a_generator_stage_are_done_beyond_a_gap(journal: Path) -> None:
    chain = Pipeline(range(24)).batch(2, on=Threads(1)).map(sum, on=Threads(2), ordered=False, returns=int)
    position, seen = "", []
    for most in (3, 4, 100):
        with chain.open(start=position) as run:
            for count, item in enumerate(run, start=1):
                seen.append(item)
                position = run.position
                if count == most:
                    break
    assert sorted(seen) == list(range(1, 48, 4))


def test_each_behind_a_batch_gets_every_batch_once(journal: Path) -> None:
    stored: list[list[int]] = []

    def store(batch: list[int]) -> None:
        if batch == [18, 19, 20] and stored[-1:] != [[]]:
            stored.append([])
            raise OSError("the disk is full")
        stored.append(batch)

    chain = Pipeline(range(30)).batch(3, on=Threads(1)).each(store, on=Threads(1))
    with pytest.raises(OSError, match="the disk is full"):
        chain.run(journal=journal)
    assert chain.run(journal=journal).done_before == 6
    assert [each for each in stored if each] == [list(range(n, n + 3)) for n in range(0, 30, 3)]


GROWN = "the input has 9 items, and had 6 in an earlier attempt. The last item that stage 'batch(4)' had made"


@pytest.mark.parametrize("on", [Threads(1), Processes(1)], ids=repr)
def test_run_warns_of_an_input_that_has_grown_behind_a_short_batch_and_of_no_other(
    on: Threads | Processes, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def of(count: int) -> Pipeline[list[int]]:
        return Pipeline(source(numbers, count), on=on).batch(4, on=Threads(1))

    assert taken(of(6), 100, journal=journal) == [[0, 1, 2, 3], [4, 5]]
    assert taken(of(6), 100, journal=journal) == []
    assert "left out" not in caplog.text
    # The journal knows batches by their numbers. Batch 1 would be [4, 5, 6, 7].
    assert taken(of(9), 100, journal=journal) == [[8]]
    assert caplog.text.count(GROWN) == 1
    assert taken(of(9), 100, journal=journal) == []
    assert caplog.text.count(GROWN) == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_growth_behind_a_short_batch_counts_also_after_a_run_that_was_broken_off_if_the_batch_is_done(
    is_done: bool, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def of(count: int) -> Pipeline[list[int]]:
        return Pipeline(source(numbers, count)).batch(4, on=Threads(1))

    with of(6).open(journal=Journal(journal, autocommit=False)) as run:
        for batch in run:
            if is_done or batch != [4, 5]:
                run.commit()
            if batch == [4, 5]:
                break
    assert not read(journal).complete
    assert taken(of(9), 100, journal=journal) == ([[8]] if is_done else [[4, 5, 6, 7], [8]])
    assert caplog.text.count(GROWN) == is_done


def test_stage_that_stops_early_does_so_in_each_attempt(journal: Path) -> None:
    chain = Pipeline(range(1000)).take(10, on=Threads(1)).map(add_one, on=Threads(2))
    assert taken(chain, 4, journal=journal) == [1, 2, 3, 4]
    assert taken(chain, 100, journal=journal) == [4, 5, 6, 7, 8, 9, 10]
    assert taken(chain, 100, journal=journal) == []


def test_failures_of_a_later_attempt_have_the_numbers_of_the_first_one(journal: Path) -> None:
    def of(count: int) -> Pipeline[int]:
        chain = Pipeline(range(count)).batch(3, on=Threads(1))
        return chain.map(sum_below_100, on=Threads(1), on_error=DeadLetter(limit=1))

    assert taken(of(36), 6, journal=journal) == [3, 12, 21, 30, 39, 48]
    with pytest.raises(TooManyFailuresError, match="item 12: ValueError: 111"):
        taken(of(60), 100, journal=journal)
    assert [letter.index for letter in read_letters(journal)] == [11]


@pytest.mark.parametrize("on", [Threads(1), Processes(1)], ids=repr)
def test_failure_in_front_of_a_generator_stage_names_the_item_of_the_source(
    on: Threads | Processes, journal: Path
) -> None:
    def of(count: int) -> Pipeline[list[int]]:
        return Pipeline(range(count)).map(_at_most_30, on=on).batch(2, on=Threads(1))

    assert len(taken(of(20), 8, journal=journal)) == 8
    with pytest.raises(StageError, match="item 31"):
        taken(of(60), 100, journal=journal)


def _at_most_30(number: int) -> int:
    if number > 30:
        raise ValueError(number)
    return number


def test_item_of_a_generator_stage_that_cannot_be_sent_has_the_number_of_the_first_attempt(journal: Path) -> None:
    def of(count: int) -> Pipeline[str]:
        return Pipeline(range(count)).then(pairs, on=Processes(1)).map(str, on=Threads(1))

    assert len(taken(of(15), 8, journal=journal)) == 8
    with pytest.raises(UnpicklableItemError, match="yielded item 15"):
        taken(of(40), 100, journal=journal)


REFUSED: list[tuple[Callable[[Pipeline[int]], Pipeline[Any]], str]] = [
    (lambda chain: chain.then(summed, on=Threads(2)), "stage 'summed' cannot have a journal: .* the 2 workers of"),
    (
        lambda chain: chain.map(add_one, on=Threads(2), ordered=False).batch(2),
        r"stage 'batch\(2\)' cannot have a journal: .* the results of stage 'add_one' come in any order",
    ),
    (lambda chain: chain.batch(2, within=1.0), "makes lists that depend on how fast items come"),
    (lambda chain: chain.shuffle(3), "shuffles in another order each time.\n  Give it a seed"),
    (lambda chain: chain.map(add_one, on_error=Skip()).take(3), "'add_one' leaves out items that"),
    (lambda chain: Pipeline.merge(chain, chain), r"the items of source 'merge\(range, range\)' come in any order"),
    (lambda chain: Pipeline.concat(chain, chain.map(add_one, on_error=Skip())), "'add_one' leaves out items that"),
]


@pytest.mark.parametrize("added, why", REFUSED)
def test_generator_stage_that_would_not_make_the_same_items_again_is_refused(
    added: Callable[[Pipeline[int]], Pipeline[Any]], why: str, journal: Path
) -> None:
    with pytest.raises(JournalError, match=why):
        added(Pipeline(range(3))).open(journal=journal)
    assert not journal.exists()


def test_generator_stages_that_make_the_same_items_again_may_have_any_stage_behind_them(journal: Path) -> None:
    chain = Pipeline(range(9)).shuffle(3, seed=1, on=Inline()).batch(by=float, most=9, on=Inline())
    last = chain.map(sum, on=Threads(2), ordered=False, returns=int, on_error=Skip())
    assert sum(taken(last, 100, journal=journal)) == 36
