"""Text made safe for a terminal, a page or a log: control characters are shown, and have no effect."""

from __future__ import annotations

import unicodedata

__all__ = ["columns", "printable", "printable_lines", "shortened"]


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


def columns(text: str) -> int:
    """Return the width of a text in letters; East Asian letters count as two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def shortened(text: str, width: int) -> str:
    """A text of at most this width in letters, cut in the middle: long names often differ at their ends.

    >>> shortened("normalise_addresses_of_europe", 16)
    'normalis…_europe'
    """
    # Each letter is at least one wide.
    if len(text) <= width and columns(text) <= width:
        return text
    start, end = text[: (width + 1) // 2], text[len(text) - (width - 1) // 2 :]
    while columns(start) + columns(end) + 1 > width:
        start, end = (start[:-1], end) if columns(start) > columns(end) else (start, end[1:])
    return f"{start}…{end}"
