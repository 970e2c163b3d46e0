"""Durable runs that end in a stage: what `each` has done is known, and a sink of all items commits."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from placings import MOST, WITH_WORKERS, Placing

from chainpump import (
    DeadLetter,
    Executor,
    Inline,
    JournalError,
    Pipeline,
    Processes,
    Tasks,
    Threads,
    WorkerLostError,
    commit,
    sink,
    source,
)
from chainpump.durable.journal_file import read, read_letters
from support.gate import LIMIT, Gate
from support.stored_rows import append, store_by_fours, stored_in


def numbers(count: int) -> Iterator[int]:
    """The items of a source that is a function."""
    yield from range(count)


def same(number: int) -> int:
    """A stage."""
    return number


def is_early(number: int) -> bool:
    """A stage that drops the last items of 40."""
    return number < 31


def total(items: Iterable[int]) -> int:
    """A sink that never commits."""
    return sum(items)


def first_ten(items: Iterable[int]) -> int:
    """A sink that does not take all items."""
    taken = 0
    for _ in items:
        commit()
        taken += 1
        if taken == 10:
            break
    return taken


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal"


@pytest.mark.parametrize("placing", MOST)
def test_sink_goes_on_behind_its_last_commit(placing: Placing, journal: Path, tmp_path: Path) -> None:
    path, stage = tmp_path / "stored", placing.stage
    # Behind its last item there are items that a stage has dropped: they are done, too.
    kept = Pipeline(source(numbers, 40), on=placing.source).map(same, on=stage).filter(is_early, on=stage)
    with pytest.raises(ValueError, match="22"):
        kept.into(sink(store_by_fours, path, 22), on=placing.sink).run(journal=journal)
    assert list(read(journal).done) == [(0, 20)]
    report = kept.into(sink(store_by_fours, path, None), on=placing.sink).run(journal=journal)
    assert report.value == 11
    assert stored_in(path) == list(range(31))
    assert list(read(journal).done) == [(0, 40)]
    assert read(journal).complete


@pytest.mark.parametrize("placing", WITH_WORKERS)
def test_each_worker_of_a_sink_commits_what_it_has_taken(placing: Placing, journal: Path, tmp_path: Path) -> None:
    on = Processes(3) if isinstance(placing.sink, Processes) else Threads(3)
    chain = Pipeline(source(numbers, 200), on=placing.source).map(same, on=placing.stage)
    report = chain.into(sink(store_by_fours, tmp_path / "stored", None), on=on).run(journal=journal)
    # With several workers, the value is a list.
    values: Any = report.value
    assert sum(values) == 200
    assert sorted(stored_in(tmp_path / "stored")) == list(range(200))
    assert list(read(journal).done) == [(0, 200)]


@pytest.mark.parametrize("on", [Inline(), Threads(1)], ids=repr)
def test_commit_between_the_results_of_an_item_leaves_the_item_to_be_done(on: Executor, journal: Path) -> None:
    def take_three(items: Iterable[int]) -> None:
        taken = iter(items)
        assert [next(taken) for _ in range(3)] == [0, 0, 1]
        commit()
        raise ValueError("three are enough")

    chain = Pipeline(range(4)).flat_map(lambda number: [number, number], on=on, returns=list[int])
    with pytest.raises(ValueError, match="three are enough"):
        chain.into(take_three, on=on).run(journal=journal)
    assert list(read(journal).done) == [(0, 1)]


def test_sink_that_never_commits_is_warned_of_and_its_journal_is_not_complete(
    journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "chainpump"):
            assert Pipeline(range(5)).into(total, on=Threads(1)).run(journal=journal).value == 10
        assert "sink 'total' has taken 5 items and not committed them" in caplog.text
        caplog.clear()
        assert not read(journal).complete
        assert not read(journal).done


def test_journal_of_a_sink_that_has_stopped_early_is_not_complete(journal: Path) -> None:
    chain = Pipeline(source(numbers, 1000), on=Threads(1)).into(first_ten, on=Threads(1), may_stop=True)
    assert [chain.run(journal=journal).value for _ in range(2)] == [10, 10]
    assert list(read(journal).done) == [(0, 20)]
    assert not read(journal).complete


def test_commit_does_nothing_outside_of_a_durable_run(tmp_path: Path) -> None:
    assert store_by_fours(range(6), tmp_path / "stored", None) == 6
    assert Pipeline(range(6)).into(sink(store_by_fours, tmp_path / "stored", None), on=Threads(1)).run().value == 6
    commit()


def test_commit_of_a_run_inside_a_sink_is_not_one_of_the_sink(journal: Path) -> None:
    def run_another(items: Iterable[int]) -> None:
        inner = Pipeline(range(3)).each(lambda _: commit(), on=Threads(1))
        for number in items:
            if number == 5:
                inner.run()
                raise ValueError(number)

    with pytest.raises(ValueError, match="5"):
        Pipeline(range(9)).into(run_another, on=Threads(1)).run(journal=journal)
    assert not read(journal).done


def test_commit_of_another_thread_is_refused(journal: Path) -> None:
    def commit_elsewhere(items: Iterable[int]) -> None:
        for _ in items:
            asyncio.run(asyncio.to_thread(commit))

    with pytest.raises(JournalError, match="in another thread than the one that takes the items"):
        Pipeline(range(3)).into(commit_elsewhere, on=Threads(1)).run(journal=journal)


class KilledOnce:
    """Kills its process at some items, the first time that each comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> None:
        """Store the item, or kill the process."""
        mark = self.folder / f"killed at {number}"
        if number % 50 == 49 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        append(self.folder / "stored", [number])


