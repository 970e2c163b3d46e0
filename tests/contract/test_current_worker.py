"""`current_worker()` says which worker runs the code that calls it, on every executor."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from chainpump import CurrentWorker, Inline, Pipeline, Processes, Tasks, Threads, current_worker, sink, source, stage
from faults.places import EVERYWHERE, PROCESSES, WITH_WORKERS, beside, on

NAMES = {"forkserver": "Processes", "spawn": "Processes", "fork": "Processes", "threads": "Threads", "inline": "Inline"}


def outside() -> CurrentWorker:
    return CurrentWorker("", 0, 1, 0, "Inline", os.getpid())


def once(items: Iterable[object]) -> Iterator[CurrentWorker]:
    """What each worker finds once its input has ended."""
    for _ in items:
        pass
    yield current_worker()


def of_item(_: object) -> CurrentWorker:
    return current_worker()


def in_thread(_: object) -> tuple[CurrentWorker, CurrentWorker, str | None]:
    """What the worker finds, what a thread that it starts finds, and a variable of its environment."""
    found: list[CurrentWorker] = []
    thread = threading.Thread(target=lambda: found.append(current_worker()))
    thread.start()
    thread.join()
    return current_worker(), found[0], os.environ.get("CHAINPUMP_WORKER")


def in_thread_with_context(_: object) -> CurrentWorker:
    found: list[CurrentWorker] = []
    thread = threading.Thread(target=copy_context().run, args=(lambda: found.append(current_worker()),))
    thread.start()
    thread.join()
    return found[0]


async def in_task(_: object) -> list[CurrentWorker]:
    return [current_worker(), await asyncio.create_task(asyncio.to_thread(current_worker))]


def test_outside_of_a_run_there_is_one_worker() -> None:
    assert current_worker() == outside()


def test_a_worker_is_a_frozen_value_that_can_be_sent() -> None:
    worker = current_worker()
    assert pickle.loads(pickle.dumps(worker)) == worker
    with pytest.raises(FrozenInstanceError):
        worker.number = 1  # type: ignore[misc]


@pytest.mark.parametrize("place", WITH_WORKERS)
def test_each_worker_of_a_stage_has_a_number_of_its_own(place: str) -> None:
    found = list(Pipeline(range(3)).then(stage(once), on=on(place, 2), name="look"))
    assert {replace(each, pid=0) for each in found} == {
        CurrentWorker("look", number, 2, 0, NAMES[place], 0) for number in (0, 1)
    }
    pids = {each.pid for each in found}
    assert (pids == {os.getpid()}) if place == "threads" else (len(pids) == 2 and os.getpid() not in pids)


@pytest.mark.parametrize("place", EVERYWHERE)
def test_source_stages_and_sink_know_their_workers(place: str) -> None:
    def find() -> Iterator[str]:
        yield current_worker().stage

    def pass_on(items: Iterable[str]) -> Iterator[str]:
        for item in items:
            yield f"{item} {current_worker().stage}"

    def end(items: Iterable[str]) -> str:
        (item,) = items
        return f"{item} {current_worker().stage}"

    pipeline = Pipeline(source(find), on=on(beside(place))).then(stage(pass_on), on=on(place), name="pass")
    mapped = pipeline.map(lambda item: f"{item} {current_worker().stage}", on=on(beside(place)), name="map")
    assert mapped.into(sink(end), on=on(place)).run().value == "find pass map end"
    assert current_worker() == outside()


def test_the_same_holds_for_a_pipeline_that_runs_inline() -> None:
    found = list(Pipeline(range(3)).map(of_item, on=Processes(4), name="look").inline())
    assert found == [CurrentWorker("look", 0, 1, 0, "Inline", os.getpid())] * 3


def test_stages_that_share_a_thread_are_told_apart_at_each_step_and_as_they_end() -> None:
    seen: list[str] = []

    def see(moment: str) -> None:
        seen.append(f"{moment}: {current_worker().stage or 'caller'}")

    def first() -> Iterator[int]:
        try:
            for number in range(2):
                see(f"make {number}")
                yield number
        finally:
            see("end")

    def second(items: Iterable[int]) -> Iterator[int]:
        try:
            for item in items:
                see(f"get {item}")
                yield item
                see(f"after {item}")
        finally:
            see("end")

    pipeline = Pipeline(source(first), on=Inline()).then(second, on=Inline())
    for item in pipeline:
        see(f"item {item}")
    assert seen == [
        *("make 0: first", "get 0: second", "item 0: caller", "after 0: second"),
        *("make 1: first", "get 1: second", "item 1: caller", "after 1: second"),
        *("end: first", "end: second"),
    ]
    seen.clear()
    with pipeline.open() as run:
        next(iter(run))
    assert seen[2:] == ["end: second", "end: first"]


def test_two_runs_that_one_thread_iterates_in_turn_are_told_apart() -> None:
    def looking(name: str) -> Pipeline[str]:
        return Pipeline(range(2)).map(lambda _: current_worker().stage, on=Inline(), name=name)

    assert list(zip(looking("a"), looking("b"), strict=True)) == [("a", "b"), ("a", "b")]


@pytest.mark.parametrize("place", EVERYWHERE)
def test_a_run_within_a_worker_has_workers_of_its_own(place: str) -> None:
    def nested(_: int) -> list[tuple[str, str]]:
        inner = Pipeline([1]).map(of_item, on=Inline(), name="inner")
        threads = Pipeline([1]).map(of_item, on=Threads(1), name="thread")
        return [(each.stage, current_worker().stage) for pipeline in (inner, threads) for each in pipeline]

    assert list(Pipeline([1]).map(nested, on=on(place), name="outer")) == [[("inner", "outer"), ("thread", "outer")]]


def test_parts_of_a_pipeline_have_workers_of_their_own() -> None:
    part = Pipeline(range(1)).map(of_item, on=Inline(), name="part")
    assert [each.stage for each in Pipeline.concat(part, part)] == ["part"] * 2
    assert [each.stage for each in Pipeline.merge(part, part)] == ["part"] * 2


@pytest.mark.parametrize("place", PROCESSES)
def test_threads_of_a_worker_process_belong_to_the_worker(place: str) -> None:
    ((worker, of_thread, variable),) = Pipeline([1]).map(in_thread, on=on(place))
    assert worker == of_thread
    assert (worker.stage, variable) == ("in_thread", "0")


def test_threads_with_the_context_of_a_worker_thread_belong_to_the_worker() -> None:
    (found,) = Pipeline([1]).map(in_thread_with_context, on=Threads(1))
    assert found.stage == "in_thread_with_context"


def test_tasks_share_one_worker() -> None:
    found = [worker for workers in Pipeline(range(4)).map(in_task, on=Tasks(2)) for worker in workers]
    assert found == [CurrentWorker("in_task", 0, 1, 0, "Tasks", os.getpid())] * 8


class Looks:
    """An item that finds out which worker pickles it, and which one unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return looked, (current_worker().stage,)


