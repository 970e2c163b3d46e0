"""Where source, stages and sink of a test run: every executor alone, and mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from chainpump import Executor, Inline, Processes, Threads

__all__ = ["EVERYWHERE", "MOST", "WITH_WORKERS", "Placing"]


class Placing(NamedTuple):
    """The executors of a source, of the stages and of a sink."""

    source: Executor
    stage: Executor
    sink: Executor


FORKSERVER, SPAWN, FORK = Processes(), Processes(start_method="spawn"), Processes(start_method="fork")
THREADS, INLINE = Threads(), Inline()

PLACINGS: Mapping[str, Placing] = {
    "inline": Placing(INLINE, INLINE, INLINE),
    "threads": Placing(THREADS, THREADS, THREADS),
    "forkserver": Placing(FORKSERVER, FORKSERVER, FORKSERVER),
    "fork": Placing(FORK, FORK, FORK),
    "spawn": Placing(SPAWN, SPAWN, SPAWN),
    "threads-forkserver-fork": Placing(THREADS, FORKSERVER, FORK),
    "fork-threads-inline": Placing(FORK, THREADS, INLINE),
    "forkserver-inline-forkserver": Placing(FORKSERVER, INLINE, FORKSERVER),
    "inline-inline-forkserver": Placing(INLINE, INLINE, FORKSERVER),
    "forkserver-inline-inline": Placing(FORKSERVER, INLINE, INLINE),
    "inline-threads-inline": Placing(INLINE, THREADS, INLINE),
}

# Python 3.12 and later warn of a fork beside threads, which the tests themselves have.
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _named(*names: str) -> Sequence[Any]:
    return [pytest.param(PLACINGS[name], id=name, marks=FORKS if "fork" in name.split("-") else ()) for name in names]


EVERYWHERE = _named(*PLACINGS)
# Each spawned worker takes 100 ms of a processor.
MOST = _named(*(name for name in PLACINGS if name != "spawn"))
# Each can have several.
WITH_WORKERS = _named("forkserver", "fork", "threads", "threads-forkserver-fork")
