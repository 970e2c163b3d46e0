"""What a test does at the same time as it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from support.gate import LIMIT

__all__ = ["meanwhile"]

T = TypeVar("T")


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do this in a thread while the block runs; afterwards wait for it, and raise what it raised."""
    with ThreadPoolExecutor(1, thread_name_prefix="test") as pool:
        future = pool.submit(work)
        yield future
        future.result(LIMIT)
