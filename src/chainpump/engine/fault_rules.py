"""Faults on purpose: the calls that can fail in a real system do so when one environment variable asks for it.

    CHAINPUMP_FAULTS="send=0.01,slab@decode=#3:kill,control=0.05:delay;seed=7"

Each part names a point, of all workers or of one stage's, says when it fails, and how. When: with a probability, or at
the n-th call of each worker; successors of a worker do not repeat that one. How: `raise` an OSError (the default),
`exit` and `kill` end the process without a word, `delay` waits for 50 ms. In the main process, which is the user's,
`exit` and `kill` raise.

This module reads the variable, and says when a call fails; `fault_injection` wraps what is to fail.
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
# Seconds: longer than any wait inside the library but those for other workers.
DELAY = 0.05
# EX_SOFTWARE of <sysexits.h>; no worker ends with it by itself.
EXIT_CODE = 70


class Point(Enum):
    """A call that can be made to fail."""

    # In the main process, of an executor that is to start a worker.
    SPAWN = "spawn"
    # In a worker, before it loads its functions.
    START = "start"
    # Of a frame.
    SEND = "send"
    # Of a frame, and each look whether there is one.
    RECEIVE = "receive"
    # A frame is copied into shared memory.
    SLAB = "slab"
    # A worker process says how it ended, or sends a dead letter.
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
# In the main process.
SPARING = ACTIONS | {"exit": _raise, "kill": _raise}


@dataclass(frozen=True, slots=True)
class Rule:
    """When one point fails, and how. stage: None for all. chance, call: one of them is 0."""

    point: Point
    stage: str | None
    chance: float
    call: int
    action: str


class Fault:
    """What one point of one worker meets. Each process that uses it counts its calls from the first one.

    rules: those of this point. process: the main one.
    """

    def __init__(self, point: Point, rules: tuple[Rule, ...], seed: str, process: int) -> None:
        # Only a program that asks for faults pays for this import.
        from random import Random

        self._parts = point, rules, seed, process
        self._random = Random(f"{seed} {point.value}")  # noqa: S311  # it is no secret
        self._calls = count(1)

    def inject(self) -> None:
        """One call is about to be made: fail, if a rule says so."""
        point, rules, _, process = self._parts
        call = next(self._calls)
        actions = SPARING if os.getpid() == process else ACTIONS
        for rule in rules:
            if call == rule.call or self._random.random() < rule.chance:
                actions[rule.action](point)

    def before(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, with the fault in front of it."""

        def faulty(*args: P.args, **kwargs: P.kwargs) -> T:
            self.inject()
            return function(*args, **kwargs)

        return faulty

    def __reduce__(self) -> tuple[type[Fault], tuple[Point, tuple[Rule, ...], str, int]]:
        return Fault, self._parts


@dataclass(frozen=True, slots=True)
class FaultsOfWorker:
    """What one worker meets. It travels with the worker. process: the main one."""

    rules: tuple[Rule, ...]
    seed: str
    process: int

    def at(self, point: Point) -> Fault | None:
        """What it meets at one point; None for nothing."""
        rules = tuple(rule for rule in self.rules if rule.point is point)
        return Fault(point, rules, self.seed, self.process) if rules else None


@dataclass(frozen=True, slots=True)
class Faults:
    """All that the variable asks for."""

    rules: tuple[Rule, ...] = ()
    seed: str = "0"

    @classmethod
    def asked(cls) -> Faults:
        """What the environment asks for now. Raises StageOptionError."""
        return cls.read(os.environ.get(VARIABLE, ""))

    @classmethod
    def read(cls, text: str) -> Faults:
        """What a text asks for. Raises StageOptionError.

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
        """What the worker of this number meets, or its replacement of this generation; None if nothing concerns it."""
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
