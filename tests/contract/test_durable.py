"""Durable runs: what is done is not done again, wherever the stages run and however the first program has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from placings import MOST, Placing

from chainpump import (
    DeadLetter,
    Executor,
    Inline,
    Journal,
    JournalError,
    Pipeline,
    Processes,
    Report,
    Runnable,
    Skip,
    StageError,
    StageOptionError,
    Tasks,
    Threads,
    source,
)
from chainpump.durable.content import Change
from chainpump.durable.journal_file import JournalFile, read, read_letters
from chainpump.durable.reserve import LEAST
from support import durable_program, durable_sink
from support.durable_program import ITEMS, PLACINGS, runnable, wanted
from support.gate import LIMIT, WHOLE, Gate


def numbers(count: int) -> Iterator[int]:
    """The items of a source that is a function."""
    yield from range(count)


def double(number: int) -> int:
    """A stage."""
    return 2 * number


def no_third(number: int) -> bool:
    """A stage that drops items."""
    return number % 3 != 0


def twice(number: int) -> list[int]:
    """A stage that makes items."""
    return [number, number]


def fail_at_30(number: int) -> int:
    """A stage that fails."""
    if number == 30:
        raise ValueError(number)
    return number


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal"


@pytest.mark.parametrize("placing", MOST)
def test_loop_that_is_left_goes_on_at_the_item_that_it_had_not_finished(placing: Placing, journal: Path) -> None:
    stage = placing.stage
    chain = Pipeline(source(numbers, 40), on=placing.source).map(double, on=stage).filter(no_third, on=stage)
    whole = list(chain)
    first = []
    with chain.open(journal=journal) as run:
        for item in run:
            first.append(item)
            if len(first) == 11:
                break
    with chain.open(journal=journal) as run:
        assert [*first[:-1], *run] == whole
    with chain.open(journal=journal) as run:
        assert list(run) == []
    assert read(journal).complete


def test_item_of_which_only_some_results_were_taken_is_made_again(journal: Path) -> None:
    chain = Pipeline(range(4)).flat_map(twice, on=Threads(2))
    with chain.open(journal=journal) as run:
        items = iter(run)
        assert [next(items) for _ in range(4)] == [0, 0, 1, 1]
    with chain.open(journal=journal) as run:
        assert list(run) == [1, 1, 2, 2, 3, 3]


def test_only_committed_items_are_done_from_the_first_commit_on(journal: Path) -> None:
    chain = Pipeline(range(20)).map(double, on=Threads(2))
    with chain.open(journal=journal) as run:
        for item in run:
            if item == 10:
                run.commit()
            if item == 20:
                break
    with chain.open(journal=journal) as run:
        assert next(iter(run)) == 12


def test_nothing_is_done_without_a_commit_if_the_journal_wants_commits(journal: Path) -> None:
    chain = Pipeline(range(5)).map(double, on=Threads(1))
    for _ in range(2):
        with chain.open(journal=Journal(journal, autocommit=False)) as run:
            assert list(run) == [0, 2, 4, 6, 8]
    with chain.open(journal=Journal(journal, autocommit=False)) as run:
        assert list(run) == [0, 2, 4, 6, 8]
        run.commit()
    with chain.open(journal=journal) as run:
        assert list(run) == []


def test_commit_does_nothing_in_a_run_without_a_journal() -> None:
    with Pipeline(range(3)).open() as run:
        for _ in run:
            run.commit()
    assert run.status == "completed"


@pytest.mark.parametrize("placing", PLACINGS)
def test_killed_program_goes_on_and_repeats_nothing_that_was_recorded(placing: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    command = [sys.executable, durable_program.__file__, str(tmp_path), placing]
    folder = str(Path(durable_program.__file__).parents[1])
    with Gate(tmp_path) as gate:
        program = subprocess.Popen(command, start_new_session=True, env={**os.environ, "PYTHONPATH": folder})
        try:
            gate.wait_held()
            until = time.monotonic() + LIMIT
            while not read(journal).done.count:
                assert time.monotonic() < until
                time.sleep(0.01)
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait(WHOLE)
        gate.held.unlink()
    done, stated = read(journal).done, read(journal).again_at_most
    before = [int(line) for line in (tmp_path / "stored").read_text().split()]
    # The other program, here: what it stores is what is left.
    report = runnable(tmp_path, placing).run(journal=journal)
    after = [int(line) for line in (tmp_path / "stored").read_text().split()][len(before) :]
    assert sorted({*before, *after}) == wanted()
    assert not [number for number in after if abs(number) - 1 in done]
    assert max(Counter(after).values()) == 1
    again = {abs(number) for number in before} & {abs(number) for number in after}
    assert len(again) <= report.again_at_most <= stated
    content = read(journal)
    assert list(content.done) == [(0, ITEMS)]
    assert content.complete
    # Item 19 has failed, in one program or in both, and its letter is there once.
    assert [(letter.stage, letter.index, letter.item) for letter in read_letters(journal)] == [("twice", 19, 20)]


def test_dead_letters_and_errors_of_a_later_attempt_have_the_numbers_of_the_source(journal: Path) -> None:
    chain = Pipeline(range(100, 150)).map(double, on=Threads(2))
    failing = chain.map(lambda number: 1 // (number - 280), on=Threads(2), returns=int, on_error=DeadLetter())
    with failing.open(journal=journal) as run:
        for item, _ in zip(run, range(20), strict=False):
            assert item in (0, -1)
    with failing.open(journal=journal) as run:
        assert len(list(run)) == 50 - 1 - 20
        assert [letter.index for letter in run.dead_letters] == [40]
    assert [letter.index for letter in read_letters(journal)] == [40]


@pytest.mark.parametrize("on", [Threads(2), Processes(2), Inline(), Processes(1, restarts=1)], ids=repr)
def test_failure_of_a_later_attempt_names_the_number_of_the_source(
    on: Threads | Processes | Inline, journal: Path
) -> None:
    with Pipeline(range(20)).map(fail_at_30, on=on).open(journal=journal) as run:
        for item in run:
            if item == 10:
                break
    chain = Pipeline(range(60)).map(fail_at_30, on=on)
    # The engine has numbered it 20.
    with chain.open(journal=journal) as run, pytest.raises(StageError, match="item 30") as raised:
        list(run)
    assert raised.value.failures[0].index == 30


def test_each_raises_its_own_exception_also_with_a_journal(journal: Path) -> None:
    with pytest.raises(ValueError, match="30"):
        Pipeline(range(60)).each(fail_at_30, on=Threads(1)).run(journal=journal)
    assert read(journal).attempts[-1].status == "failed"
    assert 30 not in read(journal).done


@pytest.mark.parametrize("workers", [1, 4])
def test_each_gets_every_item_once_and_in_order_if_it_has_one_worker(workers: int, journal: Path) -> None:
    stored: list[int] = []
    chain = Pipeline(range(500)).map(double, on=Threads(4)).each(stored.append, on=Threads(workers))
    report = chain.run(journal=journal)
    assert sorted(stored) == list(range(0, 1000, 2))
    assert workers > 1 or stored == sorted(stored)
    assert report.value is None
    assert list(read(journal).done) == [(0, 500)]


def test_items_without_order_are_done_beyond_a_gap(journal: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    with Gate(folder) as gate:

        def hold_first(number: int) -> int:
            return gate.hold(number) if number == 0 else number

        chain = Pipeline(range(8)).map(hold_first, on=Threads(2), ordered=False, in_flight=2)
        with chain.open(journal=journal, grace=0.0) as run:
            items = iter(run)
            gate.wait_held()
            taken = [next(items) for _ in range(5)]
            run.commit()
            gate.release()
        assert taken == [1, 2, 3, 4, 5]
        assert list(read(journal).done) == [(1, 6)]
        with chain.open(journal=journal) as run:
            gate.release()
            assert sorted(run) == [0, 6, 7]


@pytest.mark.parametrize("placing", MOST)
def test_another_input_is_refused_at_the_first_item_that_is_known_to_differ(placing: Placing, journal: Path) -> None:
    def chain(first: int, count: int) -> Pipeline[int]:
        return Pipeline(source(range, first, count), on=placing.source).map(double, on=placing.stage)

    with chain(0, 50).open(journal=journal) as run:
        for item in run:
            if item == 40:
                break
    text = r"journal .*: the input has changed: item 0 was 0, and is 3\.\n.* Run again with the same input"
    with chain(3, 50).open(journal=journal) as run, pytest.raises(JournalError, match=text):
        list(run)
    assert run.status == "failed"
    assert read(journal).attempts[-1].status == "failed"
    with pytest.raises(JournalError, match=r"the input has changed: it ends before item 16, which is done\."):
        list(chain(0, 9).open(journal=journal))
    unchecked = Journal(journal, check_input=False)
    with chain(3, 50).open(journal=unchecked) as run:
        assert list(run) == list(range(46, 100, 2))


@pytest.mark.parametrize("count", [5, 31])
def test_item_that_is_done_no_more_is_noticed_also_with_an_async_source(count: int, journal: Path) -> None:
    stored: list[int] = []

    def chain(count: int, first: int = 0) -> Runnable[None]:
        return Pipeline(source(count_up, count, first), on=Tasks()).each(stored.append, on=Threads(1))

    chain(30).run(journal=journal)
    with pytest.raises(JournalError, match="item 1 was 1, and is 2" if count > 30 else "before item 5, which is done"):
        chain(count, count > 30).run(journal=journal)
    assert stored == list(range(30))
    assert read(journal).done.count == 30


async def count_up(count: int, skipped: int = 0) -> AsyncIterator[int]:
    """A source that is an async generator. skipped: it goes on so much further on after its first item."""
    for number in range(count):
        yield number + skipped * (number > 0)


def test_report_and_error_count_the_whole_job_and_say_how_it_goes_on(journal: Path) -> None:
    def chain(fails: bool) -> Runnable[None]:
        each: Callable[[int], object] = fail_at_30 if fails else str
        return Pipeline(range(50)).each(each, on=Threads(1), name="each")

    with pytest.raises(ValueError, match="30") as raised:
        chain(fails=True).run(journal=journal)
    line = f"journal {journal}: 30 items are done in this run, 30 in all, 20 are left"
    assert f"{line}. It is kept: the same call goes on there." in raised.value.__notes__
    report = chain(fails=False).run(journal=journal)
    assert (report.done_before, report.done, report.left) == (30, 20, 0)
    assert f"journal {journal}: 20 items are done in this run, 50 in all, 0 are left." in str(report)
    finished = chain(fails=False).run(journal=journal)
    assert f"journal {journal}: nothing was left to do, all 50 items were done before." in str(finished)


def test_journal_counts_the_items_that_were_skipped_in_all_attempts(journal: Path) -> None:
    chain = Pipeline(range(50)).map(partial(refused, mended=0), on=Threads(2), on_error=Skip(), name="refused")
    with chain.open(journal=journal) as run:
        for item in run:
            if item == 30:
                break
    assert read(journal).skipped["refused"] >= 3
    with chain.open(journal=journal) as run:
        assert list(run)[-1] == 49
    assert 5 <= read(journal).skipped["refused"] <= 7


def refused(number: int, mended: int) -> int:
    """A stage that fails at some items, until it is mended for those below a number."""
    if number % 10 == 7 and number >= mended:
        raise ValueError(number)
    return number


RETRIED = [
    pytest.param(source(numbers, 50), Threads(1), Threads(2), id="threads"),
    pytest.param(source(numbers, 50), Processes(1), Processes(2), id="processes"),
    pytest.param(source(count_up, 50), Tasks(), Threads(1), id="tasks"),
]


@pytest.mark.parametrize("items, on, stage", RETRIED)
def test_only_the_items_of_dead_letters_are_done_again(
    items: Any, on: Executor, stage: Executor, journal: Path
) -> None:
    def chain(mended: int) -> Pipeline[int]:
        function = partial(refused, mended=mended)
        return Pipeline(items, on=on).map(function, on=stage, on_error=DeadLetter(), name="refused")

    with chain(0).open(journal=journal) as run:
        for item in run:
            # The next request after 38 has said that all before is done.
            if item == 39:
                break
    done = list(read(journal).done)
    retry = Journal(journal, retry=True)
    with chain(20).open(journal=retry) as run:
        assert list(run) == [7, 17]
    assert sorted(letter.index for letter in run.dead_letters) == [27, 37]
    assert sorted(letter.index for letter in read_letters(journal)) == [27, 37]
    # What was not done is not called done.
    assert list(read(journal).done) == done
    assert not read(journal).complete
    with chain(20).open(journal=journal) as run:
        assert list(run) == [39, *range(40, 47), 48, 49]
    assert read(journal).complete
    with chain(99).open(journal=retry) as run:
        assert list(run) == [27, 37, 47]
    assert not list(read_letters(journal))
    with chain(99).open(journal=retry) as run:
        assert list(run) == []
        report = run.report()
    assert (report.done_before, report.again_at_most) == (50, 0)
    assert read(journal).complete


def test_retry_is_refused_where_it_makes_no_sense(journal: Path) -> None:
    retry = Journal(journal, retry=True)
    with pytest.raises(JournalError, match="there is no such file"):
        Pipeline(range(3)).open(journal=retry)
    with pytest.raises(JournalError, match="cannot be done again alone"):
        Pipeline(range(3)).batch(2).open(journal=retry)


class Held:
    """Writes of a journal, which wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        write = JournalFile.write

        def wait_and_write(file: JournalFile, change: Change) -> None:
            self.begun.set()
            assert self.may_go_on.wait(LIMIT)
            write(file, change)

        monkeypatch.setattr(JournalFile, "write", wait_and_write)


