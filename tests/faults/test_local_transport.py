"""What `docs/security.md` says: a run listens nowhere and puts nothing where others could reach it."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from chainpump.ipc.system import is_portable
from faults import program
from faults.places import PROCESSES
from faults.program import ended, started
from support.gate import Gate
from support.processes import descendants

SHARED_MEMORY = Path("/dev/shm")
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
# In the flags of /proc/net/unix.
LISTENING = 0x10000
OURS = "/memfd:chainpump-"
# Of each kind of memory: what may not be done to it. Nobody maps the texts.
SEALED = {
    "board": SEALS | fcntl.F_SEAL_GROW,
    "checkpoint": SEALS | fcntl.F_SEAL_GROW,
    "slabs": SEALS,
    "stack": 0,
    "run": 0,
}

# What the standard library has beside the workers: the fork server, which listens, and the resource tracker.
HELPERS = {"forkserver": 2, "spawn": 1, "fork": 0}
LISTENERS = {"forkserver": 1, "spawn": 0, "fork": 0}


class Open(NamedTuple):
    """An open descriptor of a process: what it leads to, and where it can be opened again."""

    target: str
    path: Path

    @property
    def has_name(self) -> bool:
        """Whether a file system leads to it; devices hold no data."""
        found = self.path.stat()
        return self.target.startswith("/") and not stat.S_ISCHR(found.st_mode) and found.st_nlink > 0


def open_in(pid: int) -> Iterator[Open]:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # Closed meanwhile.
        with suppress(FileNotFoundError):
            yield Open(str(path.readlink()), path)


def sockets_in(pid: int) -> set[str]:
    return {target for target, _ in open_in(pid) if target.startswith("socket:")}


def memory_in(pid: int) -> set[str]:
    return {target for target, _ in open_in(pid) if target.startswith(OURS)}


def network_sockets(pid: int) -> set[str]:
    """All that any network protocol knows, whether they listen or not."""
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")]
    rows = [row.split() for table in tables if table.exists() for row in table.read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows}


def named_sockets(pid: int) -> dict[str, str]:
    """Sockets of this machine that listen, or have an address, also one outside the file system."""
    rows = [row.split(maxsplit=7) for row in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return {f"socket:[{row[6]}]": row[-1] for row in rows if len(row) > 7 or int(row[3], 16) & LISTENING}


def named_files(pid: int) -> set[str]:
    """Files with a name that a process has open, or has mapped so that others see what it writes."""
    files = {each.target for each in open_in(pid) if each.has_name}
    rows = [row.split(maxsplit=5) for row in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return files | {row[5] for row in rows if "w" in row[1] and "s" in row[1] and not row[5].endswith("(deleted)")}


def names_of_ours() -> set[Path]:
    """Named shared memory of this user."""
    found = set()
    for path in SHARED_MEMORY.iterdir():
        # Somebody else's, who has just removed it.
        with suppress(FileNotFoundError):
            if path.stat().st_uid == os.getuid():
                found.add(path)
    return found


@pytest.mark.parametrize("place", PROCESSES)
def test_running_pipeline_listens_nowhere_and_has_no_named_file(
    place: str, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = names_of_ours()
    # A short name: that of a socket has 108 bytes at most.
    with TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        with started(program.large_items, place, gate) as process:
            workers = {gate.wait_held() for _ in range(3)}
            ours = {process.pid, *workers}
            helpers = descendants() - ours
            assert len(helpers) == HELPERS[place]

            # The workers and the main process: nothing, except the gate of this test.
            for pid in ours:
                assert sockets_in(pid) & (network_sockets(pid) | set(named_sockets(pid))) == set()
                assert {name for name in named_files(pid) if not name.startswith(str(tmp_path))} == set()
            assert names_of_ours() - shared == set()

            # The fork server: one socket, in a folder that only this user may enter.
            listening = {
                Path(address)
                for pid in helpers
                for socket, address in named_sockets(pid).items()
                if socket in sockets_in(pid)
            }
            assert len(listening) == LISTENERS[place]
            for address in listening:
                assert address.parent.parent == Path(folder)
                assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
                assert stat.S_IMODE(address.stat().st_mode) == 0o600
            assert set(Path(folder).iterdir()) == {address.parent for address in listening}

            gate.release()
            assert ended(process) == (0, "", "")
        assert list(Path(folder).iterdir()) == []


@pytest.mark.parametrize("place", PROCESSES)
def test_ends_of_channels_are_with_the_workers_and_the_main_process_alone(place: str, gate: Gate) -> None:
    with started(program.large_items, place, gate) as process:
        ours = {process.pid, *(gate.wait_held() for _ in range(3))}
        for helper in descendants() - ours:
            assert memory_in(helper) == set()
            assert sockets_in(helper) & set().union(*map(sockets_in, ours)) == set()
        gate.release()
        assert ended(process) == (0, "", "")


@pytest.mark.skipif(is_portable(), reason="only Linux can seal memory")
def test_memory_that_workers_map_cannot_be_cut_off(gate: Gate) -> None:
    with started(program.large_items, "forkserver", gate) as process:
        ours = {process.pid, *(gate.wait_held() for _ in range(3))}
        found = [each for pid in ours for each in open_in(pid) if each.target.startswith(OURS)]
        for target, path in found:
            with path.open("rb") as memory:
                kind = target.removeprefix(OURS).removesuffix(" (deleted)")
                assert fcntl.fcntl(memory, fcntl.F_GET_SEALS) == SEALED[kind]
        assert {target for target, _ in found} == {f"{OURS}{kind} (deleted)" for kind in SEALED}
        gate.release()
        assert ended(process) == (0, "", "")
