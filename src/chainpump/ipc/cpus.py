"""How many processors this process may use: its CPU affinity or a cgroup may allow fewer than the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path

__all__ = ["processors"]


def processors(root: Path = Path("/")) -> int:
    """Return the number of processors, at least 1. A fraction of a processor in a quota is rounded up.

    root: the root of the file system that contains `proc` and `sys`.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([allowed, *(max(ceil(quota), 1) for quota in _quotas(root))])


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota of each cgroup of this process, in processors. See cgroups(7)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            # In version 2 one file contains both numbers.
            mounts, files = [""], ["cpu.max"]
        elif "cpu" in controllers.split(","):
            # In version 1 the controller is mounted under one of two names.
            mounts, files = [controllers, "cpu"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        for mount in mounts:
            # A container sees only its own part of the tree. A missing folder has no quota.
            within = Path(path.lstrip("/"))
            for folder in (within, *within.parents):
                yield from _quota(root / "sys/fs/cgroup" / mount / folder, files)


def _quota(folder: Path, files: Sequence[str]) -> Iterator[float]:
    """Yield the quota of one cgroup; nothing if it has no limit (`max` or -1)."""
    try:
        quota, period = " ".join((folder / file).read_text() for file in files).split()
    except (OSError, ValueError):
        return
    if quota.isdecimal() and int(period):
        yield int(quota) / int(period)
