"""The arguments that are bound to a function, checked against its hints."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from ..hints.annotations import Hint, is_unknown
from ..hints.assignability import fits
from ..hints.callables import hint_of, is_literally
from ..hints.classes import Bindings, substitute
from ..hints.reading import EMPTY, Reading
from ..plan.bound import Bound

__all__ = ["bind_arguments"]

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def bind_arguments(
    way: Reading, inputs: Sequence[object], bound: Bound, bindings: Bindings
) -> tuple[str, Hint, Hint] | None:
    """Bind type variables to what arguments are; returns the first that is not what is expected.

    Only functions, classes and plain values such as numbers and texts are looked at: what is in a list nobody knows.
    """
    if way.wrong is not None:
        return way.wrong
    for name, value, annotation in _arguments(way, inputs, bound):
        have, want, trial = hint_of(value), way.known(annotation), dict(bindings)
        if is_unknown(have, want):
            continue
        if fits(have, want, trial):
            bindings.update(trial)
        elif not (way.is_partly_known or is_literally(value, want)):
            return name, have, substitute(want, bindings)
    return None


def _arguments(way: Reading, inputs: Sequence[object], bound: Bound) -> Iterator[tuple[str, object, object]]:
    """The name, the value and the annotation of each argument after the items."""
    try:
        given = way.signature.bind(*inputs, *bound.args, **bound.kwargs).arguments
    except TypeError:
        # The call does not bind: `check_arguments` reports that.
        return
    for name, value in given.items():
        parameter = way.signature.parameters[name]
        # A default of None is allowed for any hint: `size: int = None`.
        is_default = value is parameter.default
        if parameter.kind not in VARIADIC and value is not EMPTY and not is_default:
            yield name, value, parameter.annotation
