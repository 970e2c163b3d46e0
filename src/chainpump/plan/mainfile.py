"""The main file of the program, which worker processes import: whether that can go well."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType

from ..errors import StageOptionError

__all__ = ["GUARD", "check_main_file", "guards"]

GUARD = 'if __name__ == "__main__":'


def check_main_file() -> None:
    """Raise StageOptionError where a worker that imports the program's main file would start the program once more.

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
    line = _line_of(sys._getframe(), path, vars(main))  # noqa: SLF001  # what `inspect.currentframe` calls
    if line is not None and not _is_guarded(Path(path), line):
        raise StageOptionError(
            f"{path}:{line} starts worker processes, which import that file and would start them again.\n"
            f"  Put what starts the pipeline under `{GUARD}`."
        )


def _line_of(frame: FrameType | None, path: str, names: dict[str, object]) -> int | None:
    """The line of the main file's top level that is being executed; None where that is over, or has not begun.

    What `exec` and `eval` run there has its names, too, and lines of its own.
    """
    while frame is not None:
        code = frame.f_code
        if frame.f_globals is names and code.co_name == "<module>" and code.co_filename == path:
            return frame.f_lineno
        frame = frame.f_back
    return None


@lru_cache(maxsize=8)
def _is_guarded(path: Path, line: int) -> bool:
    """Whether a line stands under an `if` that asks for `__name__`; also if the file cannot be read as Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    return any(node.lineno <= line <= (node.end_lineno or line) for node in guards(tree))


def guards(tree: ast.Module) -> Iterator[ast.If]:
    """Each `if` that asks for `__name__`."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.If) and "__name__" in ast.dump(node.test))
