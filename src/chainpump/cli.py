"""The command line: find a pipeline by its file or module and its name; check it, or run it and print what it gives."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from .errors import PipelineError, PlanError
from .pipeline import Pipeline, Runnable
from .plan.problems import collecting

__all__ = ["main"]

# Exit statuses. 2 is argparse's own; 130 and 143 are what shells report for SIGINT and SIGTERM.
OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

EPILOG = """\
exit status:
  0    the run ended well, or whoever read its output had enough (as in `... | head`)
  1    the run failed, or `check` has found problems
  2    nothing was run: wrong usage, no such file or name, or a pipeline that fails its checks
  130  cancelled by Ctrl-C
  143  cancelled by SIGTERM

examples:
  python -m chainpump run examples/index_code.py:pipeline
  python -m chainpump run myproject.jobs:nightly.ingest
  python -m chainpump check myproject.jobs:nightly.ingest
"""


class UsageError(Exception):
    """What was asked for cannot be run; the text says what is wrong and what to do."""


class ReaderGone(Exception):
    """Whoever read the standard output has closed it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to run: a name, which may be dotted, in a module or in a file that is imported as one.

    >>> Target.parse("examples/index_code.py:pipeline")
    Target(location='examples/index_code.py', name='pipeline')
    """

    location: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Split at the last colon. Raises UsageError where a part is missing."""
        location, _, name = text.rpartition(":")
        if location and name and all(part.isidentifier() for part in name.split(".")):
            return cls(location, name)
        start = location or text.strip(":") or "FILE_OR_MODULE"
        raise UsageError(
            f"expected FILE_OR_MODULE:NAME but got: {text!r}\n"
            f"  Say which pipeline of the file or module to run, for example {start}:pipeline"
        )

    @property
    def is_file(self) -> bool:
        """Whether the location is a path; otherwise it is the dotted name of a module."""
        return self.location.endswith(".py") or os.sep in self.location


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(argv)
    try:
        with _sigterm_cancels():
            return int(options.command(Target.parse(options.target)))
    except ReaderGone:
        # The interpreter flushes the standard output once more as it exits: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("cancelled by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except Exception as error:  # whatever it was, it is told and gives the exit status
        _explain(error, with_traceback=options.traceback)
        return USAGE if isinstance(error, PlanError) else FAILED
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chainpump",
        description="Run pipelines of plain generators, each on workers of its own.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        said = command.__doc__ or ""
        sub = commands.add_parser(
            name,
            help=said.splitlines()[0].rstrip(".").lower(),
            description=inspect.cleandoc(said),
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        sub.add_argument(
            "target",
            metavar="FILE_OR_MODULE:NAME",
            help="a Python file or an importable module, and the name of a pipeline in it",
        )
        sub.add_argument("--traceback", action="store_true", help="show the whole traceback of a failure")
    return parser


@contextmanager
def _sigterm_cancels() -> Generator[None]:
    """Turn SIGTERM into SystemExit, so that leaving the run cancels every worker."""

    def cancel(*_: object) -> NoReturn:
        # A second SIGTERM must not interrupt the cancelling. Not SIG_IGN, which children inherit.
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise SystemExit(TERMINATED)

    previous = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _run(target: Target) -> int:
    """Run a pipeline.

    A Runnable is run, and its value and its report are printed;
    a Pipeline is iterated, and its items are printed, one a line.
    """
    found = _find(target)
    if isinstance(found, Runnable):
        report = found.run()
        if report.value is not None:
            _emit(report.value)
        _emit(report)
        return OK
    with found.open() as run:
        for item in run:
            _emit(item)
    return OK


def _check(target: Target) -> int:
    """Check a pipeline without starting anything.

    Prints what would run where, as a table, or all that is wrong with it,
    and with whatever else its file or module builds.
    """
    with collecting() as problems:
        found = _find(target)
    for problem in problems:
        _emit(f"{type(problem.error).__name__}: {problem.error}\n  at {problem.where}\n")
    _emit(f"{len(problems)} problem{'s' * (len(problems) != 1)}" if problems else found.plan())
    return FAILED if problems else OK


COMMANDS: Mapping[str, Callable[[Target], int]] = {"run": _run, "check": _check}


def _emit(value: object) -> None:
    """Print a line at once: whoever reads it may be waiting, and one who has gone is noticed."""
    text = str(value)  # here, so that an error of the value's own is not taken for one of the printing
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise ReaderGone from None


def _find(target: Target) -> Pipeline[Any] | Runnable[Any]:
    """The pipeline that a target names. Raises UsageError when it is not there or not a pipeline."""
    module = _import_file(Path(target.location)) if target.is_file else _import_module(target.location)
    found: object = module
    path: tuple[str, ...] = ()
    for name in target.name.split("."):
        if not hasattr(found, name):
            alike = [".".join((*path, other)) for other in get_close_matches(name, dir(found), n=1)]
            hint = f" Did you mean {alike[0]!r}?" if alike else _pipelines_of(module)
            raise UsageError(f"{target.location} has no {target.name!r}.{hint}")
        found = getattr(found, name)
        path = (*path, name)
    if isinstance(found, Pipeline | Runnable):
        return found
    advice = (
        f"  If it makes one, call it in the module: pipeline = {target.name}(...)"
        if callable(found)
        else "  A pipeline is made by Pipeline(...), and a Runnable by its .into(...)."
    )
    raise UsageError(
        f"{target.name!r} in {target.location} must be a Pipeline or a Runnable but is: "
        f"{type(found).__name__}\n{advice}"
    )


def _pipelines_of(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Pipeline | Runnable)]
    if names:
        return f"\n  Its pipelines are: {', '.join(names)}"
    return "\n  It has no pipeline at its top level; assign one to a name there."


