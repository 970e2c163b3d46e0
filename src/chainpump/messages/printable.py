"""Text made safe for a terminal, a page or a log: control characters are shown, and have no effect."""

from __future__ import annotations

__all__ = ["printable", "printable_lines"]


def printable(text: str, keep: str = "") -> str:
    r"""Escape what cannot be printed, as in Python's string literals.

    These are line breaks, escape sequences of terminals, changes of the writing direction, and lone surrogates.

    >>> print(printable("a\n\x1b[31m<b>"))
    a\n\x1b[31m<b>

    keep: characters that are not escaped.
    """
    if text.isprintable():
        return text
    # A line without its end is usually printable. A loop over the characters of a long text would take seconds.
    return "".join(
        line[:-1] + _escaped(line[-1], keep) if line[:-1].isprintable() else _escaped(line, keep)
        for line in text.splitlines(keepends=True)
    )


def _escaped(text: str, keep: str) -> str:
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )


def printable_lines(text: str) -> str:
    """Escape a text of several lines: line breaks and tabs stay."""
    return printable(text, keep="\n\t")
