"""Room for the frames of Python calls: without it, one depth of calls costs a system call or two for each call.

CPython 3.11 and newer keep the frames of a thread in chunks of 16 KB. A call that does not fit takes a new chunk from
the system, and its return gives the chunk back at once. A worker calls the same functions at the same depth for each
frame or item. If the end of a chunk lies there, each of these calls makes, clears and frees a chunk. This took 15 to
40 % of the processor time of small items with `in_flight=`, and 12 % with arrays of 1 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["with_frame_room"]

A = TypeVar("A")
R = TypeVar("R")

# Values on the stack of the function below. Its frame fits into no chunk of usual size, so it gets a chunk of 64 KB.
# The calls within it have the other 31 KB.
STACK_VALUES = 4096


def with_frame_room(function: Callable[[A], R], argument: A) -> R:
    """`function(argument)`, with room for the frames of about a hundred nested calls."""
    return function(argument)


with_frame_room.__code__ = with_frame_room.__code__.replace(co_stacksize=STACK_VALUES)
