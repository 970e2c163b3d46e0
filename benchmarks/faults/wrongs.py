"""What goes wrong: a source, a function of one item and a loop over the results, of which one misbehaves.

Workers import all of it. The culprit's place and value occur nowhere else, so that an error that names them is seen to.
"""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Any: items are opaque.
from typing import Any, NoReturn

# Of the culprit.
PLACE = 613
# The number of the first item.
FIRST = 40_000
CULPRIT = FIRST + PLACE
ITEMS = 1000
SLOW_ITEMS = 500
# Seconds per item: ten seconds in all, where the end is to come long before.
SLOW = 0.02
# Items after which a loop is left, or the main process killed.
EARLY = 10


# ---------------------------------------------------------------------------------------------------- sources


def plain_items() -> Iterator[int]:
    """Numbers."""
    yield from range(FIRST, FIRST + ITEMS)


def slow_items() -> Iterator[int]:
    """Fewer of them: their work is slow."""
    yield from range(FIRST, FIRST + SLOW_ITEMS)


def items_that_break() -> Iterator[int]:
    """Raises before the culprit."""
    for number in plain_items():
        if number == CULPRIT:
            raise ValueError("broken source")
        yield number


class Locked(int):
    """A number that cannot be pickled."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a lock")


def items_with_a_lock() -> Iterator[int]:
    """The culprit cannot be pickled."""
    for number in plain_items():
        yield Locked(number) if number == CULPRIT else number


# -------------------------------------------------------------------------------------------------- functions


def refine(number: int) -> int:
    """Nothing goes wrong."""
    return number


def refine_slowly(number: int) -> int:
    """Takes a while."""
    time.sleep(SLOW)
    return number


def refine_raising(number: int) -> int:
    """Raises."""
    if number == CULPRIT:
        raise ValueError("broken value")
    return number


class Unsendable(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def refine_raising_unsendable(number: int) -> int:
    """Raises what cannot leave its process."""
    if number == CULPRIT:
        raise Unsendable("broken value")
    return number


def refine_killed(number: int) -> int:
    """Is killed, as by the kernel when memory runs out."""
    if number == CULPRIT:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refine_gone(number: int) -> int:
    """Ends its process as if all were well, as a library in C may."""
    if number == CULPRIT:
        os._exit(0)
    return number


def refine_exiting(number: int) -> int:
    """Leaves by `sys.exit`."""
    if number == CULPRIT:
        sys.exit()
    return number


class Reluctant(int):
    """A number that can be pickled, and not be loaded again."""

    def __reduce__(self) -> tuple[Callable[[int], NoReturn], tuple[int]]:
        return _refuse, (int(self),)


def _refuse(_: int) -> NoReturn:
    raise ValueError("cannot be rebuilt")


def refine_into_reluctant(number: int) -> int:
    """Its result cannot be loaded."""
    return Reluctant(number) if number == CULPRIT else number


# ------------------------------------------------------------------------------------------------- all of them


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that goes wrong.

    tells: what an error that names it says. ends_early: the program is to end by itself without all items.
    kills_main: somebody kills the main process after `EARLY` items.
    """

    name: str
    tells: str
    work: Callable[[Any], Any]
    items: Callable[[], Iterator[Any]]
    n: int = ITEMS
    ends_early: bool = False
    kills_main: bool = False

    def is_named_in(self, text: str) -> bool:
        """Whether an error says what went wrong."""
        return bool(self.tells and re.search(self.tells, text))

    def stage_is_named_in(self, text: str) -> bool:
        """Whether it says where: by the name of the function, wherever that stands."""
        return any(name in text for name in (self.work.__name__, self.items.__name__, "refine_all"))


def item_is_named_in(text: str) -> bool:
    """Whether it says at which item, by place or value; numbers of lines are no items."""
    return bool(re.search(rf"\b({PLACE}|{CULPRIT})\b", re.sub(r"line \d+", "", text)))


WRONGS = (
    Wrong("nothing", "", refine, plain_items),
    Wrong("the function raises", "ValueError: broken value", refine_raising, plain_items),
    Wrong("it raises what cannot be pickled", "broken value", refine_raising_unsendable, plain_items),
    Wrong("its process is killed (SIGKILL)", r"SIGKILL|[Ss]ignal 9|code -9", refine_killed, plain_items),
    Wrong("its process ends (`os._exit(0)`)", r"(exit code|code|status) 0\b", refine_gone, plain_items),
    Wrong("it calls `sys.exit()`", r"SystemExit|sys\.exit", refine_exiting, plain_items),
    Wrong("the source raises", "ValueError: broken source", refine, items_that_break),
    Wrong("an item cannot be pickled", "cannot pickle a lock", refine, items_with_a_lock),
    Wrong("a result cannot be loaded", "cannot be rebuilt", refine_into_reluctant, plain_items),
    Wrong("the loop is left after 10 items", "", refine_slowly, slow_items, SLOW_ITEMS, ends_early=True),
    Wrong("the main process is killed", "", refine_slowly, slow_items, SLOW_ITEMS, kills_main=True),
)
