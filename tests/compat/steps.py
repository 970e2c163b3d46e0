"""Functions of stages at the top level of a module, for workers that are spawned."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from typing import Any

from chainpump.compat.pypeln.calls import StageStatus, WorkerInfo


def started(worker_info: WorkerInfo) -> dict[str, Any]:
    return {"number": worker_info.index}


def scaled(value: int, number: int, factor: int = 10) -> tuple[int, int]:
    return value * factor, number


def counted(stage_status: StageStatus, namespace_of: Any = None) -> None:
    assert namespace_of is None
    assert stage_status.done == (stage_status.active_workers == 0)


def killed(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def slow_at_two(value: int) -> int:
    if value == 2:
        time.sleep(600)
    return value


def use_queue(source: Any) -> None:
    """Use each method of a queue of another process, of at most 3 items."""
    assert source.empty()
    for value in range(3):
        source.put(value)
    assert source.full()
    assert source.qsize() == 3
    for put in (source.put_nowait, lambda value: source.put(value, timeout=0.01)):
        try:
            put(3)
        except queue.Full:
            continue
        raise AssertionError("there was room")
    assert [source.get(), source.get_nowait()] == [0, 1]
    source.clear()
    for get in (source.get_nowait, lambda: source.get(timeout=0.01)):
        try:
            get()
        except queue.Empty:
            continue
        raise AssertionError("there was an item")
    try:
        source.put(threading.Lock())
    except TypeError:
        source.raise_exception(KeyError("from elsewhere"))
    assert not source.is_done()
