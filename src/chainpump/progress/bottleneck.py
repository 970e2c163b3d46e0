"""Which stage limits the rate, and what could be done about it: one rule, and its arithmetic.

A *unit* is a stage, or neighbours that share their workers. Its load is the share of the time in which its workers were
busy: `busy / (workers x seconds)`. The bottleneck is the unit with the greatest load, if that is at least a half: with
less, it waits more than it works, and no unit limits the rate.

At `k` times the rate each load is `k` times as large, and so is the demand for processors, whether it is met or not.
So the rate can rise until the unit with the second greatest load is always busy, or all processors are:

    room = min(1 / second load, processors / processors asked for)
    workers wanted = ceil(load x workers x room)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from operator import attrgetter

from ..lazy_dataclass import dataclass

__all__ = ["Unit", "advice", "bottleneck", "of_bottleneck"]

# The least load of a bottleneck: with less, it waits for others.
AT_LEAST = 0.5
# The least gain in rate that is advised: a smaller one is within the error of measurement.
WORTH_IT = 1.15
# The largest gain in rate that is promised: for more, measure a run with twice the workers first.
AT_MOST = 2.0
# A fraction of a worker up to this is not rounded up to one more worker: it is within the error of measurement.
ROUNDING = 0.05
# The share of one processor from which on threads of one interpreter limit each other.
TAKEN = 0.9


@dataclass(frozen=True, slots=True)
class Unit:
    """A stage, or neighbours that share their workers. load, blocked: shares of the time of all its workers.

    grows: whether it may have more workers. on_processes: whether these are processes. is_auto: whether they are scaled
    automatically.
    """

    names: tuple[str, ...]
    workers: int
    load: float
    blocked: float = 0.0
    is_source: bool = False
    grows: bool = False
    on_processes: bool = False
    is_auto: bool = False

    @property
    def name(self) -> str:
        """The name of the stage, or of all stages that share its workers."""
        return " + ".join(self.names)


def bottleneck(units: Sequence[Unit]) -> Unit | None:
    """The unit with the greatest load; None if its load is below a half, or if there is no other unit."""
    busiest = max(units, key=attrgetter("load"))
    return busiest if len(units) > 1 and busiest.load >= AT_LEAST else None


def of_bottleneck(units: Sequence[Unit]) -> list[bool]:
    """For every stage, whether it is the bottleneck, or shares its workers."""
    held_by = bottleneck(units)
    return [unit is held_by for unit in units for _ in unit.names]


def advice(units: Sequence[Unit], processors: int, asked: float | None, interpreter: float) -> str:
    """One or two sentences on the bottleneck, with the figures behind them; empty if there is none.

    asked: how many processors the run could have used, on average; None if a worker died without reporting its part.
    interpreter: how many of them the threads of the main process used.
    """
    held_by = bottleneck(units)
    if held_by is None:
        return ""
    others = [unit for unit in units if unit is not held_by]
    second = max(others, key=attrgetter("load"))
    waiting = max(others, key=attrgetter("blocked"))
    on = f" on {held_by.workers} workers" if held_by.workers > 1 else ""
    fact = f"'{held_by.name}' has a load of {held_by.load:.0%}{on}, '{second.name}' of {second.load:.0%}"
    fact += f"; '{waiting.name}' is blocked {waiting.blocked:.0%}" if waiting.blocked >= AT_LEAST else ""
    by_others = 1 / second.load if second.load else AT_MOST
    by_machine = processors / asked if asked else AT_MOST
    takes_turns = not held_by.on_processes and interpreter >= TAKEN
    cases = (
        # 1. Several stages in one thread: it was not measured which of them it is.
        (len(held_by.names) > 1, ". They share one thread: with workers of their own they would run side by side."),
        # 2. More workers are not possible.
        (held_by.is_source, ". A source has one worker: the run cannot be faster than it."),
        (held_by.is_auto, ". It has as many workers as were found to be of use."),
        (not held_by.grows, ". The run cannot be faster than this, on the workers that it has."),
        # 3. The next stage would soon limit the rate.
        (by_others < WORTH_IT, f". More workers for one of them alone would gain less than {WORTH_IT - 1:.0%}."),
        # 4. It is not known how many processors are free, or none are.
        (asked is None, "."),
        (
            by_machine < WORTH_IT,
            f". The run asks for {asked or 0:.1f} of {processors} processors: no room for more.",
        ),
        (takes_turns, f". Threads of one interpreter take turns, and these take {interpreter:.0%} of a processor."),
    )
    said = next((text for applies, text in cases if applies), None)
    if said is not None:
        return fact + said
    # 5. More workers.
    room = min(by_others, by_machine, AT_MOST)
    more = max(ceil(held_by.load * held_by.workers * room - ROUNDING), held_by.workers + 1) - held_by.workers
    return f"{fact}: {more} more worker{'s' * (more > 1)} could raise the rate {room:.1f} times."
