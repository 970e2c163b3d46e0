"""What a test does at the same time as it waits, and the threads that should be over by then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from support.gate import LIMIT

__all__ = ["ends", "meanwhile", "threads_that_stay"]

T = TypeVar("T")


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do this in a thread while the block runs; afterwards wait for it, and raise what it raised."""
    with ThreadPoolExecutor(1, thread_name_prefix="test") as pool:
        future = pool.submit(work)
        yield future
        future.result(LIMIT)


def ends(call: Callable[[], object]) -> bool:
    """Whether a call comes back."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(LIMIT)
    return not thread.is_alive()


def threads_that_stay() -> list[threading.Thread]:
    """The library's threads that do not end by themselves."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("chainpump")]
    for thread in ours:
        thread.join(LIMIT)
    return [thread for thread in ours if thread.is_alive()]
