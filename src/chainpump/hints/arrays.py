"""Hints of numpy and jaxtyping arrays, which say more than their classes. This module imports neither library."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .annotations import UNKNOWN, Hint
from .forms import plain, split

__all__ = ["array_of", "is_open_dtype", "shapes_fit"]


def is_open_dtype(given: Hint, expected: Hint) -> bool:
    """Whether a numpy scalar type of unknown precision may be another: `floating[Any]` may be `float32`.

    For type checkers `float32` is `floating[_32Bit]`; at run time it is a class of its own.
    """
    origin, args = split(given)
    is_scalar = isinstance(origin, type) and isinstance(expected, type) and expected.__module__ == "numpy"
    # float64 also derives from float.
    is_scalar = is_scalar and all(each.__module__ == "numpy" for each in expected.__bases__)
    is_open = is_scalar and origin.__module__ == "numpy" and any(origin is each for each in expected.__bases__)
    return is_open and origin.__name__ != "generic" and all(plain(each) is UNKNOWN for each in args)


def array_of(hint: Hint) -> Hint | None:
    """The array class of a jaxtyping hint, such as `Float[ndarray, "n 3"]`; None for other hints."""
    module = sys.modules.get("jaxtyping")
    is_one = module is not None and isinstance(hint, type) and issubclass(hint, module.AbstractArray)
    return hint.array_type if is_one and hasattr(hint, "array_type") else None


def shapes_fit(given: Hint, expected: Hint) -> bool:
    """Whether the element types and dimensions of two jaxtyping hints can be equal. Named sizes fit any number."""
    kinds = expected.dtypes
    if isinstance(kinds, list | tuple) and not (
        isinstance(given.dtypes, list | tuple) and set(given.dtypes) <= set(kinds)
    ):
        return False
    have, want = list(_sizes(given)), list(_sizes(expected))
    # One of them allows any number of dimensions.
    if None in (*have, *want):
        return True
    pairs = zip(have, want, strict=False)
    return len(have) == len(want) and all(one == other or "" in (one, other) for one, other in pairs)


def _sizes(hint: Hint) -> Iterator[str | None]:
    """The size of each dimension as text; empty for a name, None for any number of dimensions."""
    for word in hint.dim_str.split():
        size = word.lstrip("#?_*").rpartition("=")[2]
        yield None if "..." in word or "*" in word else size if size.isdecimal() else ""
