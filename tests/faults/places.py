"""Where the workers of a test run: every fault is looked for in every place where it can occur."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from chainpump import Pipeline
from faults import stages
from faults.executors import on

__all__ = [
    "ANYWHERE",
    "EVERYWHERE",
    "EXECUTORS",
    "FORK",
    "FORKING",
    "MOST",
    "MOST_WORKERS",
    "PROCESSES",
    "WAYS",
    "WITH_WORKERS",
    "beside",
    "collected",
    "on",
    "places",
    "plain",
]

# Python 3.12 and later warn of a fork beside threads, which the tests themselves have.
FORK = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def places(*names: str) -> Sequence[Any]:
    """These names as values of a parameter."""
    return [pytest.param(name, marks=FORK if name == "fork" and sys.version_info >= (3, 12) else ()) for name in names]


# Each spawned worker takes 100 ms of a processor: who has neighbours has them `beside`.
MOST = places("forkserver", "fork", "threads", "inline")
MOST_WORKERS = places("forkserver", "fork", "threads")
FORKING = places("forkserver", "fork")
PROCESSES = places("forkserver", "spawn", "fork")
WITH_WORKERS = places("forkserver", "spawn", "fork", "threads")
EVERYWHERE = places("forkserver", "spawn", "fork", "threads", "inline")

# With those that take async functions alone.
EXECUTORS = places("forkserver", "spawn", "fork", "threads", "tasks")
ANYWHERE = places("forkserver", "spawn", "fork", "threads", "tasks", "inline")


def beside(place: str) -> str:
    """Where the neighbours of a worker in this place are: where plain functions run, and start soon."""
    return {"spawn": "forkserver", "tasks": "threads"}.get(place, place)


def plain(place: str) -> str:
    """The same place, or where what takes all items runs, which tasks cannot."""
    return "threads" if place == "tasks" else place


def iterated(pipeline: Pipeline[Any], _: str, **how: Any) -> list[Any]:
    """Its items, as the caller's loop gets them."""
    return list(pipeline.open(**how) if how else pipeline)


def collected(pipeline: Pipeline[Any], place: str, **how: Any) -> list[Any]:
    """Its items, as a sink beside gets them."""
    items: list[Any] = pipeline.into(stages.collect, on=on(beside(place))).run(**how).value
    return items


WAYS = pytest.mark.parametrize("way", [iterated, collected], ids=lambda way: way.__name__)
