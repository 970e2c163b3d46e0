"""The commands of the command line: what each one does, and its options."""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..building.problems import collecting
from ..durable.journal import Journal
from ..errors import PlanError
from ..messages.printable import printable_lines
from ..pipeline import Pipeline, Runnable, opened, with_workers
from ..plan.placement import AUTO, Workers
from ..plan.plan import Plan
from ..plan.planned_stage import PlannedStage
from ..progress.report import Report
from ..progress.snapshot import Progress
from ..start import GRACE, RunOptions
from .arguments import READ, named_pipeline, suggestion
from .completion import completions
from .journals import ACTIONS, journal_options
from .stacks import stacks
from .target import Target, UsageError

if TYPE_CHECKING:
    from ..engine.run import Run, SinkRun

__all__ = ["COMMANDS", "FAILED", "OK", "ReaderGone"]

# Exit statuses.
OK, FAILED = 0, 1
STACKS_EPILOG = """\
exit status:
  0    it is told
  2    it cannot be: wrong usage, no such process, one of somebody else's, or one in which no pipeline runs

example:
  python -m chainpump stacks 41207
"""


class ReaderGone(Exception):
    """The reader of standard output has closed it."""


def _run(options: Namespace) -> int:
    """Run a pipeline.

    A Runnable is run, and its value and its report are printed;
    a Pipeline is iterated, and its items are printed, one a line.
    With --report, the report is written however the run ends.
    With --journal, a run that was broken off goes on where it was.
    With --retry, only the items of its dead letters are done again.
    """
    journal = options.journal
    if options.retry:
        if journal is None:
            raise UsageError(
                "--retry does the items of dead letters again, which are in a journal.\n  Add --journal FILE."
            )
        journal = Journal(journal, retry=True)
    if options.report is not None:
        _check_report(options.report)
    found = _pipeline(options)
    run_options = RunOptions(
        grace=options.grace,
        stall_timeout=options.stall_timeout,
        check_items=options.check_items,
        progress=options.progress,
        observe=None if options.report is None else _no_observer,
        journal=journal,
    )
    with opened(found, run_options) as run:
        try:
            report = _completed(run)
        except KeyboardInterrupt:
            run.close()
            print(run.report(), file=sys.stderr)
            raise
        finally:
            run.close()
            status = _write_report(run.report(), options.report)
    if report is not None:
        if report.value is not None:
            _emit(report.value)
        _emit(report)
    return status


def _completed(run: Run[Any] | SinkRun[Any]) -> Report[Any] | None:
    """Print the items of a run, or wait for its report and return it."""
    if isinstance(run, Iterable):
        for item in run:
            _emit(item)
        return None
    return run.result()


def _no_observer(_: Progress) -> None:
    """An observer that does nothing: a report has samples over time only if there is an observer."""


def _check_report(path: Path) -> None:
    """Check before anything starts that a report can be written to a path. Raises UsageError."""
    if path.suffix not in REPORTS:
        raise UsageError(f"--report {path}: write it to a file that ends in {' or '.join(REPORTS)}.")
    # A link may lead to a file that does not exist yet.
    target = path.resolve()
    is_new = not target.exists()
    # Opening a named pipe would wait for a reader, perhaps for ever.
    if target.is_fifo():
        raise UsageError(f"--report {path}: it is a named pipe; a report is written to a file.")
    try:
        target.open("ab").close()
    except OSError as error:
        raise UsageError(f"--report {path}: {error.strerror}") from error
    if is_new:
        target.unlink()


def _write_report(report: Report[Any], path: Path | None) -> int:
    """Write the report of a run, however it has ended; returns the exit status."""
    if path is not None:
        try:
            REPORTS[path.suffix](report, path)
        except OSError as error:
            print(f"error: --report {path}: {error.strerror}", file=sys.stderr)
            return FAILED
        print(f"written: {path}", file=sys.stderr)
    return OK


def _write_json(report: Report[Any], path: Path) -> None:
    path.write_text(f"{report.to_json()}\n", encoding="utf-8")


REPORTS: Mapping[str, Callable[[Report[Any], Path], None]] = {".html": Report.to_html, ".json": _write_json}


def _check(options: Namespace) -> int:
    """Check a pipeline without starting anything.

    Prints what would run where, as a table, or all that is wrong with it,
    and with whatever else its file or module builds.
    """
    return _inspect(options, str)


def _graph(options: Namespace) -> int:
    """Draw a pipeline without starting anything.

    Prints a flowchart in the language of Mermaid, which many pages draw,
    or writes a picture to a file; or tells all that is wrong, as `check` does.
    """
    return _inspect(options, Plan.mermaid if options.svg is None else lambda plan: _written(plan.svg(), options.svg))


def _inspect(options: Namespace, show: Callable[[Plan], str]) -> int:
    with collecting() as problems:
        found = _pipeline(options)
    for problem in problems:
        _emit(printable_lines(f"{type(problem.error).__name__}: {problem.error}\n  at {problem.where}\n"))
    _emit(f"{len(problems)} problem{'s' * (len(problems) != 1)}" if problems else show(found.plan()).rstrip("\n"))
    return FAILED if problems else OK


