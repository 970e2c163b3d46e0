"""Functions of stages at the top level of a module, for workers that are spawned."""

from __future__ import annotations

import os
import signal
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
