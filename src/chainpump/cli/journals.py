"""`chainpump journal`: what the journal of a durable run holds, whether it is whole, and how to begin again."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from ..durable.content import Attempt, Content
from ..durable.journal_access import is_journal
from ..durable.journal_file import read, read_letters, reset, verify
from ..errors import DeadItem, JournalError
from ..messages.item_repr import short_repr
from ..messages.printable import printable, printable_lines
from ..messages.stand_ins import error_line
from ..messages.table import table
from .target import UsageError

__all__ = ["ACTIONS", "journal_options"]

EPILOG = """\
exit status:
  0    it is told, or done
  1    the file is missing or damaged, it is no journal, or a run holds it (`show` and `verify` do not mind a run)
  2    wrong usage

examples:
  python -m chainpump journal show ingest.journal
  python -m chainpump journal reset ingest.journal --yes
"""
# Lines that are shown of a list that may be long.
MOST = 20


def journal_options(parser: ArgumentParser) -> None:
    """Add what the command takes."""
    parser.epilog = EPILOG
    parser.add_argument("action", choices=ACTIONS, metavar="show|verify|reset", help="what to do")
    parser.add_argument("file", metavar="FILE", type=Path, help="the journal")
    parser.add_argument("--yes", action="store_true", help="reset without a question")


def _show(options: Namespace) -> str:
    return printable_lines("\n\n".join(_parts(read(options.file), options.file)))


def _verify(options: Namespace) -> str:
    content = verify(options.file)
    letters = sum(content.letters.values())
    return f"{options.file} is whole: {content.done.count} items are done, with {letters} dead letters"


def _reset(options: Namespace) -> str:
    try:
        what = f"its {read(options.file).done.count} done items are"
    except JournalError:
        # A journal that is damaged or of another version is removed; another file given by mistake is not.
        if not is_journal(options.file):
            raise
        what = "all items are"
    question = f"Remove {options.file}, so that {what} done again? [y/N] "
    if not options.yes and not _agrees(question):
        return "nothing was changed"
    reset(options.file)
    return f"removed: {options.file}"


ACTIONS: Mapping[str, Callable[[Namespace], str]] = {"show": _show, "verify": _verify, "reset": _reset}


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("journal reset asks before it removes a journal.\n  Without a terminal, add --yes.")
    return input(question).strip().lower() in {"y", "yes"}


def _parts(content: Content, path: Path) -> list[str]:
    """What is told of a journal, one part for each subject."""
    ranges = [f"{start}-{stop - 1}" for start, stop in content.done]
    state = "complete" if content.complete else f"the first item that is not done is {content.done.watermark}"
    parts = [f"{content.done.count} items are done; {state}"]
    if len(ranges) > 1:
        parts[0] += f"\ndone: {_listed(ranges)}"
    if again := content.again_at_most:
        parts[0] += f"\nat most {again} others were begun, and may be done again"
    parts.append(table(("attempt", "began", "took", "ended", "done", "process"), list(map(_row, content.attempts))))
    if content.letters or content.skipped:
        stages = dict.fromkeys([*content.letters, *content.skipped])
        rows = [(each, str(content.letters.get(each, "")), str(content.skipped.get(each, ""))) for each in stages]
        parts.append(table(("stage", "dead letters", "skipped"), rows))
    if content.letters:
        letters = [
            f"{_name_of(letter)} of '{letter.stage}': {short_repr(letter.item)}: {printable(error_line(letter.error))}"
            for letter in islice(read_letters(path), MOST)
        ]
        more = sum(content.letters.values()) - len(letters)
        parts.append("\n".join([*letters, *([f"and {more} more"] if more else [])]))
    return parts


def _listed(ranges: list[str]) -> str:
    more = len(ranges) - MOST
    return ", ".join(ranges[:MOST]) + (f" and {more} more ranges" if more > 0 else "")


def _row(attempt: Attempt) -> tuple[str, ...]:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(attempt.began))
    took = "" if attempt.ended is None else f"{attempt.ended - attempt.began:.1f} s"
    status = attempt.status or _status_without_end(attempt)
    return str(attempt.number), began, took, status, str(attempt.done), f"{attempt.pid} on {attempt.host}"


def _status_without_end(attempt: Attempt) -> str:
    """What has become of an attempt that has written no end, as far as this machine knows."""
    if attempt.host != os.uname().nodename:
        return "unknown"
    try:
        os.kill(attempt.pid, 0)
    except ProcessLookupError:
        return "killed or crashed"
    except PermissionError:
        return "running"
    return "running"


def _name_of(letter: DeadItem) -> str:
    return f"item {letter.index}" if letter.position is None else f"item {letter.index}[{letter.position}]"