SOURCES = [
    pytest.param(source(numbers, 5 * LEAST), Threads(1), id="threads"),
    pytest.param(source(numbers, 5 * LEAST), Processes(1), id="process"),
    pytest.param(source(numbers, 5 * LEAST), Inline(), id="inline"),
    pytest.param(source(count_up, 5 * LEAST), Tasks(), id="tasks"),
]


@pytest.mark.parametrize("items, on", SOURCES)
def test_no_item_is_begun_that_the_journal_does_not_know_of(
    items: Any, on: Executor, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    chain = Pipeline(items, on=on).map(double, on=Threads(2))
    with chain.open(journal=journal, journal_every=3600) as run:
        taken = iter(run)
        first = [next(taken) for _ in range(LEAST)]
        assert held.begun.wait(LIMIT)
        # The count follows after the items.
        assert run.progress().stages[0].sent <= LEAST
        assert read(journal).again_at_most == LEAST
        held.may_go_on.set()
        assert [*first, *taken] == list(range(0, 10 * LEAST, 2))
    assert read(journal).again_at_most == 0


@pytest.mark.parametrize("items, on", [*SOURCES, pytest.param(source(range, 5 * LEAST), Threads(1), id="container")])
def test_run_that_waits_for_its_journal_can_be_cancelled(
    items: Any, on: Executor, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    each: Callable[[int], object] = str
    with Pipeline(items, on=on).each(each, on=Threads(1)).open(journal=journal, journal_every=3600) as run:
        assert held.begun.wait(LIMIT)
        run.cancel()
        assert run.wait(LIMIT)
        held.may_go_on.set()
    assert run.status == "cancelled"
    assert read(journal).again_at_most <= LEAST


def test_async_source_goes_on(journal: Path) -> None:
    chain = Pipeline(source(count_up, 30), on=Tasks())
    with chain.open(journal=journal) as run:
        for item in run:
            if item == 10:
                break
    with chain.open(journal=journal) as run:
        assert list(run) == list(range(10, 30))


def test_run_in_an_event_loop_keeps_a_journal(journal: Path) -> None:
    stored: list[int] = []
    chain = Pipeline(range(20)).each(stored.append, on=Threads(1))
    for _ in range(2):
        asyncio.run(chain.run_async(journal=journal))
    assert stored == list(range(20))


def test_items_that_were_added_to_a_source_are_done_by_the_next_run(journal: Path) -> None:
    stored: list[int] = []

    def all_of(count: int) -> Report[None]:
        return Pipeline(source(numbers, count), on=Threads(1)).each(stored.append, on=Threads(1)).run(journal=journal)

    assert all_of(10).done_before == 0
    report = all_of(15)
    assert stored == list(range(15))
    assert (report.done_before, report.stages[0].sent) == (10, 5)
    assert "10 items were done before" in str(report)


def test_chains_that_cannot_go_on_are_refused_before_anything_starts(journal: Path) -> None:
    several = Pipeline(source(numbers, 3), on=Threads(2), each_worker=True)
    with pytest.raises(JournalError, match=r"source 'numbers' cannot have a journal: .* with each_worker=True"):
        several.open(journal=journal)
    assert not journal.exists()


def test_second_run_on_a_journal_is_refused(journal: Path) -> None:
    chain = Pipeline(range(3))
    with chain.open(journal=journal), pytest.raises(JournalError):
        chain.open(journal=journal)
    with chain.open(journal=journal) as run:
        assert list(run) == [0, 1, 2]


@pytest.mark.parametrize("ends", ["write", "finish"])
def test_journal_that_cannot_be_written_ends_the_run(ends: str, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(JournalFile, ends, refuse)
    each: Callable[[int], object] = str
    with pytest.raises(JournalError, match="the disk is full"):
        Pipeline(range(3)).each(each, on=Threads(1)).run(journal=journal)
    monkeypatch.undo()
    # The file is free again.
    Pipeline(range(3)).each(each, on=Threads(1)).run(journal=journal)
    assert list(read(journal).done) == [(0, 3)]


def test_ctrl_c_ends_the_wait_for_a_disk_that_does_not_answer(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_answering, is_closed = threading.Event(), threading.Event()
    write, close = JournalFile.write, JournalFile.close

    def write_late(file: JournalFile, change: Change) -> None:
        # A signal right before the wait is noticed with the next one only.
        while not is_answering.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            is_answering.wait(2)
        write(file, change)

    def close_and_say_so(file: JournalFile) -> None:
        close(file)
        is_closed.set()

    monkeypatch.setattr(JournalFile, "write", write_late)
    monkeypatch.setattr(JournalFile, "close", close_and_say_so)
    each: Callable[[int], object] = str
    with pytest.raises(KeyboardInterrupt):
        Pipeline(range(3)).each(each, on=Threads(1)).run(journal=journal, journal_every=1000)
    assert not is_closed.is_set()
    is_answering.set()
    # The thread writes, and closes the file.
    assert is_closed.wait(WHOLE)
    monkeypatch.undo()
    assert list(read(journal).done) == [(0, 3)]
    with Pipeline(range(3)).open(journal=journal) as run:
        assert list(run) == []


def test_position_in_the_transaction_of_the_results_makes_each_result_come_exactly_once(tmp_path: Path) -> None:
    path = tmp_path / "database"
    for commits in (0, 1, 7, 30):
        program = subprocess.run(
            [sys.executable, durable_sink.__file__, path, str(commits)], timeout=WHOLE, check=False
        )
        assert program.returncode == -signal.SIGKILL
    durable_sink.store_all(path)
    database = sqlite3.connect(path)
    stored = [value for (value,) in database.execute("SELECT value FROM items")]
    database.close()
    assert sorted(stored) == list(range(0, 3 * durable_sink.ITEMS, 6))


def test_position_goes_on_behind_the_item_that_was_given_last() -> None:
    chain = Pipeline(range(50)).map(double, on=Threads(2))
    position, seen = "", []
    while True:
        with chain.open(start=position) as run:
            for count, item in enumerate(run, start=1):
                seen.append(item)
                position = run.position
                if count == 12:
                    break
            else:
                break
    assert seen == list(range(0, 100, 2))
    with chain.open(start=position) as run:
        assert list(run) == []
        assert run.position == position


def test_item_that_is_divided_is_behind_the_position_until_all_of_it_was_given() -> None:
    chain = Pipeline(range(4)).flat_map(twice, on=Threads(2))
    with chain.open(start="") as run:
        items = iter(run)
        assert [next(items) for _ in range(3)] == [0, 0, 1]
        position = run.position
    with chain.open(start=position) as run:
        assert list(run) == [1, 1, 2, 2, 3, 3]


def test_wrong_positions_are_refused(journal: Path) -> None:
    chain = Pipeline(range(4))
    with pytest.raises(JournalError, match="start: it is no position of a run"):
        chain.open(start="7")
    with pytest.raises(StageOptionError, match="start= and journal= exclude each other"):
        chain.open(start="", journal=journal)
    with chain.open() as run, pytest.raises(JournalError, match="this run keeps no position"):
        _ = run.position
    with chain.open(start="") as run:
        position = run.position
    with pytest.raises(JournalError, match="start: the position belongs to a pipeline with other stages"):
        chain.open(start=position.replace('"shape":"', '"shape":"0'))
