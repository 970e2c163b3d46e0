"""How many workers each "auto" stage should have: one rule on measurements, and its arithmetic.

A *pool* is the workers of a stage, or of neighbours that share them. Measurements are those of a short window of time:
`busy` is how many workers of a pool were busy on average.

At `k` times the rate each pool has `k` times as much to do, and so have the processors. So the rate can rise by

    room = min(processors / processors asked for, 2, and for each pool the most workers that it may have / busy)

and then a pool has work for `busy x room` workers. More workers help only if some "auto" pool limits the rate: its
workers are busy nearly all of the time. Otherwise the room is 1, and a pool with more workers than work loses some.

The demand for processors is measured in time, not in workers. If two stages take 1 and 9 ms of a processor per item on
a machine of two processors, the second stage needs two workers, although the first one has a worker, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from ..lazy_dataclass import dataclass

__all__ = ["Decision", "Pool", "Trial", "scale"]

# The least load of a pool that limits the rate.
HOLDS_UP = 0.8
# The least gain in rate that adds workers: a smaller one is within the error of measurement.
WORTH_IT = 1.05
# The largest gain in rate that is aimed at in one step.
AT_ONCE = 2.0
# A fraction of a worker up to this is not rounded up to one more worker: it is within the error of measurement.
ROUNDING = 0.05
# A pool loses a worker only if this fraction of one remains unused: otherwise the next window might add it again.
SPARE = 0.2
# The least part of the expected gain for which added workers stay.
ENOUGH = 0.25


@dataclass(frozen=True, slots=True)
class Decision:
    """A change in the number of workers of an "auto" stage.

    at: seconds since the run was opened. before, after: numbers of workers. reason: the measurements behind it.
    """

    at: float
    stage: str
    before: int
    after: int
    reason: str

    def __str__(self) -> str:
        return f"{self.at:.2f} s: '{self.stage}' {self.before} -> {self.after}, {self.reason}"


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers of a stage in one window of time. busy: how many of them were busy, on average.

    least, most: how many there may be; both are `workers` if the number is fixed.
    """

    name: str
    workers: int
    busy: float
    least: int
    most: int

    @property
    def load(self) -> float:
        """The share of the time in which its workers were busy."""
        return self.busy / self.workers


@dataclass(frozen=True, slots=True)
class Trial:
    """An addition of workers and the gain that is expected of it, to be compared with the result.

    before, after: numbers of workers. rate: items per second before. demand: processors that the run could have used
    before. room: the expected gain in rate, as a factor.
    """

    before: int
    after: int
    rate: float
    demand: float
    room: float

    def failure(self, rate: float, demand: float) -> str | None:
        """Why the added workers do not help, by the measurements of a later window; None if they help.

        On a machine that other programs use, the rate may fall although the workers are busy. So it is enough if the
        demand for processors has risen.
        """
        is_faster = rate >= self.rate * (1 + (self.room - 1) * ENOUGH)
        if is_faster or demand >= self.demand + (self.after - self.before) * ENOUGH:
            return None
        return (
            f"the rate went from {self.rate:.4g}/s to {rate:.4g}/s, where {self.room:.2f} times as much was hoped for"
        )


def scale(pools: Sequence[Pool], processors: int, demand: float) -> tuple[float, dict[int, tuple[int, str]]]:
    """The room, and for each pool that is to change, by its index: how many workers, and why.

    demand: how many processors the run could have used, on average.
    """
    room, bound = _room(pools, processors, demand)
    changes = {}
    for index, pool in enumerate(pools):
        wanted = pool.busy * room
        more, fewer = ceil(wanted - ROUNDING), max(ceil(wanted + SPARE), pool.least)
        work = f"busy {pool.load:.0%} of the time on {pool.workers}"
        if min(more, pool.most) > pool.workers:
            changes[index] = (
                min(more, pool.most),
                f"{work}: {room:.2f} times the rate, {bound}, is work for {wanted:.2f}",
            )
        elif fewer < pool.workers:
            changes[index] = (fewer, f"{work}: work for {wanted:.2f}")
    return room, changes


def _room(pools: Sequence[Pool], processors: int, demand: float) -> tuple[float, str]:
    """The factor by which the rate can rise, and what limits it."""
    held_up = any(pool.load >= HOLDS_UP and pool.most > pool.workers for pool in pools)
    room, bound = min(_bounds(pools, processors, demand))
    return (room, bound) if held_up and room >= WORTH_IT else (1.0, "")


def _bounds(pools: Sequence[Pool], processors: int, demand: float) -> Iterator[tuple[float, str]]:
    yield AT_ONCE, "the most at one time"
    if demand > 0:
        yield processors / demand, f"{processors} processors / {demand:.2f} asked for"
    for pool in pools:
        if pool.busy > 0:
            yield pool.most / pool.busy, f"{pool.most} of '{pool.name}' / {pool.busy:.2f} busy"
