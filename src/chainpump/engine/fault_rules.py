"""Rules of fault injection: an environment variable makes those calls fail that can fail in a real system.

    CHAINPUMP_FAULTS="send=0.01,slab@decode=#3:kill,control=0.05:delay;seed=7"

Each part names a point, of all workers or of the workers of one stage. It also says when the point fails, and how.
When: with a probability, or at the n-th call of each worker; the replacement of a worker does not fail at that call.
How: `raise` an OSError (the default), `exit` or `kill` the process without a report, or `delay` the call by 50 ms. The
main process belongs to the user, so `exit` and `kill` raise an OSError there.

This module reads the variable and decides when a call fails. `fault_injection` wraps the objects that may fail.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from enum import Enum
from itertools import count
from typing import NoReturn, ParamSpec, TypeVar

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass

__all__ = ["DELAY", "EXIT_CODE", "VARIABLE", "Fault", "Faults", "FaultsOfWorker", "Point", "Rule"]

P = ParamSpec("P")
T = TypeVar("T")

VARIABLE = "CHAINPUMP_FAULTS"
# Seconds. This is longer than any wait inside the library except the waits for other workers.
DELAY = 0.05
# EX_SOFTWARE of <sysexits.h>. No worker ends with this code otherwise.
EXIT_CODE = 70


class Point(Enum):
    """A call that can be made to fail."""

    # An executor starts a worker, in the main process.
    SPAWN = "spawn"
    # A worker is about to load its functions.
    START = "start"
    # A worker sends a frame.
    SEND = "send"
    # A worker receives a frame, or checks whether there is one.
    RECEIVE = "receive"
    # A worker copies a frame into shared memory.
    SLAB = "slab"
    # A worker process reports its outcome, or sends a dead letter.
    CONTROL = "control"


def _raise(point: Point) -> NoReturn:
    raise OSError(errno.EIO, f"{VARIABLE} asked for a fault at {point.value!r}")


def _exit(_: Point) -> None:
    os._exit(EXIT_CODE)


def _kill(_: Point) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _delay(_: Point) -> None:
    time.sleep(DELAY)


ACTIONS: dict[str, Callable[[Point], None]] = {"raise": _raise, "exit": _exit, "kill": _kill, "delay": _delay}
# The actions in the main process.
MAIN_ACTIONS = ACTIONS | {"exit": _raise, "kill": _raise}


@dataclass(frozen=True, slots=True)
class Rule:
    """When a point fails, and how. stage: None for all stages. chance, call: one of them is 0."""

    point: Point
    stage: str | None
    chance: float
    call: int
    action: str


class Fault:
    """The fault of one point of one worker. Each process that uses it counts its calls from the first one.

    rules: the rules of this point. process: the main process.
    """

    def __init__(self, point: Point, rules: tuple[Rule, ...], seed: str, process: int) -> None:
        # The import is here so that only programs with fault injection pay for it.
        from random import Random

        self._parts = point, rules, seed, process
        self._random = Random(f"{seed} {point.value}")  # noqa: S311  # not used as a secret
        self._calls = count(1)

    def inject(self) -> None:
        """Count a call that is about to be made, and fail if a rule applies."""
        point, rules, _, process = self._parts
        call = next(self._calls)
        actions = MAIN_ACTIONS if os.getpid() == process else ACTIONS
        for rule in rules:
            if call == rule.call or self._random.random() < rule.chance:
                actions[rule.action](point)

    def before(self, function: Callable[P, T]) -> Callable[P, T]:
        """A function that injects the fault and then calls the given function."""

        def faulty(*args: P.args, **kwargs: P.kwargs) -> T:
            self.inject()
            return function(*args, **kwargs)

        return faulty

    def __reduce__(self) -> tuple[type[Fault], tuple[Point, tuple[Rule, ...], str, int]]:
        return Fault, self._parts


@dataclass(frozen=True, slots=True)
class FaultsOfWorker:
    """The faults of one worker. They are pickled with the worker. process: the main process."""

    rules: tuple[Rule, ...]
    seed: str
    process: int

    def at(self, point: Point) -> Fault | None:
        """The fault of one point; None if it has none."""
        rules = tuple(rule for rule in self.rules if rule.point is point)
        return Fault(point, rules, self.seed, self.process) if rules else None


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults that the variable requests."""

    rules: tuple[Rule, ...] = ()
    seed: str = "0"

    @classmethod
    def requested(cls) -> Faults:
        """The faults that the environment requests now. Raises StageOptionError."""
        return cls.read(os.environ.get(VARIABLE, ""))

    @classmethod
    def read(cls, text: str) -> Faults:
        """The faults that a text requests. Raises StageOptionError.

        >>> Faults.read("send@decode=#3:kill;seed=7").rules
        (Rule(point=<Point.SEND: 'send'>, stage='decode', chance=0.0, call=3, action='kill'),)
        """
        parts, _, seed = text.partition(";")
        number = seed.strip().removeprefix("seed=")
        if seed and (number == seed.strip() or not number.isdecimal()):
            raise _refused(text, seed, "behind ';' comes seed=NUMBER")
        rules = tuple(_rule(text, part) for part in parts.split(",") if part.strip())
        return cls(rules, number or "0")

    def of_worker(self, stages: list[str], number: int, generation: int) -> FaultsOfWorker | None:
        """The faults of the worker of this number and generation; None if it has none.

        generation: how many workers have run in its slot before.
        """
        rules = tuple(
            rule
            for rule in self.rules
            if (rule.stage is None or rule.stage in stages) and not (rule.call and generation)
        )
        if not rules:
            return None
        return FaultsOfWorker(rules, f"{self.seed} {stages} {number} {generation}", os.getpid())


def _rule(text: str, part: str) -> Rule:
    target, is_given, rest = part.strip().partition("=")
    point, _, stage = target.partition("@")
    when, _, action = rest.partition(":")
    if point not in {each.value for each in Point}:
        raise _refused(text, part, f"a point is one of {', '.join(each.value for each in Point)}")
    if action and action not in ACTIONS:
        raise _refused(text, part, f"an action is one of {', '.join(ACTIONS)}")
    chance, call = _chance(when), _call(when)
    if not is_given or (chance is None and call is None):
        raise _refused(text, part, "'=' is followed by a probability such as 0.01, or by a call such as #3")
    return Rule(Point(point), stage or None, chance or 0.0, call or 0, action or "raise")


def _chance(when: str) -> float | None:
    try:
        chance = float(when)
    except ValueError:
        return None
    return chance if 0 < chance <= 1 else None


def _call(when: str) -> int | None:
    number = when.removeprefix("#")
    return int(number) if when != number and number.isdecimal() and int(number) > 0 else None


def _refused(text: str, part: str, rule: str) -> StageOptionError:
    return StageOptionError(f"{VARIABLE}={text!r} cannot be read at {part.strip()!r}: {rule}.")
