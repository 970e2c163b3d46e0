"""Durable runs on other machines: what is done is not done again. The other machines are this one, twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chainpump import Hosts, Pipeline, Processes, RunError, Threads, sink, source
from chainpump.durable.journal_file import read
from cluster import work
from support.gate import Journal
from support.stored_rows import store_by_fours, stored_in

TWO = Hosts(["localhost", "localhost"], workers=2)
REPLACED = Hosts(["localhost", "localhost"], workers=2, restarts=3)


def numbers(count: int) -> Iterator[int]:
    """The items of a source that is a function."""
    yield from range(count)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a run is."""
    return tmp_path / "run.journal"


def test_loop_behind_machines_goes_on_at_the_item_that_it_had_not_finished(path: Path) -> None:
    chain = Pipeline(source(numbers, 300), on=Threads(1)).map(work.doubled, on=TWO)
    first = []
    with chain.open(journal=path) as run:
        for item in run:
            first.append(item)
            if len(first) == 100:
                break
    with chain.open(journal=path) as run:
        assert [*first[:-1], *run] == list(range(0, 600, 2))
    assert read(path).complete


def test_each_on_machines_is_done_with_what_it_has_done(path: Path, tmp_path: Path) -> None:
    chain = Pipeline(source(numbers, 200), on=Processes(1)).map(work.doubled, on=TWO)
    failing = chain.each(partial(work.stored_below, tmp_path / "stored", 200), on=TWO)
    with pytest.raises(ValueError, match="200"):
        failing.run(journal=path, journal_every=0.05)
    before = stored_in(tmp_path / "stored")
    done = read(path).done
    assert {number // 2 for number in before} >= {number for start, stop in done for number in range(start, stop)}
    chain.each(partial(work.stored_below, tmp_path / "stored", 400), on=TWO).run(journal=path)
    after = stored_in(tmp_path / "stored")[len(before) :]
    assert not [number for number in after if number // 2 in done]
    assert {*before, *after} == set(range(0, 400, 2))
    assert read(path).complete


def test_work_that_is_done_again_after_the_loss_of_a_machine_is_done_once(path: Path, journal: Journal) -> None:
    stored: list[int] = []
    chain = Pipeline(source(numbers, 300), on=Threads(1)).tap(
        partial(work.ending_its_machine, 150, journal), on=REPLACED
    )
    chain.each(stored.append, on=Threads(1)).run(journal=path)
    assert journal.lines == ["died"]
    assert stored == list(range(300))
    assert list(read(path).done) == [(0, 300)]
    assert read(path).complete


def test_sink_on_another_machine_commits(path: Path, tmp_path: Path) -> None:
    stored, one = tmp_path / "stored", Hosts(["localhost"])
    chain = Pipeline(source(numbers, 40), on=one).map(work.doubled, on=TWO)
    with pytest.raises(ValueError, match="44"):
        chain.into(sink(store_by_fours, stored, 44), on=one).run(journal=path)
    assert list(read(path).done) == [(0, 20)]
    assert chain.into(sink(store_by_fours, stored, None), on=one).run(journal=path).value == 20
    assert stored_in(stored) == list(range(0, 80, 2))
    assert read(path).complete


def test_run_that_loses_its_machine_goes_on(path: Path, journal: Journal) -> None:
    chain = Pipeline(source(numbers, 300), on=Threads(1))
    each = partial(work.ending_its_machine, 150, journal)
    with pytest.raises(RunError, match="lost"):
        chain.each(each, on=TWO).run(journal=path)
    assert not read(path).complete
    chain.each(each, on=TWO).run(journal=path)
    assert list(read(path).done) == [(0, 300)]
