"""How many processors this process may use: fewer than the machine has, where its affinity or a cgroup says so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path

__all__ = ["processors"]


def processors(root: Path = Path("/")) -> int:
    """A whole number of at least 1, as far as the system says; of a quota, a part of one counts as one.

    root: of the file system, in which `proc` and `sys` are.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([allowed, *(max(ceil(quota), 1) for quota in _quotas(root))])


def _quotas(root: Path) -> Iterator[float]:
    """Of every cgroup that this process is in: how many processors' time it gets. See cgroups(7)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            # Version 2: both figures are in one file.
            mounts, files = [""], ["cpu.max"]
        elif "cpu" in controllers.split(","):
            # Version 1, by either name.
            mounts, files = [controllers, "cpu"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        for mount in mounts:
            # A container sees its own part of the tree only: what is not there says nothing.
            within = Path(path.lstrip("/"))
            for folder in (within, *within.parents):
                yield from _quota(root / "sys/fs/cgroup" / mount / folder, files)


def _quota(folder: Path, files: Sequence[str]) -> Iterator[float]:
    """What one cgroup has; nothing where it has no limit: `max`, or -1."""
    try:
        quota, period = " ".join((folder / file).read_text() for file in files).split()
    except (OSError, ValueError):
        return
    if quota.isdecimal() and int(period):
        yield int(quota) / int(period)
