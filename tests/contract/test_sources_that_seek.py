"""Sources that can seek: a durable run gives them the number of their first item that is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from placings import MOST, Placing

from chainpump import Journal, Pipeline, StageOptionError, StageTypeError, Start, Tasks, Threads, source
from chainpump.durable.journal_file import read


def began_at(count: int, *, start: Start = Start(0)) -> Iterator[tuple[int, int]]:
    """Each item with the number at which the source has begun."""
    for number in range(start, count):
        yield int(start), number


async def began_later(count: int, start: Start = Start(0)) -> AsyncIterator[tuple[int, int]]:
    """The same as an async generator."""
    for number in range(start, count):
        yield int(start), number


def same(item: tuple[int, int]) -> tuple[int, int]:
    """A stage."""
    return item


def at_five(count: int, start: Start = Start(5)) -> Iterator[int]:
    """Its items cannot be numbered from 0 on."""
    yield from range(start, count)


def without_default(start: Start) -> Iterator[int]:
    """Somebody has to give the number."""
    yield from range(start, 10)


def in_two_runs(chain: Pipeline[Any], path: Path, **options: Any) -> list[Any]:
    """What a run gives after another one has done 10 items."""
    # Here the same item differs between the runs.
    journal = Journal(path, check_input=False)
    with chain.open(journal=journal, **options) as run:
        items = iter(run)
        for _ in range(11):
            next(items)
    with chain.open(journal=journal, **options) as run:
        return list(run)


@pytest.mark.parametrize("placing", MOST)
def test_source_begins_at_the_first_item_that_is_needed(placing: Placing, tmp_path: Path) -> None:
    chain = Pipeline(source(began_at, 30), on=placing.source).map(same, on=placing.stage)
    assert in_two_runs(chain, tmp_path / "journal") == [(10, number) for number in range(10, 30)]
    assert list(read(tmp_path / "journal").done) == [(0, 30)]


@pytest.mark.parametrize(
    "first", [Pipeline(source(began_later, 30), on=Tasks()), Pipeline(source(partial(began_at, 30)), on=Threads(1))]
)
@pytest.mark.parametrize("check_items", [False, True])
def test_source_of_any_kind_can_seek(first: Pipeline[Any], check_items: bool, tmp_path: Path) -> None:
    after = in_two_runs(first, tmp_path / "journal", check_items=check_items)
    assert after == [(10, number) for number in range(10, 30)]


def test_items_behind_the_first_one_may_be_done() -> None:
    with Pipeline(source(began_at, 6), on=Threads(1)).open(start="") as run:
        items = iter(run)
        assert [next(items) for _ in range(2)] == [(0, 0), (0, 1)]
        # As if item 2 were still in progress.
        position = run.position.replace("[[0,2]]", "[[0,2],[3,4]]")
    with Pipeline(source(began_at, 6), on=Threads(1)).open(start=position) as run:
        assert list(run) == [(2, 2), (2, 4), (2, 5)]


def test_source_whose_start_the_program_gives_is_left_as_it_is(tmp_path: Path) -> None:
    chain = Pipeline(source(began_at, 30, start=Start(4)), on=Threads(1))
    assert in_two_runs(chain, tmp_path / "journal") == [(4, number) for number in range(14, 30)]


def test_start_is_zero_without_a_journal() -> None:
    assert list(Pipeline(source(began_at, 2), on=Threads(1))) == [(0, 0), (0, 1)]


def test_source_that_does_not_begin_at_zero_is_refused() -> None:
    with pytest.raises(StageTypeError, match=r"'start', and does not begin at item 0 without it .*\n.*= Start\(0\)"):
        Pipeline(source(at_five, 10))
    with pytest.raises(StageTypeError, match=r"(?s)missing a required argument: 'start'.* not begin at item 0"):
        # A type checker sees the missing argument, too.
        Pipeline(source(without_default))  # type: ignore[call-arg]
    assert list(Pipeline(source(without_default, Start(8)), on=Threads(1))) == [8, 9]


def test_start_is_a_whole_number() -> None:
    assert repr(Start(3) + 1) == "4"
    assert repr(Start(3)) == "Start(3)"
    with pytest.raises(StageOptionError, match="Start must be a whole number of at least 0 but got: -1"):
        Start(-1)
