"""How many workers each auto stage is to have: one rule on measured figures, and its arithmetic.

A *crew* is what works on a stage, or on the neighbours that share their workers. Figures are those of a window of time:
`busy` is how many of its workers were busy on average, from 0 to all of them.

With `k` times the rate, each crew has `k` times as much to do, and so have the processors. So the rate can rise by

    room = min(processors / processors asked for, 2, and of each crew the most workers that it may have / busy)

and then a crew has work for `busy x room` workers. Nobody gains by that unless some auto crew holds up the others: its
workers are busy for nearly all of the time. Otherwise the room is 1, and who has more workers than work loses them.

What counts against the processors is the time that workers ask of them, not how many workers there are: of two stages
that take 1 and 9 ms of a processor, on two processors, the second needs two workers although the first has one as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from ..lazy_dataclass import dataclass

__all__ = ["Crew", "Decision", "Trial", "allot"]

# Of the time that the workers of a crew are busy: then it is the others that wait.
HOLDS_UP = 0.8
# Times the rate; less is within what figures of a short window can tell.
WORTH_IT = 1.05
# Times the rate: what comes of more, the next window will tell.
AT_ONCE = 2.0
# Workers: no figure is as exact as to ask for one more on its account.
ROUNDING = 0.05
# Workers: who is taken back leaves that much room, lest the next window wants it again.
SPARE = 0.2
# Of what was hoped for: who brings less has nothing to share, such as the lock of the interpreter.
ENOUGH = 0.25


@dataclass(frozen=True, slots=True)
class Decision:
    """A change in how many workers an auto stage has.

    at: seconds since the run was opened. before, after: workers. reason: the figures it rests on.
    """

    at: float
    stage: str
    before: int
    after: int
    reason: str

    def __str__(self) -> str:
        return f"{self.at:.2f} s: '{self.stage}' {self.before} -> {self.after}, {self.reason}"


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers of a stage as they were in a window. busy: how many of them, on average.

    least, most: how many it may have now; both are `workers` where nobody is to change them.
    """

    name: str
    workers: int
    busy: float
    least: int
    most: int

    @property
    def load(self) -> float:
        """The share of their time in which its workers were busy."""
        return self.busy / self.workers


@dataclass(frozen=True, slots=True)
class Trial:
    """What was hoped for of more workers, to be compared with what came of it.

    before, after: workers. rate: items a second, and asked: processors that the run asked for, before. room: how many
    times the rate was hoped for.
    """

    before: int
    after: int
    rate: float
    asked: float
    room: float

    def failure(self, rate: float, asked: float) -> str | None:
        """Why the workers are no use, with the figures of a window in which they were there; None if they are.

        On a machine that others use as well the rate may fall while they do what they can: so it is enough that they
        ask for processors.
        """
        is_faster = rate >= self.rate * (1 + (self.room - 1) * ENOUGH)
        if is_faster or asked >= self.asked + (self.after - self.before) * ENOUGH:
            return None
        return (
            f"the rate went from {self.rate:.4g}/s to {rate:.4g}/s, where {self.room:.2f} times as much was hoped for"
        )


def allot(crews: Sequence[Crew], processors: int, asked: float) -> tuple[float, dict[int, tuple[int, str]]]:
    """The room that there is, and for each crew that is to change, by its place: how many workers, and why.

    asked: processors that the run could have kept busy, on average.
    """
    room, bound = _room(crews, processors, asked)
    changes = {}
    for place, crew in enumerate(crews):
        wanted = crew.busy * room
        more, fewer = ceil(wanted - ROUNDING), max(ceil(wanted + SPARE), crew.least)
        work = f"busy {crew.load:.0%} of the time on {crew.workers}"
        if min(more, crew.most) > crew.workers:
            changes[place] = (
                min(more, crew.most),
                f"{work}: {room:.2f} times the rate, {bound}, is work for {wanted:.2f}",
            )
        elif fewer < crew.workers:
            changes[place] = (fewer, f"{work}: work for {wanted:.2f}")
    return room, changes


def _room(crews: Sequence[Crew], processors: int, asked: float) -> tuple[float, str]:
    """How many times the rate is possible, and what bounds it."""
    held_up = any(crew.load >= HOLDS_UP and crew.most > crew.workers for crew in crews)
    room, bound = min(_bounds(crews, processors, asked))
    return (room, bound) if held_up and room >= WORTH_IT else (1.0, "")


def _bounds(crews: Sequence[Crew], processors: int, asked: float) -> Iterator[tuple[float, str]]:
    yield AT_ONCE, "the most at one time"
    if asked > 0:
        yield processors / asked, f"{processors} processors / {asked:.2f} asked for"
    for crew in crews:
        if crew.busy > 0:
            yield crew.most / crew.busy, f"{crew.most} of '{crew.name}' / {crew.busy:.2f} busy"
