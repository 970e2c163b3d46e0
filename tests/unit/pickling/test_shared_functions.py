"""The functions of a worker on their way to its process: once in memory, whatever their arguments."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, reduction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainpump.ipc.system import VARIABLE
from chainpump.pickling.shared_functions import MEMORY, SharedFunctions
from chainpump.plan.bound import Bound

LARGE = 1 << 20


@pytest.fixture(params=["linux", "portable"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)


class Handed:
    """In place of a descriptor that is sent to a process as that starts."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def detach(self) -> int:
        return self._fd

    def __reduce__(self) -> tuple[type[Handed], tuple[int]]:
        return Handed, (os.dup(self._fd),)


@pytest.fixture(autouse=True)
def spawning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are started within this process."""
    monkeypatch.setattr(reduction, "DupFd", Handed)


def loaded(code: SharedFunctions) -> tuple[Any, SharedFunctions]:
    """The argument as a worker gets it, and the worker's own code."""
    there: SharedFunctions = pickle.loads(pickle.dumps(code))
    (call,) = there.load()
    return call.args[0], there


def code_of(argument: object) -> SharedFunctions:
    return SharedFunctions([Bound(len, (argument,))])


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def is_shared(array: Any) -> bool:
    """Whether it lies in the mapping of a file, or of memory that has no name."""
    address = array.__array_interface__["data"][0]
    with Path("/proc/self/maps").open() as lines:
        for line in lines:
            span, flags, *_, path = line.split(None, 5)
            start, end = (int(each, 16) for each in span.split("-"))
            if start <= address < end:
                return flags == "rw-p" and path.startswith((f"/memfd:{MEMORY}", "/dev/shm/"))
    return False


def test_large_array_among_the_arguments_is_mapped_by_each_worker_and_not_copied() -> None:
    code = code_of(np.arange(LARGE))
    (first, _), (second, _) = loaded(code), loaded(code)
    assert is_shared(first)
    assert is_shared(second)
    assert first[-1] == second[-1] == LARGE - 1


def test_array_among_the_arguments_is_each_worker_s_own_to_write() -> None:
    table = np.zeros(LARGE)
    code = code_of(table)
    (first, _), (second, _) = loaded(code), loaded(code)
    first[5] = 1
    assert (first[5], second[5], table[5], loaded(code)[0][5]) == (1, 0, 0, 0)


def test_array_that_nobody_may_write_arrives_so() -> None:
    table = np.zeros(LARGE)
    table.flags.writeable = False
    arrived, _ = loaded(code_of(table))
    assert is_shared(arrived)
    assert not arrived.flags.writeable


@pytest.mark.parametrize("argument", [3, b"x" * LARGE, [str(n) for n in range(100_000)], {"a": np.arange(LARGE)}])
def test_arguments_of_any_kind_and_size_arrive(argument: Any) -> None:
    arrived, _ = loaded(code_of(argument))
    assert type(arrived) is type(argument)
    assert str(arrived) == str(argument)


@pytest.mark.parametrize("argument", [3, b"x" * LARGE, np.arange(LARGE)])
def test_what_functions_were_pickled_in_is_dropped_once_they_are_loaded(argument: Any) -> None:
    _, there = loaded(code_of(argument))
    assert vars(there)["_parcel"] is None


@pytest.mark.parametrize("argument", [3, b"x" * LARGE, np.arange(LARGE), [str(n) for n in range(100_000)]])
def test_a_process_hands_on_functions_of_another_machine_to_its_workers(argument: Any) -> None:
    packed = code_of(argument).packed()
    code = SharedFunctions.unpacked(packed)
    first, second = (loaded(code)[0] for _ in range(2))
    assert type(first) is type(second) is type(argument)
    assert str(first) == str(second) == str(argument)
    assert SharedFunctions.unpacked(packed).digest() == SharedFunctions.unpacked(packed).digest() is not None


def test_array_from_another_machine_is_mapped_by_each_worker_and_its_own_to_write() -> None:
    code = SharedFunctions.unpacked(code_of(np.zeros(LARGE)).packed())
    (first, _), (second, _) = loaded(code), loaded(code)
    assert is_shared(first)
    first[5] = 1
    assert (first[5], second[5]) == (1, 0)


def test_an_argument_that_only_processes_of_one_machine_can_share_is_refused_for_another() -> None:
    code = code_of([get_context("spawn").Lock()])
    with pytest.raises(TypeError, match=r"^Lock of multiprocessing cannot be shared with another machine$"):
        code.packed()


def test_files_are_closed_once_nobody_needs_them() -> None:
    before = files()
    code = code_of([b"x" * LARGE, np.arange(LARGE)])
    arrived = loaded(code)[0]
    code.drop()
    # That of the mapping, which goes with the array.
    assert files() == before + 1
    del arrived
    assert files() == before


def test_where_there_is_no_room_for_shared_memory_each_worker_has_a_copy() -> None:
    with no_file_may_grow():
        arrived, _ = loaded(code_of(np.arange(LARGE)))
    assert not is_shared(arrived)
    assert arrived[-1] == LARGE - 1
