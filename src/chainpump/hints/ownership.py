"""Whether a function belongs to the program, whose author can be asked to change it, or to a library."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import PurePath

from ..messages.source_files import PACKAGE
from .objects import MADE, attribute, is_a, underlying

__all__ = ["is_own", "is_own_file"]

# The names of folders that contain installed packages.
INSTALLED = frozenset({"site-packages", "dist-packages"})


def is_own(function: object) -> bool:
    """Whether a function is Python code outside of the standard library, installed packages and this package."""
    file = _file_of(function)
    return file is not None and is_own_file(file)


def is_own_file(file: str) -> bool:
    """Whether code of this file belongs to the program; so do cells of notebooks and code made by `exec`."""
    if file.startswith(("<frozen ", PACKAGE)) or INSTALLED & set(PurePath(file).parts):
        return False
    return not file.startswith(_standard_library())


def _file_of(function: object) -> str | None:
    inner = underlying(function)
    file = getattr(attribute(inner, "__code__"), "co_filename", None)
    if isinstance(file, str) and not file.startswith(MADE):
        return file
    cls = inner if is_a(inner, type) else function
    if not (is_a(cls, type) or isinstance(file, str)):
        # The function is written in C.
        return None
    # The methods of the class were generated.
    module = sys.modules.get(str(attribute(cls, "__module__")))
    if module is not None and module.__name__ == "__main__":
        return str(getattr(module, "__file__", "<stdin>"))
    found = getattr(module, "__file__", None)
    return found if isinstance(found, str) else None


@cache  # the system's answer never changes, and takes longer than all else here
def _standard_library() -> str:
    # Needed only if something is unknown.
    import sysconfig

    return sysconfig.get_path("stdlib") + "/"
