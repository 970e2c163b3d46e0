"""Whether worker processes can import the main file of the program without starting the run again."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from ..errors import StageOptionError
from ..messages.source_files import PACKAGE
from ..pickling.loading import GUARD, calls_from, is_importing

__all__ = ["check_main_file", "guards"]


def check_main_file() -> None:
    """Raise StageOptionError if a worker that imports the main file would surely start this run again.

    What a condition may prevent is left to the worker, which starts no run while it imports: see `loading`. Then the
    run ends with the same advice, but what the file did before has been done in the worker, too.

    `multiprocessing` has workers of the start methods forkserver and spawn import it, if it is a file, and no package's
    `__main__.py`: see `multiprocessing.spawn.get_preparation_data`.
    """
    main = sys.modules["__main__"]
    path, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if path is None or (spec is not None and spec.name.rpartition(".")[2] == "__main__"):
        return
    if not Path(path).is_file():
        raise StageOptionError(
            f"worker processes import the program's main file, and {path} is none.\n"
            "  Save the program to a file, or run its stages on Threads() or on Processes(start_method='fork')."
        )
    # The list must not contain this frame: that would be a reference cycle, which keeps the variables of all callers.
    calls = _calls_of(path, vars(main), sys._getframe().f_back)  # noqa: SLF001  # what `inspect.currentframe` calls
    if not (calls and _are_surely_made(calls)):
        return
    imported = next(filter(is_importing, calls), None)
    if imported is not None:
        raise StageOptionError(
            f"{imported.f_code.co_filename}:{imported.f_lineno} starts worker processes as {path}:{calls[-1].f_lineno} "
            "imports it; they import it, too, and would start them again.\n"
            f"  Move what starts the pipeline into a function, and call it under `{GUARD}` in the program's main file."
        )
    raise StageOptionError(
        f"{path}:{calls[-1].f_lineno} starts worker processes, which import that file and would start them again.\n"
        f"  Put what starts the pipeline under `{GUARD}`."
    )


def _calls_of(path: str, names: dict[str, object], innermost: FrameType | None) -> list[FrameType]:
    """The calls on the stack, from the innermost one out to the top level of the main file.

    None where that is over, or has not begun. What `exec` and `eval` run there has its names, too, and own lines.
    """
    calls: list[FrameType] = []
    for frame in calls_from(innermost):
        code = frame.f_code
        calls.append(frame)
        if frame.f_globals is names and code.co_name == "<module>" and code.co_filename == path:
            return calls
    return []


def _are_surely_made(calls: Sequence[FrameType]) -> bool:
    """Whether the program makes these calls under no condition. Conditions in libraries do not count."""
    # It imports `dis`, which only the main process of a run needs.
    from .control_flow import is_surely_reached

    *inner, top = calls
    return is_surely_reached(top.f_code, top.f_lasti) and all(
        is_surely_reached(each.f_code, each.f_lasti) for each in inner if not _is_library(each.f_code.co_filename)
    )


def _is_library(path: str) -> bool:
    import sysconfig

    folders = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return path.startswith((PACKAGE, "<frozen ", *folders))


def guards(tree: ast.Module) -> Iterator[ast.If]:
    """Each `if` whose condition contains `__name__`."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.If) and "__name__" in ast.dump(node.test))
