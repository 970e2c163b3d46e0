"""`Pipeline(source, each_worker=True)`: a source on several workers, each of which runs all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chainpump import Pipeline, Processes, StageError, StageOptionError, Threads, current_worker, source
from faults.places import on

PLACES = ["threads", "forkserver", "fork"]


def share(limit: int) -> Iterator[int]:
    """The numbers that belong to this worker."""
    worker = current_worker()
    yield from range(worker.number, limit, worker.count)


def fail_in_the_last_worker() -> Iterator[int]:
    if current_worker().number == 2:
        raise ValueError("no share")
    yield from share(1000)


def doubled(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("in_flight", [None, 3])
@pytest.mark.parametrize("place", PLACES)
def test_every_worker_of_a_source_may_take_its_share(place: str, in_flight: int | None) -> None:
    shares = Pipeline(source(share, 100), on=on(place, 3), each_worker=True)
    found = list(shares.map(doubled, on=on(place, 2), in_flight=in_flight))
    assert sorted(found) == list(range(0, 200, 2))


@pytest.mark.parametrize("place", PLACES)
def test_the_worker_of_a_source_that_fails_is_named(place: str) -> None:
    shares = Pipeline(source(fail_in_the_last_worker), on=on(place, 3), each_worker=True)
    with pytest.raises(
        StageError, match=r"^source 'fail_in_the_last_worker' \(worker 3 of 3, pid \d+\) raised ValueError"
    ):
        list(shares.map(doubled, on=on(place, 2)))


@pytest.mark.parametrize("executor", [Threads("auto"), Processes("auto")], ids=repr)
def test_measurements_cannot_decide_how_often_a_source_runs(executor: Any) -> None:
    with pytest.raises(StageOptionError, match="as often as there are workers"):
        Pipeline(source(share, 9), on=executor, each_worker=True)


def test_an_iterable_is_read_once() -> None:
    wrong: Any = {"each_worker": True}
    with pytest.raises(StageOptionError, match=r"^Pipeline\(iterable, each_worker=True\): an iterable is read once"):
        Pipeline(range(3), **wrong)
    with pytest.raises(StageOptionError, match=r"^each_worker must be True or False but got: 2\.$"):
        Pipeline(source(share, 3), each_worker=2)  # type: ignore[arg-type]
