"""Workers that have done their share are followed by fresh ones: nothing is lost, and memory is bounded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from chainpump import DeadLetter, Pipeline, Processes, StageError, Threads, current_worker, per_worker, stage, warm
from chainpump.executors.start_methods import StartMethod
from chainpump.worker.retirement import own_memory
from faults import stages
from faults.places import FORKING, PROCESSES
from support.gate import Journal

N = 60
AFTER = 10
MB = 1_000_000
# What a worker leaks. It lives as long as the worker.
LEAK: list[bytearray] = []


def with_process(item: Any) -> tuple[Any, int, int]:
    """An item, and which worker of which generation has had it."""
    return item, os.getpid(), current_worker().generation


def through(items: Iterable[Any], journal: Journal) -> Iterator[tuple[Any, int]]:
    """The same as a generator with a set-up and a clean-up."""
    journal.write("set-up")
    try:
        for item in items:
            yield item, os.getpid()
    finally:
        journal.write("clean-up")


def several(item: int) -> list[int]:
    """More results than fit into one frame."""
    return [item] * (3000 if item % 5 == 0 else item % 3)


def block(item: int, nbytes: int) -> bytes:
    """An item that travels in shared memory."""
    return bytes([item % 256]) * nbytes


def first_byte(item: bytes) -> int:
    return item[0]


def leaking(item: int) -> tuple[int, int]:
    """Leak 1 MB, with its pages. Returns the memory that the process then has."""
    LEAK.append(bytearray(b"x") * MB)
    return item, own_memory()


def odd_fails(item: int) -> int:
    if item % 2:
        raise ValueError(item)
    return item


def recycled(run: Any) -> list[int]:
    return [each.recycled for each in run.report().stages]


@pytest.mark.parametrize("place", FORKING)
def test_each_worker_does_its_share_and_nothing_is_lost(place: StartMethod) -> None:
    on = Processes(2, start_method=place, recycle_after=AFTER)
    # A frame has at most two items then.
    with Pipeline(range(N)).map(with_process, on=on, in_flight=2).open() as run:
        found = list(run)
    assert [item for item, _, _ in found] == list(range(N))
    shares = Counter(pid for _, pid, _ in found)
    assert all(share < AFTER + 2 for share in shares.values())
    generations = {pid: generation for _, pid, generation in found}
    assert max(generations.values()) >= 2
    # Those that have come last may have had no item.
    assert len(shares) - 2 <= recycled(run)[1] <= len(shares)


@pytest.mark.parametrize("place", PROCESSES)
def test_a_generator_cleans_up_before_the_next_one_reads(place: StartMethod, journal: Journal) -> None:
    after = N // 2 if place == "spawn" else AFTER
    on = Processes(start_method=place, recycle_after=after)
    with Pipeline(range(N)).then(stage(through, journal), on=on, in_flight=1).open() as run:
        found = list(run)
    assert [item for item, _ in found] == list(range(N))
    assert set(Counter(pid for _, pid in found).values()) == {after}
    # The last one finds the end of the input only.
    assert recycled(run)[1] == N // after
    assert journal.lines == ["set-up", "clean-up"] * (N // after + 1)


@pytest.mark.parametrize("in_flight", [None, 1, 8])
@pytest.mark.parametrize("place", FORKING)
def test_order_is_restored_although_the_worker_that_restores_it_is_recycled(
    place: StartMethod, in_flight: int | None, journal: Journal
) -> None:
    behind = (
        Pipeline(range(N))
        .map(abs, on=Processes(3))
        .then(stage(through, journal), on=Processes(start_method=place, recycle_after=AFTER), in_flight=in_flight)
    )
    with behind.open() as run:
        assert [item for item, _ in run] == list(range(N))
    assert recycled(run)[2] >= 1


def test_order_is_restored_although_items_come_in_parts(journal: Journal) -> None:
    pipeline = Pipeline(range(N)).flat_map(several, on=Processes(3))
    with pipeline.then(stage(through, journal), on=Processes(recycle_after=2000)).open() as run:
        assert [item for item, _ in run] == [each for item in range(N) for each in several(item)]
    assert recycled(run)[2] >= 1


def test_items_in_shared_memory_survive_the_worker_that_has_made_them() -> None:
    on = Processes(2, recycle_after=AFTER)
    pipeline = Pipeline(range(N)).map(partial(block, nbytes=300_000), on=on).map(first_byte, on=on)
    with pipeline.open() as run:
        assert list(run) == list(range(N))
    assert min(recycled(run)[1:3]) >= 2


def test_workers_of_each_are_recycled_and_the_items_between_are_seen_once(journal: Journal) -> None:
    report = Pipeline(range(N)).map(abs, on=Processes(2)).each(journal.write, on=Processes(recycle_after=AFTER)).run()
    assert journal.lines == [str(item) for item in range(N)]
    assert report.value is None
    assert report.stages[2].recycled >= 1


@pytest.mark.parametrize(
    "options",
    [{"restarts": 2}, {"timeout": 60}, {"ordered": False}, {"on_error": DeadLetter()}, {"workers": "auto"}],
    ids=lambda options: next(iter(options)),
)
def test_recycling_goes_with_other_options(options: dict[str, Any]) -> None:
    of_executor = {name: value for name, value in options.items() if name in {"restarts", "workers"}}
    of_stage = {name: value for name, value in options.items() if name not in of_executor}
    on = Processes(**{"workers": 2, "recycle_after": 5, **of_executor})
    function = odd_fails if "on_error" in options else abs
    pipeline = Pipeline(range(N)).map(function, on=on, in_flight=4, **of_stage)
    report = pipeline.into(stages.collect, on=Threads()).run()
    value = report.value
    dead = {letter.item for letter in report.dead_letters}
    assert dead == {item for item in range(N) if function is odd_fails and item % 2}
    assert sorted(value) == sorted(set(range(N)) - dead)
    assert (value == sorted(value)) or options.get("ordered") is False
    assert report.stages[1].recycled >= 1


def test_a_recycled_stage_between_stages_in_the_calling_thread() -> None:
    pipeline = Pipeline(range(N)).batch(2).map(sum, on=Processes(recycle_after=5), in_flight=2).batch(3).unbatch()
    with pipeline.open() as run:
        assert list(run) == [4 * n + 1 for n in range(N // 2)]


def test_memory_is_bounded() -> None:
    # A frame has at most two items then.
    with Pipeline(range(150)).map(leaking, on=Processes(2, recycle_above=60 * MB), in_flight=2).open() as run:
        items, memory = zip(*run, strict=True)
    assert items == tuple(range(150))
    assert run.report().stages[1].recycled >= 1
    # A worker that is below the limit receives one more frame, and needs some memory for itself.
    assert max(memory) < (60 + 2 + 3) * MB


def test_the_set_up_of_a_successor_and_the_tear_down_of_the_retired_worker(journal: Journal) -> None:
    on = Processes(recycle_after=AFTER)
    with Pipeline(range(N)).map(per_worker(noting, journal), on=on, in_flight=1).open() as run:
        assert list(run) == list(range(N))
    lines = journal.lines
    assert lines.count("set-up") == lines.count("tear-down") == N // AFTER + 1
    # A worker has torn down before the first item of the next one.
    began = [place for place, line in enumerate(lines) if line == "first item"]
    assert [lines[:place].count("tear-down") for place in began] == list(range(len(began)))
    assert run.report().stages[1].set_up > 0


@contextmanager
def noting(journal: Journal) -> Generator[Callable[[int], int]]:
    """A factory whose function notes its first item."""
    journal.write("set-up")
    seen: list[int] = []

    def first(item: int) -> int:
        if not seen:
            journal.write("first item")
        seen.append(item)
        return item

    yield first
    journal.write("tear-down")


def test_a_process_that_is_kept_counts_the_items_of_all_runs() -> None:
    pipeline = Pipeline(range(AFTER - 4)).map(with_process, on=Processes(recycle_after=AFTER), in_flight=1)
    with warm() as pool:
        first = [pid for _, pid, _ in pipeline]
        assert pool.idle_pids == first[:1]
        second = [pid for _, pid, _ in pipeline]
        # The process of the worker that has retired is not kept.
        assert pool.idle_pids == second[-1:]
    assert first == first[:1] * (AFTER - 4)
    assert second == first[:4] + second[-1:] * (AFTER - 8)
    assert second[-1] != first[0]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_limit_that_a_fresh_worker_exceeds_is_an_error(place: StartMethod) -> None:
    on = Processes(start_method=place, recycle_above=1 * MB)
    text = (
        r"^stage 'abs' \(worker 1 of 1, pid \d+\) starts with \d+ MB, above recycle_above=1000000 \(1\.0 MB\)\.\n"
        r"  Each fresh worker would start with as much, so that none could work\.\n"
        r"  Give it room to grow, for example recycle_above=\d+_000_000\."
    )
    with pytest.raises(StageError, match=text):
        list(Pipeline(range(N)).map(abs, on=on))


def test_the_table_shows_recycled_workers_only_where_there_are_some() -> None:
    with Pipeline(range(N)).map(abs, on=Processes(recycle_after=AFTER), in_flight=1).open() as run:
        list(run)
    assert "recycled" in str(run.report())
    assert "recycled" in str(run.progress())
    with Pipeline(range(N)).map(abs, on=Processes(recycle_after=10 * N)).open() as run:
        list(run)
    assert "recycled" not in str(run.report())
