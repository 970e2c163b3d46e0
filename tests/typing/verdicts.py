"""The verdicts of mypy, of pyright and of the build-time core on some thousands of pairs of hints.

    python -m tests.typing.verdicts [--all]

It prints, for each group, how many pairs both checkers judge alike, of how many of those the core says the same, and
how often a check raised something; then those that differ. --all: also the pairs about which the checkers differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from checkers import mypy, pyright

FOLDER = Path(__file__).parent
IN_MODULE = 3_000  # cases: of more, pyright calls a module too complex
IMPORTS = """
import array, asyncio, csv, gzip, io, itertools, mmap, os, re, tempfile, types
from abc import ABCMeta
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import *
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from io import BytesIO, StringIO
from multiprocessing.pool import Pool
from pathlib import Path, PosixPath, PurePath
from threading import Thread
from types import MappingProxyType
from typing import (IO, Annotated, Any, BinaryIO, ContextManager, Generic, Literal, NamedTuple, Never, Optional,
    Protocol, SupportsAbs, SupportsFloat, SupportsIndex, SupportsInt, TextIO, TypedDict, Union)
from uuid import UUID
import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer
from verdict_hints import *
from verdict_hints import Sink, Source
from _thread import LockType as Lock
class ByteHolder:
    def __buffer__(self, flags: int, /) -> memoryview:
        raise NotImplementedError
"""


class Hint(NamedTuple):
    """A hint, and its text."""

    text: str
    value: Any


class Case(NamedTuple):
    """A hint that is given, and one that is expected."""

    group: str
    given: Hint
    expected: Hint


class Table(NamedTuple):
    """All cases, and the text of modules that have each on a line of its own, after a head of so many lines."""

    cases: list[Case]
    modules: list[str]
    head: int

    def place(self, number: int) -> tuple[str, int]:
        """The file and the line of a case."""
        return f"table_{number // IN_MODULE}.py", self.head + 1 + number % IN_MODULE


def table(each: int = 1) -> Table:
    """The cases of this version of Python, without hints that it cannot make. each: the how many of them are taken."""
    pairs = import_module("verdict_pairs")
    is_new = sys.version_info >= (3, 12)
    head = IMPORTS + (pairs.NEW_HINTS if is_new else "")
    module = sys.modules["verdict_names"] = ModuleType("verdict_names")  # classes look for the module that they are of
    names = vars(module)
    exec(head, names)
    groups: Mapping[str, str] = {**pairs.GROUPS, **(pairs.NEW_GROUPS if is_new else {})}
    cases = [Case(name, *pair) for name, text in groups.items() for pair in _pairs(text, names)][::each]
    head = f"# mypy: allow-any-generics\n{head}"
    lines = [
        f"def case_{at}(given: {case.given.text}) -> {case.expected.text}: return given"
        for at, case in enumerate(cases)
    ]
    parts = (lines[at : at + IN_MODULE] for at in range(0, len(lines), IN_MODULE))
    return Table(cases, ["\n".join([head, *part]) for part in parts], head.count("\n") + 1)


def _pairs(group: str, names: dict[str, Any]) -> Iterator[tuple[Hint, Hint]]:
    texts = [text.strip() for line in group.strip().splitlines() for text in line.split(";") if text.strip()]
    hints = [Hint(text, eval(text, names)) for text in texts if _is_made(text, names)]
    yield from ((one, other) for one in hints for other in hints if one is not other)


def _is_made(text: str, names: dict[str, Any]) -> bool:
    """Whether Python can evaluate a hint: `array[int]` is for type checkers, until 3.12."""
    try:
        eval(text, names)
    except TypeError:
        return False
    return True


def write(folder: Path, made: Table) -> None:
    """The modules of a table, beside what they import."""
    for number, text in enumerate(made.modules):
        (folder / f"table_{number}.py").write_text(text)
    (folder / "verdict_hints.py").write_text((FOLDER / "verdict_hints.py").read_text())


def core(made: Table) -> list[bool | Exception]:
    """What the build-time core says of each case; the exception, where a rule raised one."""
    from chainpump.hints.assignability import compared, fits

    verdicts: list[bool | Exception] = []
    for each in made.cases:
        known = compared()
        try:
            is_fit = fits(each.given.value, each.expected.value, {}, known)
            verdicts.append(known.raised[0] if known.raised else is_fit)
        except Exception as error:  # what is counted
            verdicts.append(error)
    return verdicts


def main() -> None:
    """Ask all three, and print what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the pairs about which the checkers differ")
    show_all = parser.parse_args().all
    made = table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, made)
        refused = [checker(folder) for checker in (mypy, pyright)]
    ours = core(made)
    rows: dict[str, list[int]] = {}
    for at, (case, verdict) in enumerate(zip(made.cases, ours, strict=True)):
        theirs = [made.place(at) not in each for each in refused]
        row = rows.setdefault(case.group, [0, 0, 0, 0])
        is_agreed = theirs[0] == theirs[1]
        row[0] += 1
        row[1] += is_agreed
        row[2] += is_agreed and verdict == theirs[0]
        row[3] += isinstance(verdict, Exception)
        if verdict not in theirs or (show_all and not is_agreed):
            said = f"{verdict!r}; mypy {theirs[0]}, pyright {theirs[1]}"
            print(f"{case.group}: {case.given.text} -> {case.expected.text}: {said}")
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    print(f"\n{'group':24} {'pairs':>6} {'agreed':>7} {'right':>6} {'share':>7} {'raised':>7}")
    for group, row in {**rows, f"all, {sys.version.split()[0]}": total}.items():
        print(f"{group:24} {row[0]:6} {row[1]:7} {row[2]:6} {row[2] / row[1]:7.1%} {row[3]:7}")


if __name__ == "__main__":
    main()
