"""Starts a program that ends with its standard input. An actor of Ray uses it, so it imports little."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["python", "started"]


def python(main: str) -> Sequence[str]:
    """A command of this Python that runs `main()` of a module of this package, wherever the package was found."""
    folder = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.append({folder!r}); from {main} import main; main()"
    return [sys.executable, "-P", "-c", code]


def started(
    command: Sequence[str], *, standard_input: bytes | None = None, descriptors: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own: signals of the terminal are for the main process. Raises OSError.

    Arguments: see `launched_program.launched`.
    """
    popen = subprocess.Popen(  # the command is the user's own
        command,
        stdin=subprocess.DEVNULL if standard_input is None else subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,
        bufsize=0,
    )
    if popen.stdin is not None and standard_input is not None:
        # A program that has ended already is noticed elsewhere.
        with suppress(BrokenPipeError):
            popen.stdin.write(standard_input)
    return popen
