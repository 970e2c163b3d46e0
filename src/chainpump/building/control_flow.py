"""Whether every path through a piece of code passes one of its instructions, by the jumps in its bytecode."""

from __future__ import annotations

import dis
from functools import lru_cache
from itertools import pairwise
from types import CodeType

__all__ = ["is_surely_reached"]

LEAVE = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"))
JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))
ALWAYS_JUMP = frozenset(("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"))


@lru_cache(maxsize=64)
def is_surely_reached(code: CodeType, at: int) -> bool:
    """Whether the instruction at this offset, or with its cache there, is executed under no condition.

    A loop over items counts as one that has some. What only an exception leads to is not sure.
    """
    instructions = list(dis.get_instructions(code))
    at = max(each.offset for each in instructions if each.offset <= at)
    following = {each.offset: after.offset for each, after in pairwise(instructions)}
    known = {each.offset: each for each in instructions}
    around = {each.offset for each in instructions if each.opname == "FOR_ITER" and each.offset < at < each.argval}
    seen: set[int] = set()
    waiting = [instructions[0].offset]
    is_reached = False
    # Follow every path that does not pass `at`: does one of them end?
    while waiting:
        offset = waiting.pop()
        is_reached |= offset == at
        if offset in seen or offset == at:
            continue
        seen.add(offset)
        each = known[offset]
        if each.opname in LEAVE:
            return False
        targets = [each.argval] if each.opcode in JUMPS and offset not in around else []
        if each.opname not in ALWAYS_JUMP:
            targets.append(following[offset])
        # A jump back, to the next item of a loop.
        if any(target in around and target < offset for target in targets):
            return False
        waiting += targets
    return is_reached