def looked(pickled_by: str) -> tuple[str, str]:
    return pickled_by, current_worker().stage


def test_helper_threads_of_a_worker_pickle_and_unpickle_as_the_worker() -> None:
    def make(_: int) -> Any:
        return Looks()

    async def as_it_is(item: Any) -> Any:
        return item

    started = Pipeline([1])
    assert list(started.map(make, on=Threads(1)).map(list, on=Processes(1), name="read")) == [["make", "read"]]
    assert list(started.map(make, on=Processes(1)).map(as_it_is, on=Tasks(1))) == [("make", "as_it_is")]


@pytest.mark.parametrize("place", PROCESSES)
def test_a_worker_that_replaces_another_has_its_number_and_the_next_generation(place: str, tmp_path: Path) -> None:
    def look(_: int) -> CurrentWorker:
        mark = tmp_path / "died"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return current_worker()

    (found,) = Pipeline([1]).map(look, on=Processes(1, start_method=place, restarts=1))  # type: ignore[arg-type]
    assert (found.number, found.generation) == (0, 1)


PROGRAM = """
import os
from chainpump import Pipeline, Processes, current_worker

FOUND = [os.environ.get(f"CHAINPUMP_{name}") for name in ("WORKER", "STAGE")] + [current_worker().stage]

def imported(_):
    return FOUND

if __name__ == "__main__":
    for method in ("forkserver", "spawn"):
        print(*Pipeline([1]).map(imported, on=Processes(start_method=method), name="a\\nb"))
    print(FOUND)
"""


def test_a_worker_process_knows_its_worker_before_it_imports_the_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    # This test may run in a worker of another run.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHAINPUMP_")}
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, env=clean, capture_output=True, check=True)
    in_worker = r"['0', 'a\\nb', 'a\nb']"
    assert done.stdout.decode().splitlines() == [in_worker, in_worker, "[None, None, '']"]
