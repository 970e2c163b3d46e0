"""Which overload of a function is called: the first one that fits the arguments, as type checkers choose it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from ..lazy_dataclass import replace
from .annotations import UNKNOWN, Hint, is_unknown
from .classes import Bindings, is_union, plain, substitute, union_of
from .forms import free_variables
from .reading import Reading, parameter_of_items

__all__ = ["bound_to", "chosen"]

# Whether a function with the second hint as its parameter accepts the first hint.
Accepts = Callable[[Hint, Hint, Bindings], bool]


def chosen(ways: Sequence[Reading], after: Hint, accepts: Accepts) -> Reading:
    """The overload that is called with items of this hint.

    Where none fits, it takes the union of what they take: that is what the items are compared with.
    """
    # 1. There is one signature. 2. The first overload that fits. Unknown items fit all; if results differ, the
    # result is unknown. 3. A union: each member has an overload of its own. 4. No overload fits.
    if len(ways) == 1:
        return ways[0]
    found = [(way, bindings) for way in ways if (bindings := _binds(way, after, accepts)) is not None]
    if found:
        results = {repr(_result(*each)) for each in found}
        return found[0][0] if len(results) == 1 or not _has_unknown(after) else found[0][0].without_hints()
    members = [chosen(ways, each, accepts) for each in get_args(after)] if is_union(after) else []
    if members and all(way in ways for way in members):
        pairs = zip(members, get_args(after), strict=True)
        results_of = [_result(way, _binds(way, each, accepts) or {}) for way, each in pairs]
        return _joined(members, UNKNOWN if is_unknown(*results_of) else union_of(results_of))
    return _joined(ways, UNKNOWN)


def bound_to(hint: Hint, bindings: Bindings) -> Hint:
    """Insert the bindings of type variables; unbound ones become unknown."""
    return plain(substitute(hint, dict.fromkeys(free_variables(hint), UNKNOWN) | bindings))


def _takes(way: Reading) -> Hint:
    parameter = parameter_of_items(way.signature)
    return UNKNOWN if parameter is None else way.known(parameter.annotation)


def _result(way: Reading, bindings: Bindings) -> Hint:
    return bound_to(way.known(way.signature.return_annotation), bindings)


def _binds(way: Reading, after: Hint, accepts: Accepts) -> Bindings | None:
    bindings: Bindings = {}
    return bindings if accepts(after, _takes(way), bindings) else None


def _joined(ways: Sequence[Reading], result: Hint) -> Reading:
    """A signature that takes what any of them takes."""
    first = ways[0]
    parameter = parameter_of_items(first.signature)
    hints = list(map(_takes, ways))
    taken: Any = UNKNOWN if is_unknown(*hints) else union_of(hints)
    changed = [
        each.replace(annotation=taken if each is parameter else each.annotation)
        for each in first.signature.parameters.values()
    ]
    return replace(first, signature=first.signature.replace(parameters=changed, return_annotation=result))


def _has_unknown(hint: Hint) -> bool:
    return plain(hint) is UNKNOWN or any(map(_has_unknown, get_args(hint)))
