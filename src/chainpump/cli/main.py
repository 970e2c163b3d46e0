"""The command line: parses the arguments, runs the command and returns the exit status."""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from ..errors import PipelineError, PlanError
from ..messages.printable import printable_lines
from ..messages.source_files import PACKAGE
from .arguments import suggestion
from .commands import COMMANDS, FAILED, OK, ReaderGone
from .target import UsageError

__all__ = ["main"]

# Further exit statuses. 2 is argparse's own; 130 and 143 are what shells report for SIGINT and SIGTERM.
USAGE, INTERRUPTED, TERMINATED = 2, 130, 143

EPILOG = """\
NAME is a pipeline, or a function that returns one; --set gives it what it takes.

exit status:
  0    the run ended well, or whoever read its output had enough (as in `... | head`)
  1    the run failed, its report could not be written at the end, or `check` or `graph` has found problems
  2    nothing was run: wrong usage, no such file, name or process, no pipeline there, or one that fails its checks
  130  cancelled by Ctrl-C
  143  cancelled by SIGTERM

examples:
  python -m chainpump run examples/index_code.py:pipeline --progress
  python -m chainpump run myproject.jobs:nightly.ingest --report run.html
  python -m chainpump run myproject.jobs:nightly.ingest --workers decode=8 --workers store=2
  python -m chainpump run myproject.jobs:make --set limit=100 --set folder=/data
  python -m chainpump check myproject.jobs:nightly.ingest
  python -m chainpump graph examples/index_code.py:pipeline --svg pipeline.svg
  python -m chainpump stacks 41207

The command `chainpump` is the same as `python -m chainpump`. With the extra chainpump[completion], a shell completes
what is written so far; docs/overview.md says how.
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM was received. As with Ctrl-C, a stage that it interrupts in this thread has not failed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        # Characters that the encoding of the output lacks are escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    # A shell asks for completions.
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(argv)
    try:
        with _sigterm_cancels():
            return int(options.command(options))
    except ReaderGone:
        # The interpreter flushes standard output once more as it exits: nothing must read that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Terminated:
        print("cancelled by SIGTERM", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print("cancelled by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
    except UsageError as error:
        print(printable_lines(f"error: {error}"), file=sys.stderr)
        return USAGE
    except Exception as error:
        # Any error is printed and decides the exit status.
        _explain(error, with_traceback=options.traceback)
        return USAGE if isinstance(error, PlanError) else FAILED
    return OK


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m chainpump",
        description="Run pipelines of plain generators, each on workers of its own.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version of chainpump and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Command)
    for name, (command, options) in COMMANDS.items():
        said = command.__doc__ or ""
        sub = commands.add_parser(
            name,
            help=said.splitlines()[0].rstrip(".").lower(),
            description=inspect.cleandoc(said),
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        options(sub)
        sub.add_argument("--traceback", action="store_true", help="show the whole traceback of a failure")
    return parser


class _Command(ArgumentParser):
    """The parser of one command: it refuses what it does not know itself, with its own usage."""

    # Any: argparse's own namespace.
    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]  # it is called so
        self, args: Any = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            known = [option for option in self._option_string_actions if option.startswith("--")]
            self.error(f"unrecognized arguments: {' '.join(rest)}.{suggestion(rest[0].partition('=')[0], known)}")
        return found, rest


class _Version(argparse.Action):
    """Show the version. It is looked up only when asked for, since that takes time."""

    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        from .. import __version__

        print(f"chainpump {__version__}")
        parser.exit()


@contextmanager
def _sigterm_cancels() -> Generator[None]:
    """Turn SIGTERM into an exception, so that leaving the run cancels every worker."""

    def cancel(*_: object) -> NoReturn:
        # A second SIGTERM must not interrupt the cancelling. Not SIG_IGN, which children inherit.
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise Terminated

    previous = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _explain(error: Exception, *, with_traceback: bool) -> None:
    """Print an error: its text alone if that is complete, otherwise with the traceback."""
    # An error of the library says what happened, where, and what to do; the traceback of a worker is a note on it or on
    # its cause. Any other error without notes was raised in the main process: by the user's module, or by a defect.
    notes: list[str] = [*getattr(error, "__notes__", []), *getattr(error.__cause__, "__notes__", [])]
    if with_traceback or not (notes or isinstance(error, PipelineError)):
        traceback.print_exception(error)
        return
    lines = [f"{type(error).__name__}: {error}", *notes]
    if isinstance(error, PlanError):
        lines.append(_built_at(error))
    print(printable_lines("\n".join(lines).rstrip()), file=sys.stderr)


def _built_at(error: PlanError) -> str:
    """The line of the user that built the faulty pipeline: the innermost call outside of this package."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        # "<" is the beginning of "<frozen importlib" and of the "<string>" of generated code.
        if not frame.filename.startswith((PACKAGE, "<")) and "importlib" not in Path(frame.filename).parts
    ]
    return f"  at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