def _import_file(path: Path) -> ModuleType:
    """Import a file by its stem, from its directory: so worker processes can import it by name too."""
    # 1. No such file.
    if not path.is_file():
        alike = get_close_matches(path.name, [other.name for other in path.parent.glob("*.py")], n=1)
        hint = f"\n  Did you mean {path.parent / alike[0]}?" if alike else ""
        raise UsageError(f"no such file: {path} (in {Path.cwd()}){hint}")
    # 2. A file that no import statement could name.
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(
            f"{path} cannot be imported: {path.name!r} is not a module name and '.py'.\n"
            "  Workers import it by its name; rename the file."
        )
    sys.path.insert(0, str(path.parent.resolve()))
    module = importlib.import_module(path.stem)
    # 3. A module of that name was there before, for example of the standard library.
    origin = getattr(module, "__file__", None)
    if origin is None or not path.samefile(origin):
        raise UsageError(
            f"{path} cannot be imported: the module name {path.stem!r} is taken by "
            f"{origin or 'a built-in module'}.\n  Rename the file."
        )
    return module


def _import_module(name: str) -> ModuleType:
    try:
        known = find_spec(name) is not None
    except (ModuleNotFoundError, ValueError) as error:
        # The name is malformed or a parent of it is missing; otherwise an import of a parent fails.
        if isinstance(error, ModuleNotFoundError) and not f"{name}.".startswith(f"{error.name}."):
            raise
        known = False
    if known:
        return importlib.import_module(name)
    hint = f"\n  For a file write its path: {name}.py" if Path(f"{name}.py").is_file() else ""
    raise UsageError(f"no module named {name!r} can be imported from {Path.cwd()}{hint}")


def _explain(error: Exception, *, with_traceback: bool) -> None:
    """Print an error: briefly where its own text tells all, else with its traceback."""
    # An error of the library says what, where and what next; a worker's traceback is a note on it or on its
    # cause. Any other without notes comes from the main process: from the user's module, or a defect here.
    notes: list[str] = [*getattr(error, "__notes__", []), *getattr(error.__cause__, "__notes__", [])]
    if with_traceback or not (notes or isinstance(error, PipelineError)):
        traceback.print_exception(error)
        return
    lines = [f"{type(error).__name__}: {error}", *notes]
    if isinstance(error, PlanError):
        lines.append(_built_at(error))
    print("\n".join(lines).rstrip(), file=sys.stderr)


def _built_at(error: PlanError) -> str:
    """The user's line that built the faulty pipeline: the innermost frame outside this package."""
    package = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((package, "<frozen importlib"))
        and "importlib" not in Path(frame.filename).parts
    ]
    return f"  at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