def test_no_item_is_missing_that_a_replaced_worker_has_done(journal: Path, tmp_path: Path) -> None:
    chain = Pipeline(source(numbers, 200), on=Threads(1)).each(KilledOnce(tmp_path), on=Processes(2, restarts=4))
    chain.run(journal=journal)
    assert set(stored_in(tmp_path / "stored")) == set(range(200))
    assert list(read(journal).done) == [(0, 200)]
    assert read(journal).complete


@pytest.mark.parametrize("on", [Threads(1), Processes(1), Inline(), Tasks(1)], ids=repr)
def test_each_that_fails_or_is_cancelled_has_told_all_that_it_has_done(on: Executor, journal: Path) -> None:
    def fail_at_30(number: int) -> None:
        if number == 30:
            raise ValueError(number)

    async def fail_later(number: int) -> None:
        fail_at_30(number)

    chain = Pipeline(source(numbers, 60), on=Threads(1))
    function: Callable[[int], object] = fail_later if isinstance(on, Tasks) else fail_at_30
    with pytest.raises(ValueError, match="30"):
        chain.each(function, on=on, in_flight=1).run(journal=journal, journal_every=100)
    assert list(read(journal).done) == [(0, 30)]


def test_worker_that_is_killed_loses_only_what_it_has_not_told(journal: Path, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:

        def hold_at_30(number: int) -> None:
            if number == 30:
                gate.hold(number)

        chain = Pipeline(source(numbers, 60), on=Threads(1)).each(hold_at_30, on=Processes(1), in_flight=1)
        with chain.open(journal=journal, journal_every=0.01) as run:
            pid = gate.wait_held()
            # A thread of the worker tells it, though the function does not return.
            until = time.monotonic() + LIMIT
            while list(read(journal).done) != [(0, 30)]:
                assert time.monotonic() < until
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerLostError):
                run.result()
    assert list(read(journal).done) == [(0, 30)]


def test_item_whose_task_has_not_ended_is_not_done_though_later_ones_are(journal: Path) -> None:
    async def wait_at_2(number: int) -> int:
        if number == 2:
            await asyncio.sleep(1000)
        return number

    chain = Pipeline(source(numbers, 40), on=Threads(1)).map(wait_at_2, on=Tasks(4), ordered=False, returns=int)
    with chain.open(journal=journal, grace=0.0) as run:
        items = iter(run)
        taken = [next(items) for _ in range(2)]
        run.commit()
    assert sorted(taken) == [0, 1]
    assert 2 not in read(journal).done


def refuse_sevens(number: int, folder: Path) -> None:
    """Refuse some items, the first time."""
    if number % 7 == 0 and not (folder / "mended").exists():
        raise ValueError(number)


def test_each_on_processes_does_dead_letters_again(journal: Path, tmp_path: Path) -> None:
    each = partial(refuse_sevens, folder=tmp_path)
    chain = Pipeline(source(numbers, 30), on=Threads(1)).each(each, on=Processes(2), on_error=DeadLetter())
    chain.run(journal=journal)
    assert len(list(read_letters(journal))) == 5
    (tmp_path / "mended").touch()
    chain.retry(journal)
    assert list(read_letters(journal)) == []
    assert list(read(journal).done) == [(0, 30)]
