"""What a test can know of processes: who descends from whom, whether one sleeps, and the moment of its death."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import pytest

from chainpump.ipc.board import CELLS, Board
from support.gate import LIMIT

__all__ = [
    "become_reaper",
    "descendants",
    "descriptors",
    "gone",
    "helpers",
    "kill_and_reap",
    "mappings",
    "parent",
    "press_ctrl_c",
    "signal_if_alive",
    "state",
    "until",
    "wait_asleep",
    "watching",
]

# <linux/prctl.h>.
PR_SET_CHILD_SUBREAPER = 36
# How the library's memory is called in a list of mappings.
SHARED = ("memfd:chainpump", "/dev/shm/#")
LISTS_CHILDREN = Path("/proc/thread-self/children").exists()


def become_reaper() -> None:
    """Adopt every orphan among this process's descendants, so that none can hide by losing its parent."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def helpers() -> set[int]:
    """The processes that the standard library keeps for the life of the program."""
    # They have no public getter.
    known = (vars(forkserver._forkserver)["_forkserver_pid"], vars(resource_tracker._resource_tracker)["_pid"])
    return {pid for pid in known if pid is not None}


def descendants() -> set[int]:
    """All processes that this one has started, directly or not, except `helpers`. Reaps orphans that have ended."""
    # A process whose parent dies moves to this one, and a list that changes while it is read may skip one: so two
    # looks agree before they are believed.
    found, before = _descendants(), None
    while found != before:
        found, before = _descendants(), found
    return {pid for pid in found - helpers() if not _reaped(pid)}


def _descendants() -> set[int]:
    children = children_by_thread if LISTS_CHILDREN else children_of_all()
    found: set[int] = set()
    fresh = {os.getpid()}
    while fresh:
        fresh = {child for pid in fresh for child in children(pid)} - found
        found |= fresh
    return found


def children_by_thread(pid: int) -> set[int]:
    """As the kernel lists them: how much else the machine does costs nothing. None of a process that has ended."""
    found: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found.update(map(int, (thread / "children").read_text().split()))
    return found


def children_of_all() -> Callable[[int], set[int]]:
    """The same from the parents of all processes of the machine, for kernels without CONFIG_PROC_CHILDREN."""
    children: dict[int, set[int]] = {}
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        fields = _stat(pid)
        if fields is not None:
            children.setdefault(int(fields[1]), set()).add(pid)
    return lambda pid: children.get(pid, set())


def parent(pid: int) -> int:
    """Who has started a process that lives."""
    fields = _stat(pid)
    assert fields is not None, f"process {pid} has ended"
    return int(fields[1])


def _stat(pid: int) -> list[str] | None:
    """The fields of a `/proc/PID/stat` behind the name: state, parent and so on. None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        # Somebody else's child, who reaps it.
        return state(pid) in ("", "Z")


def state(pid: int) -> str:
    """The letter of a process's state, such as S for asleep or Z for dead and not reaped; empty if there is none."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def wait_asleep(pid: int) -> None:
    """Wait until a process sleeps, and goes on sleeping in one and the same system call: it has nothing to do."""
    seen: list[tuple[str, ...]] = []

    def rests() -> bool:
        seen.append(_rest(pid))
        return len(seen) > 20 and len(set(seen[-20:])) == 1 and seen[-1][0] == "S"

    until(rests, f"process {pid} to come to rest")


def press_ctrl_c(pid: int, to_group: bool = False) -> None:
    """Interrupt a process once its main thread waits: CPython may miss a signal that comes just as a wait begins."""
    wait_asleep(pid)
    (os.killpg if to_group else os.kill)(pid, signal.SIGINT)


def signal_if_alive(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended already, and been reaped: then nobody is there to take it."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def until(holds: Callable[[], bool], what: str) -> None:
    """Ask again and again until this holds: for facts that nothing tells of."""
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline, f"waited {LIMIT:g} s for {what}"
        select.select([], [], [], 0.002)


def _rest(pid: int) -> tuple[str, ...]:
    """The state of a process, the system call of each of its threads, and the switches so far."""
    calls = []
    for thread in sorted(Path(f"/proc/{pid}/task").iterdir()):
        # It has ended since it was listed.
        with suppress(FileNotFoundError, ProcessLookupError):
            calls.append((thread / "syscall").read_text())
    switches = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "ctxt_switches" in line]
    return (state(pid), *calls, *switches)


def own_view(board: Board, row: int) -> memoryview:
    """A worker's row of the board, which outlives the run: the views that the board hands out go with that."""
    return memoryview(board.row(row).obj).cast("Q")[row * CELLS : (row + 1) * CELLS]


@contextmanager
def watching(pids: Iterable[int]) -> Iterator[list[int]]:
    """Descriptors that become readable as these processes die, whoever takes their numbers afterwards.

    Those that are gone already have none.
    """
    if not hasattr(os, "pidfd_open"):
        pytest.skip("nothing tells here of the death of a process that is no child")
    ends: list[int] = []
    for pid in pids:
        with suppress(ProcessLookupError):
            ends.append(os.pidfd_open(pid))
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def gone(watched: Iterable[int], within: float = LIMIT) -> bool:
    """Wait until all of the processes behind `watching` have died; False if that takes longer."""
    deadline = time.monotonic() + within
    return all(select.select([end], [], [], max(0.0, deadline - time.monotonic()))[0] for end in watched)


def kill_and_reap(pids: Iterable[int]) -> None:
    """End what a test has left on purpose, or by a defect."""
    for pid in pids:
        with watching([pid]) as watched, suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            gone(watched)
    descendants()


def descriptors() -> set[str]:
    """What each open descriptor of this process leads to."""
    found = set()
    # Not by `Path`, which takes ten times longer: this is called three times for each test.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        # The listing's own.
        with suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115
    return found


def mappings() -> set[str]:
    """The library's shared memory in this process."""
    maps = Path("/proc/self/maps").read_text()
    # Nearly always, and there are a thousand lines.
    if not any(name in maps for name in SHARED):
        return set()
    return {line for line in maps.splitlines() if any(name in line for name in SHARED)}
