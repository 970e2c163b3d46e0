"""Which item of a frame cannot be rebuilt: looked for once that has happened, so that good frames pay nothing."""

from __future__ import annotations

import io
import pickle
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

__all__ = ["culprit"]

APPENDING = ("APPEND", "APPENDS")
# Of pickle's own frames: the opcode, and a length that says nothing once some of them are cut out.
FRAME_BYTES = 9


def culprit(data: bytes, buffers: Iterable[Any]) -> int:
    """The place of the item at which loading fails, in the pickle of a list; 0 if it cannot be found.

    It is loaded once more, from a file that tells how far that has come.
    """
    try:
        plain, begins = _items(data)
    except (ImportError, OSError):
        # A process that has no descriptor left can read no module.
        return 0
    file = io.BytesIO(plain)
    try:
        pickle.Unpickler(file, buffers=buffers).load()
    except Exception:
        # The failure that is being looked for.
        return max(0, bisect_right(begins, file.tell() - 1) - 1)
    return 0


def _items(data: bytes) -> tuple[bytes, list[int]]:
    """The pickle of a list as the unpickler reads it step by step, and where in it each item begins."""
    # Only a failure pays for it.
    from pickletools import genops, markobject

    parts: list[bytes] = []
    begins: list[int] = []
    # Of the unpickler, so far: where what makes each of its values begins.
    stack: list[int] = []
    # How high it was, and where.
    marks: list[tuple[int, int]] = []
    copied = cut = 0
    for opcode, _, found in genops(data):
        at = (found or 0) - cut
        if opcode.name == "FRAME":
            parts.append(data[copied : at + cut])
            cut += FRAME_BYTES
            copied = at + cut
        if opcode.stack_after == [markobject]:
            marks.append((len(stack), at))
            continue
        top, taken = len(stack), len(opcode.stack_before)
        if markobject in opcode.stack_before:
            (top, at), taken = marks.pop(), opcode.stack_before.index(markobject)
        lowest = top - taken
        # To the list itself.
        if lowest == 0 and opcode.name in APPENDING:
            begins += stack[1:]
        stack[lowest:] = [stack[lowest] if taken else at] * len(opcode.stack_after)
    return b"".join((*parts, data[copied:])), begins
