"""What is sure about a piece of code, by its bytecode: that it reaches an instruction, or that it returns nothing."""

from __future__ import annotations

import dis
import inspect
from functools import lru_cache, partial
from itertools import pairwise
from types import CodeType

__all__ = ["is_surely_reached", "returns_nothing"]

LEAVE = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"))
JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))
# The instructions of a function without a body.
EMPTY = frozenset(("RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "RETURN_GENERATOR", "POP_TOP"))
YIELDS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
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


def returns_nothing(function: object) -> bool:
    """Whether a function or method yields nothing, and returns None in every case.

    Not if it is empty, which stands for one to come.
    """
    while isinstance(function, partial):
        function = function.func
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        return False
    code: CodeType = function.__code__
    return not code.co_flags & YIELDS and _returns_nothing(code)


@lru_cache(maxsize=64)
def _returns_nothing(code: CodeType) -> bool:
    found = False
    does = False
    before = None
    for each in dis.get_instructions(code):
        if each.opname == "RETURN_CONST" and each.argval is not None:
            return False
        if each.opname == "RETURN_VALUE" and not (_is_none(before) and not each.is_jump_target):
            return False
        found |= each.opname in ("RETURN_CONST", "RETURN_VALUE")
        does |= each.opname not in EMPTY
        before = each
    return found and does


def _is_none(instruction: dis.Instruction | None) -> bool:
    return instruction is not None and instruction.opname == "LOAD_CONST" and instruction.argval is None
