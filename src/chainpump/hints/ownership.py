"""Whose code a function is: the program's own, whose author can be told to change it, or a library's."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import PurePath

from ..messages.source_files import PACKAGE
from .objects import MADE, attribute, is_a, underlying

__all__ = ["is_own", "is_own_file"]

# The folders of what was installed.
INSTALLED = frozenset({"site-packages", "dist-packages"})


def is_own(function: object) -> bool:
    """Whether a function is written in Python and outside the standard library, installed packages and this one."""
    file = _file_of(function)
    return file is not None and is_own_file(file)


def is_own_file(file: str) -> bool:
    """Whether code of this file is the program's own; a notebook's cell and what `exec` has made are, too."""
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
        # Written in C.
        return None
    # A class whose methods were made for it.
    module = sys.modules.get(str(attribute(cls, "__module__")))
    if module is not None and module.__name__ == "__main__":
        return str(getattr(module, "__file__", "<stdin>"))
    found = getattr(module, "__file__", None)
    return found if isinstance(found, str) else None


@cache  # the system's answer never changes, and takes longer than all else here
def _standard_library() -> str:
    # For those of whom something is unknown.
    import sysconfig

    return sysconfig.get_path("stdlib") + "/"
