"""Finds the item of a frame that cannot be unpickled, after that has failed: good frames pay nothing."""

from __future__ import annotations

import io
import pickle
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

__all__ = ["find_bad_item"]

APPENDING = ("APPEND", "APPENDS")
# Bytes of the head of one of pickle's own frames: an opcode and a length.
FRAME_BYTES = 9


def find_bad_item(data: bytes, buffers: Iterable[Any]) -> int:
    """The index of the item at which unpickling a list fails; 0 if it cannot be found.

    The list is unpickled once more, from a file whose position says how far that has come.
    """
    try:
        plain, begins = _items(data)
    except (ImportError, OSError):
        # A process without a free descriptor cannot read a module.
        return 0
    file = io.BytesIO(plain)
    try:
        pickle.Unpickler(file, buffers=buffers).load()
    except Exception:
        # This is the failure to locate.
        return max(0, bisect_right(begins, file.tell() - 1) - 1)
    return 0


def _items(data: bytes) -> tuple[bytes, list[int]]:
    """The pickle of a list without pickle's own frames, and the offsets at which its items begin."""
    # Only a failure needs this import.
    from pickletools import genops, markobject

    parts: list[bytes] = []
    begins: list[int] = []
    # The stack of the unpickler: for each value the offset at which the opcodes that make it begin.
    stack: list[int] = []
    # For each open mark: the height of the stack, and the offset.
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
        # These items are appended to the list itself.
        if lowest == 0 and opcode.name in APPENDING:
            begins += stack[1:]
        stack[lowest:] = [stack[lowest] if taken else at] * len(opcode.stack_after)
    return b"".join((*parts, data[copied:])), begins
