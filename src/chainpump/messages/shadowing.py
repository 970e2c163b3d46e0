"""Files of the program that a new interpreter imports in place of modules of the standard library."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["shadowed"]

LIBRARY = Path(os.__file__).parent


def shadowed() -> str:
    """A sentence about the first such file; empty if there is none.

    Only modules that this process has imported are looked for: all that a worker needs to start are among them.
    """
    return next(
        (
            f"A new interpreter imports {path} in place of Python's own module '{name}', and fails: rename that file."
            for name, path in _found()
        ),
        "",
    )


def _found() -> Iterator[tuple[str, Path]]:
    needed = sys.modules.keys() & (sys.stdlib_module_names - set(sys.builtin_module_names))
    for folder in _before_library():
        there: set[str] = set()
        # It may be missing, or an archive.
        with suppress(OSError):
            there.update(path.stem for path in folder.iterdir())
        # All of these names in all folders would take half a second.
        for name in sorted(needed & there):
            for path in (folder / f"{name}.py", folder / name / "__init__.py"):
                if path.is_file():
                    yield name, path


def _before_library() -> Iterator[Path]:
    """Where an interpreter looks first: in the working directory, as `python -c` does, and on the search path."""
    # The working directory may have been deleted.
    with suppress(FileNotFoundError):
        yield Path.cwd()
    for entry in sys.path:
        if Path(entry) == LIBRARY:
            return
        yield Path(entry)
