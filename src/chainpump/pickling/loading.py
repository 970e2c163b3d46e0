"""Whether a worker is importing the program's modules: no run with worker processes may start meanwhile.

Workers of that run would import the same modules, and each of them would start the run again, without end. A worker
imports modules at three moments, each with a sign of its own:

    the main file, before its own code runs     `multiprocessing` marks the process
    the modules of its functions                `loading` marks the process
    the module of an item, as that arrives      a module whose import is under way is on the stack
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType

from ..errors import StageOptionError
from ..messages.source_files import PACKAGE

__all__ = ["GUARD", "become_worker", "calls_from", "check_not_loading", "is_importing", "is_in_worker", "loading"]

GUARD = 'if __name__ == "__main__":'


class _Process:
    """Two facts about this process. Only its main thread writes them."""

    def __init__(self) -> None:
        self.is_worker = False
        self.is_loading = False


_THIS = _Process()


def become_worker() -> None:
    """Mark this process as a worker. A fork of a worker inherits the mark."""
    _THIS.is_worker = True
    _THIS.is_loading = False


@contextmanager
def loading() -> Generator[None, None, None]:
    """Mark this process while the worker loads its functions inside the block."""
    _THIS.is_loading = True
    try:
        yield
    finally:
        _THIS.is_loading = False


def check_not_loading() -> None:
    """Raise StageOptionError if this code runs as a worker imports modules."""
    # The list must not contain this frame: that would be a reference cycle, which keeps the variables of all callers.
    frames = list(calls_from(sys._getframe().f_back))  # noqa: SLF001  # what `inspect.currentframe` calls
    imported = next((frame for frame in frames if is_importing(frame)), None)
    if not (_imports_main() or _THIS.is_loading or (_THIS.is_worker and imported is not None)):
        return
    top = imported or next((frame for frame in frames if frame.f_code.co_name == "<module>"), None)
    at = top or next((frame for frame in frames if not frame.f_code.co_filename.startswith(PACKAGE)), frames[0])
    while_ = f"module {_name_of(top)!r} is imported" if top is not None else "functions are loaded"
    raise StageOptionError(
        f"{at.f_code.co_filename}:{at.f_lineno} starts worker processes while {while_} in a worker process, "
        "which would go on without end.\n"
        f"  Move what starts the pipeline into a function, and call it under `{GUARD}` in the program's main file."
    )


def is_in_worker() -> bool:
    """Whether this code runs in a worker, or while one imports the main file."""
    return _THIS.is_worker or _THIS.is_loading or _imports_main()


def _imports_main() -> bool:
    from multiprocessing import process  # a program that builds pipelines, and starts none, needs no more of it

    return bool(getattr(process.current_process(), "_inheriting", False))


def calls_from(frame: FrameType | None) -> Iterator[FrameType]:
    """The calls on the stack, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_importing(frame: FrameType) -> bool:
    """Whether this is the top level of a module whose import is under way."""
    spec = frame.f_globals.get("__spec__")
    # The mark of the import system, by which other threads wait until the module is complete.
    return frame.f_code.co_name == "<module>" and getattr(spec, "_initializing", False)


def _name_of(top: FrameType) -> str:
    name: str = top.f_globals.get("__name__", "?")
    return "__main__" if name == "__mp_main__" else name
