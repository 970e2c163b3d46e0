"""Text for a terminal, a page or a log: it is shown, and nothing in it is obeyed."""

from __future__ import annotations

__all__ = ["printable", "printable_lines"]


def printable(text: str, keep: str = "") -> str:
    r"""The same text, where what has no picture is spelt as in Python's literals.

    That is a line break, an escape sequence of a terminal, a change of the writing direction, or half a character.

    >>> print(printable("a\n\x1b[31m<b>"))
    a\n\x1b[31m<b>

    keep: characters to leave as they are all the same.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )


def printable_lines(text: str) -> str:
    """The same, of a text of several lines."""
    return printable(text, keep="\n\t")
