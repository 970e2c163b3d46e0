"""Executors by the names of their places. Workers import this, so it imports nothing that they do not need."""

from __future__ import annotations

from typing import Any

from chainpump import Executor, Inline, Processes, Tasks, Threads

__all__ = ["on"]

METHODS: dict[str, Any] = {
    "forkserver": lambda workers: Processes(workers, start_method="forkserver"),
    "spawn": lambda workers: Processes(workers, start_method="spawn"),
    "fork": lambda workers: Processes(workers, start_method="fork"),
    "threads": Threads,
    # Of async functions only.
    "tasks": Tasks,
    "inline": lambda _: Inline(),
}


def on(place: str, workers: int = 1) -> Executor:
    """The executor of this name."""
    executor: Executor = METHODS[place](workers)
    return executor
