"""The file of a piece of code, as messages name it; and code that keeps its file and source when it is pickled.

cloudpickle from 3.1.2 on writes `<dynamic-code>` for the file of each function that it pickles by value. A worker
would then report `<dynamic-code>` in tracebacks, and no source line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["PACKAGE", "code_reducer", "file_of"]

# The folder of this library's own code.
PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"

# An entry of `linecache.cache` for source that no file holds: length, None (no modification time), lines, full name.
Source = tuple[int, None, list[str], str]


def file_of(code: CodeType) -> str:
    """The file of the code, or `Cell In[3]`, as IPython calls it, for a cell of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    # IPython 8 and newer have it; before, its file names tell the number of the cell.
    format_name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    labels = format_name(code.co_filename) if format_name is not None else None
    return " ".join(labels) if labels else code.co_filename


def code_reducer(reduce: Callable[[CodeType], Any]) -> Callable[[CodeType], Any]:
    """A reducer of code objects for a pickler, made of cloudpickle's own, that keeps the file and its source."""

    def reduce_code(code: CodeType) -> Any:
        build, parts = reduce(code)[:2]
        return _rebuilt, (build, parts, file_of(code), _source_in_memory(code.co_filename))

    return reduce_code


def _rebuilt(build: Callable[..., CodeType], parts: tuple[Any, ...], file: str, source: Source | None) -> CodeType:
    if source is not None:
        # Only a function of a notebook or a REPL pays for it.
        import linecache

        linecache.cache.setdefault(file, source)
    return build(*parts).replace(co_filename=file)


def _source_in_memory(file: str) -> Source | None:
    """What `linecache` holds of a file that is none: a worker cannot read that. Files, it reads where they are."""
    linecache = sys.modules.get("linecache")
    entry = linecache.cache.get(file) if linecache is not None else None
    return entry if entry is not None and len(entry) == 4 and entry[1] is None else None
