"""What the library owns of a process's descriptors: memory that is shared has its size for good."""

import fcntl
import os

import pytest

from chainpump.transport.descriptors import shared_memory


@pytest.mark.parametrize("nbytes", [0, 4095, 8192])
def test_shared_memory_cannot_be_cut_off_nor_grow(nbytes: int) -> None:
    memory = shared_memory("test", 4096)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fileno(), nbytes)
    memory.close()


def test_seals_of_shared_memory_cannot_be_changed() -> None:
    memory = shared_memory("test", 4096)
    with pytest.raises(PermissionError):
        fcntl.fcntl(memory.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    memory.close()
