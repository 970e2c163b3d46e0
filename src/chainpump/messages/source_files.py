"""The file of code as messages name it; and code objects that keep their file and source when they are pickled.

cloudpickle from 3.1.2 on writes `<dynamic-code>` for the file of each function that it pickles by value. A worker
would then report `<dynamic-code>` in tracebacks, and no source line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

__all__ = ["PACKAGE", "code_reducer", "file_of", "user_frame", "user_line"]

# The folder of this library's own code.
PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
NAME = Path(PACKAGE).name
# The byte code of no two of them is the same.
VERSION = sys.version_info[:2]
# An entry of `linecache.cache` for source that is in no file: length, None (no modification time), lines, full name.
Source = tuple[int, None, list[str], str]


def file_of(code: CodeType) -> str:
    """The file of the code; for a cell of a notebook its name in IPython, such as `Cell In[3]`."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    # IPython 8 and newer have this method; the file names of older ones contain the number of the cell.
    format_name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    labels = format_name(code.co_filename) if format_name is not None else None
    return " ".join(labels) if labels else code.co_filename


def user_frame() -> FrameType:
    """The innermost call outside of this package."""
    frame = sys._getframe()  # noqa: SLF001  # what `inspect.currentframe` calls
    while frame.f_back is not None and _is_no_users(frame):
        frame = frame.f_back
    return frame


def _is_no_users(frame: FrameType) -> bool:
    """Whether a call is one of this package, or of the import system. Code of a shell has a name in brackets, too."""
    file, package = frame.f_code.co_filename, str(frame.f_globals.get("__package__"))
    return file.startswith((PACKAGE, "<frozen ")) or (file.startswith("<") and package.partition(".")[0] == NAME)


def user_line() -> str:
    """The line of the program that is being executed, `file:line`."""
    frame = user_frame()
    return f"{file_of(frame.f_code)}:{frame.f_lineno}"


def code_reducer(reduce: Callable[[CodeType], Any]) -> Callable[[CodeType], Any]:
    """Wrap cloudpickle's reducer of code objects so that the file and its source are kept."""

    def reduce_code(code: CodeType) -> Any:
        build, parts = reduce(code)[:2]
        return _rebuilt, (build, parts, file_of(code), _source_in_memory(code.co_filename), VERSION)

    return reduce_code


def _rebuilt(
    build: Callable[..., CodeType], parts: tuple[Any, ...], file: str, source: Source | None, version: tuple[int, int]
) -> CodeType:
    if version != VERSION:  # the interpreter would take it, and crash
        raise TypeError(
            f"the code of a function in {file} is that of Python {_dotted(version)}, and this is Python "
            f"{_dotted(VERSION)}: define it at the top level of a module, which each of them imports by itself"
        )
    if source is not None:
        # Only functions of a notebook or a REPL need this import.
        import linecache

        linecache.cache.setdefault(file, source)
    return build(*parts).replace(co_filename=file)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _source_in_memory(file: str) -> Source | None:
    """The source that `linecache` holds in memory; None for a file, which a worker can read itself."""
    linecache = sys.modules.get("linecache")
    entry = linecache.cache.get(file) if linecache is not None else None
    return entry if entry is not None and len(entry) == 4 and entry[1] is None else None
