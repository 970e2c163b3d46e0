"""What to do about what keeps a worker from starting."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chainpump.messages.refusals import start_advice

MISSING = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
NO_TEMPORARY = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']")


@pytest.mark.parametrize(
    "error, advice",
    [
        pytest.param(NO_TEMPORARY, "The fork server needs a directory for temporary files: ", id="no directory"),
        pytest.param(
            FileNotFoundError(errno.ENOENT, "", "/gone/pymp-1"),
            "The directory for temporary files is gone, /gone: make it, ",
            id="a temporary directory",
        ),
        pytest.param(FileNotFoundError(errno.ENOENT, "", b"/bin/python"), "/bin/python is not there: ", id="a program"),
        pytest.param(MISSING, "Something has removed the fork server's socket, ", id="a socket"),
        pytest.param(OSError(errno.ENOSPC, ""), "There is no room left in shared memory ", id="no room"),
        pytest.param(OSError(errno.EFBIG, ""), "Shared memory counts as a file: ", id="no file so large"),
        pytest.param(OSError(errno.EMFILE, ""), "The system refused: give it fewer workers, ", id="no descriptor"),
    ],
)
def test_advice_names_what_is_missing(error: OSError, advice: str) -> None:
    assert start_advice(error).startswith(advice)


def test_deleted_working_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert start_advice(MISSING).startswith("The working directory was deleted: ")
