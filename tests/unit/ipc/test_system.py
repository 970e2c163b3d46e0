"""What stands in for what only Linux has: chosen by the platform, or by the environment."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from pathlib import Path

import pytest

from chainpump import Pipeline, Processes, StageOptionError
from chainpump.ipc.system import VARIABLE, is_portable, shared_file


@pytest.fixture(params=["linux", "portable"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)


@pytest.mark.parametrize("platform, portable", [("linux", False), ("darwin", True)])
@pytest.mark.parametrize("value", [None, ""])
def test_the_platform_decides_where_the_environment_does_not(
    platform: str, portable: bool, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    assert is_portable() is portable


def test_an_unknown_transport_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "portabel")
    with pytest.raises(StageOptionError, match=r"^CHAINPUMP_TRANSPORT must be linux or portable but is: 'portabel'\.$"):
        list(Pipeline(range(3)).map(str, on=Processes(1)))


def test_what_only_linux_has_is_refused_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv(VARIABLE, "linux")
    with pytest.raises(StageOptionError, match="CHAINPUMP_TRANSPORT=linux does not work on darwin"):
        is_portable()


def test_two_mappings_of_a_shared_file_are_the_same_memory(transport: str) -> None:
    file = shared_file("test", mmap.PAGESIZE)
    with mmap.mmap(file.fileno(), mmap.PAGESIZE) as here, mmap.mmap(file.fileno(), mmap.PAGESIZE) as there:
        here[7] = 42
        assert there[7] == 42
    file.close()


def test_a_shared_file_has_no_name(transport: str) -> None:
    file = shared_file("test", 100)
    assert os.fstat(file.fileno()).st_nlink == 0
    assert not Path(f"/proc/self/fd/{file.fileno()}").readlink().exists()
    file.close()


@pytest.mark.parametrize("reserved", [True, False])
def test_only_a_reserved_shared_file_takes_room_at_once(transport: str, reserved: bool) -> None:
    file = shared_file("test", 1 << 20, reserved=reserved)
    status = os.fstat(file.fileno())
    assert status.st_size == 1 << 20
    assert (status.st_blocks * 512 >= 1 << 20) is reserved
    file.close()


def test_a_shared_file_that_grows_cannot_be_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "linux")
    file = shared_file("test", 0)
    os.ftruncate(file.fileno(), 8192)
    with pytest.raises(PermissionError):
        os.ftruncate(file.fileno(), 4096)
    file.close()


@pytest.mark.parametrize("nbytes", [0, 4095, 8192])
def test_a_shared_file_of_linux_cannot_be_cut_off_nor_grow(nbytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "linux")
    file = shared_file("test", 4096)
    with pytest.raises(PermissionError):
        os.ftruncate(file.fileno(), nbytes)
    with pytest.raises(PermissionError):
        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    file.close()