def _written(picture: str, path: Path) -> str:
    """Write a picture; returns the line to print."""
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--svg {path}: {error.strerror}") from error
    return f"written: {path}"


def _stacks(options: Namespace) -> int:
    """Tell where the pipelines of a process are.

    Prints for every worker what it waits for, or the item that it is in and for how long,
    and the calls of your code that it is in. The process need not be able to answer, and
    goes on as it was; works on Linux, for processes of the same user.
    """
    _emit(printable_lines(stacks(options.pid)))
    return OK


def _journal(options: Namespace) -> int:
    """Show, verify or reset the journal of a durable run.

    `show` tells what is done, what became of each attempt, and the dead letters; also while a run
    writes to it. `verify` reads all of it and tells whether it is whole. `reset` removes it, so
    that the next run begins again.
    It unpickles the dead letters: trust the file as you trust your program.
    """
    _emit(ACTIONS[options.action](options))
    return OK


def _target_options(parser: ArgumentParser) -> None:
    target = parser.add_argument(
        "target",
        metavar="FILE_OR_MODULE:NAME",
        help="a Python file or an importable module, and the name of a pipeline in it",
    )
    # argcomplete looks for this attribute.
    target.completer = completions  # type: ignore[attr-defined]
    parser.add_argument(
        "--workers",
        action="append",
        default=[],
        metavar="STAGE=N",
        help="run a stage, by its name, on n workers, or auto",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"call NAME, a function, with this argument, read as its annotation or its default says: {READ}",
    )


def _stacks_options(parser: ArgumentParser) -> None:
    parser.epilog = STACKS_EPILOG
    parser.add_argument("pid", metavar="PID", type=int, help="the process that has started the pipelines")


def _graph_options(parser: ArgumentParser) -> None:
    _target_options(parser)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--mermaid", action="store_true", help="print a flowchart, as it does unless told otherwise")
    forms.add_argument("--svg", type=_path, metavar="FILE", help="write a picture to this file")


def _run_options(parser: ArgumentParser) -> None:
    _target_options(parser)
    parser.add_argument("--progress", action="store_true", help="show how far it is, on standard error")
    parser.add_argument(
        "--report", type=_path, metavar="FILE", help="write a report to this file, .html or .json, however it ends"
    )
    parser.add_argument(
        "--journal", type=_path, metavar="FILE", help="keep in this file which items are done, and go on from there"
    )
    parser.add_argument(
        "--retry", action="store_true", help="do only the items again whose dead letters are in the journal"
    )
    parser.add_argument(
        "--stall-timeout", type=float, metavar="SECONDS", help="end the run if no item moves for so many seconds"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=GRACE,
        metavar="SECONDS",
        help="what a cancelled worker has for its clean-up before it is killed; %(default)s unless told otherwise",
    )
    parser.add_argument(
        "--check-items", action="store_true", help="check that each item has the type that its stage declares"
    )


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must be the path of a file but got: ''")
    return Path(text)


COMMANDS: Mapping[str, tuple[Callable[[Namespace], int], Callable[[ArgumentParser], None]]] = {
    "run": (_run, _run_options),
    "check": (_check, _target_options),
    "graph": (_graph, _graph_options),
    "journal": (_journal, journal_options),
    "stacks": (_stacks, _stacks_options),
}


def _pipeline(options: Namespace) -> Pipeline[Any] | Runnable[Any]:
    """The pipeline that the options name, with the workers that they ask for. Raises UsageError."""
    found = named_pipeline(Target.parse(options.target), options.set)
    workers = dict(map(_amount, options.workers))
    names = Counter(_names(found.plan().stages))
    for name, number in workers.items():
        if not names[name]:
            known = f"\n  Its stages are: {', '.join(names)}"
            raise UsageError(f"--workers {name}: no stage has this name.{suggestion(name, names)}{known}")
        if names[name] > 1:
            raise UsageError(f"--workers {name}: {names[name]} stages have this name.\n  Give them others with name=.")
        try:
            found = with_workers(found, {name: number})
        except PlanError as error:
            raise UsageError(f"--workers {name}={number}: {error}") from error
    return found


def _amount(text: str) -> tuple[str, Workers]:
    name, _, number = text.rpartition("=")
    if name and number == AUTO:
        return name, "auto"
    if not name or not number.isdecimal():
        raise UsageError(
            f"--workers takes STAGE=N, for example {name or 'decode'}=4 or {name or 'decode'}=auto, but got: {text!r}"
        )
    return name, int(number)


def _names(stages: Sequence[PlannedStage]) -> Iterator[str]:
    for stage in stages:
        yield stage.name
        for part in stage.call.within:
            yield from _names(part)


def _emit(value: object) -> None:
    """Print a line and flush it: a reader may wait for it, and a reader that has gone is noticed."""
    # Outside of the `try`, so that a BrokenPipeError of the value's own `__str__` is not taken for one of printing.
    text = str(value)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise ReaderGone from None
