"""Stacks and tracebacks, cut to the calls of the user's code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, takewhile

from .source_files import PACKAGE, file_of

__all__ = ["DEEP", "calls_in", "stacks", "user_stack", "user_traceback"]

# Parts of the file names of modules in which this package waits.
WAITING = ("/threading.py", "/selectors.py", "/asyncio/")
# File names of what calls user code begin so: this package, context managers that it enters, its event loop.
_CONTEXTLIB = contextmanager.__code__.co_filename
CALLERS = (PACKAGE, _CONTEXTLIB, _CONTEXTLIB.replace("contextlib.py", "asyncio/"))
# The outermost call of this package: in a worker process, and of the command line. Calls outside of it are not shown.
BEGINS = (" in run_worker", " in main")
# Modules inside the interpreter, such as runpy.
FROZEN = '  File "<frozen '
# The number of calls that are shown of each stack, from the innermost one.
DEEP = 12


def stacks(found: Iterable[tuple[str, str]]) -> str:
    """The stacks of the workers that run code of the user. found: a name and a stack for each."""
    told = ["Where the workers were (most recent call first):"]
    for who, stack in found:
        calls = _user_calls(stack)
        if calls:
            told += [who, *calls[:DEEP], *(["  ..."] if len(calls) > DEEP else [])]
    return "\n".join(told)


def user_stack(stack: str) -> str:
    """The user's innermost calls of a stack, as `faulthandler` writes it, innermost first."""
    lines = stack.splitlines()
    own = next((place for place, line in enumerate(lines) if PACKAGE in line), len(lines))
    return "\n".join(lines[:own])


def _user_calls(stack: str) -> Sequence[str]:
    """The innermost calls of the user's code, without the calls by which this package waits."""
    for is_own, run in groupby(calls_in(stack), lambda line: PACKAGE in line):
        calls = [] if is_own else list(run)
        while calls and any(part in calls[-1] for part in WAITING):
            del calls[-1]
        if calls:
            return calls
    return ()


def calls_in(stack: str) -> Iterator[str]:
    """The calls of a stack, without those of the interpreter and of an installed command that lead to this package."""
    lines = [line for line in stack.splitlines() if line.startswith("  File ") and not line.startswith(FROZEN)]
    return takewhile(lambda line: not (PACKAGE in line and line.endswith(BEGINS)), lines)


def user_traceback(error: BaseException) -> str:
    """The traceback from the first call of the user's code."""
    try:
        # This import takes 20 ms; only a failure pays for it.
        import traceback
    except (ImportError, OSError):
        # A process without a free descriptor cannot read a module.
        return ""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(CALLERS):
        tb = tb.tb_next
    text = "".join(traceback.format_exception(type(error), error, tb)).rstrip()
    for frame, _ in traceback.walk_tb(tb):
        # IPython names a cell in another way than its code does.
        if (file := file_of(frame.f_code)) != frame.f_code.co_filename:
            text = text.replace(f'  File "{frame.f_code.co_filename}", ', f'  File "{file}", ')
    return text
