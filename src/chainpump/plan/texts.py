"""Hints as a person reads them: in full, and where two of them differ."""

from __future__ import annotations

import inspect
import typing
from collections import abc
from types import NoneType
from typing import Annotated, Literal, NamedTuple, TypeVar, Unpack, get_args

from .annotations import UNKNOWN, Hint
from .fits import argument_fits, fits
from .hints import as_base, fields_of, is_union, limit_of, parameters_of, plain, split
from .members import call_signature, is_protocol, member_of, protocol_members
from .tuples import Items, is_unpacked

__all__ = ["difference", "show"]


def show(hint: Hint, *, full: bool = False) -> str:
    """A hint as a person writes it; `full` adds modules, for when two short texts are alike.

    >>> show(typing.Optional[typing.List[abc.Sequence[str]]])
    'list[Sequence[str]] | None'
    """
    origin, args = split(hint)
    if isinstance(hint, TypeVar):
        limit = limit_of(hint)
        return hint.__name__ if limit is UNKNOWN else f"{hint.__name__}: {show(limit, full=full)}"
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if is_unpacked(hint):
        (hint,) = args if origin is Unpack else (origin[args],)
        return f"*{show(hint, full=full)}"
    inner = [show(each, full=full) for each in (hint if isinstance(hint, list) else args)]
    if is_union(hint) or origin is Annotated:
        return " | ".join(inner[: 1 if origin is Annotated else None])
    listed = f"[{', '.join(inner) or '()'}]" if inner or hint in ((), [], tuple[()]) else ""
    return listed if isinstance(hint, list) else f"{_name(origin, full)}{listed}"


def _name(hint: Hint, full: bool) -> str:  # private, and always passed on
    if hint in (NoneType, None, Ellipsis):
        return "..." if hint is Ellipsis else "None"
    name = getattr(hint, "__qualname__", None) or getattr(hint, "__name__", None)
    if name is None:
        return repr(hint).removeprefix("typing.")
    short = str(name).rpartition("<locals>.")[2]
    return f"{hint.__module__}.{short}" if full and hint.__module__ != "builtins" else short


class Step(NamedTuple):
    """From two hints to a part of them that differs. where: the part, in words."""

    where: str
    given: Hint
    expected: Hint


def difference(given: Hint, expected: Hint) -> str:
    """Where a hint does not fit another one, as a sentence; empty where that is the whole of it.

    >>> difference(list[dict[str, int]], list[dict[str, str]])
    'They differ in the value of dict, in the item of list: int where str is expected.'
    """
    path: list[str] = []
    holder: Hint = None
    while (step := _step(plain(given), plain(expected))) is not None:
        holder = split(plain(given))[0]
        path.insert(0, step.where)
        given, expected = step.given, step.expected
    if not path:
        return ""
    start = f"They differ in the {', in the '.join(path)}"
    if expected is None:
        return f"{start}."
    is_exact = fits(given, expected, {})
    have, want = show(given), f"{'exactly ' * is_exact}{show(expected)}"
    why = f", since a {_name(holder, full=False)} can be written to" * is_exact
    return f"{start}: {have} where {want} is expected{why}."


def _step(given: Hint, expected: Hint) -> Step | None:
    base, wanted = split(expected)
    if is_union(given) and not is_union(expected):
        return next((Step("union", each, expected) for each in get_args(given) if not fits(each, expected, {})), None)
    if base is abc.Callable:
        return _step_into_call(given, expected)
    if base is tuple:
        return _step_into_tuple(given, wanted)
    if typing.is_typeddict(base) and typing.is_typeddict(split(given)[0]):
        return _step_into_key(split(given)[0], base)
    view = as_base(given, base) if isinstance(base, type) else None
    return _step_into_members(given, expected) if view is None else _step_into_argument(given, view, expected)


def _step_into_key(given: type, expected: type) -> Step | None:
    have, want = fields_of(given), fields_of(expected)
    for key, hint in want.items():
        if key not in have:
            return Step(f"key {key!r} of {expected.__name__}, which {given.__name__} does not have", None, None)
        if not fits(have[key], hint, {}):
            return Step(f"key {key!r} of {expected.__name__}", have[key], hint)
    return None


def _step_into_argument(given: Hint, view: Hint, expected: Hint) -> Step | None:
    base, wanted = split(expected)
    for place, (have, want) in enumerate(zip(get_args(view), wanted, strict=False)):
        if not argument_fits(base, place, have, want, {}):
            return Step(f"{_part(base, place)} of {_name(split(given)[0], full=False)}", have, want)
    return None


def _part(base: type, place: int) -> str:
    """What an argument of a generic class is, in words."""
    if issubclass(base, abc.Mapping):
        return ("key", "value")[place]
    if issubclass(base, abc.Generator):
        return ("item", "value that is sent", "result")[place]
    if issubclass(base, abc.Iterable | abc.AsyncIterable) and not parameters_of(base):
        return "item"
    parameters = dict(enumerate(parameters_of(base)))
    return parameters[place].__name__ if place in parameters else f"argument {place + 1}"


def _step_into_tuple(given: Hint, wanted: tuple[Hint, ...]) -> Step | None:
    view = as_base(given, tuple)
    if view is None:
        return None
    have, want = Items.of(get_args(view)), Items.of(wanted)
    pairs = enumerate(zip(have.first, want.first or want.middle * len(have.first), strict=False))
    found = next(((at, *pair) for at, pair in pairs if not fits(*pair, {})), None)
    return None if found is None else Step(f"item {found[0]} of tuple", *found[1:])


def _step_into_call(given: Hint, expected: Hint) -> Step | None:
    have, want = call_signature(given), call_signature(expected)
    if have is None or want is None:
        return None
    if not fits(have.return_annotation, want.return_annotation, {}):
        return Step("result of the function", have.return_annotation, want.return_annotation)
    takes, sent = (list(each.parameters.values()) for each in (have, want))
    pairs = enumerate(zip(takes, sent, strict=False))
    found = next((at for at, (one, other) in pairs if not fits(other.annotation, one.annotation, {})), None)
    if found is None:
        return None
    return Step(f"parameter {found + 1} of the function", takes[found].annotation, sent[found].annotation)


def _step_into_members(given: Hint, expected: Hint) -> Step | None:
    base = split(expected)[0]
    if not is_protocol(base):
        return None
    for name in protocol_members(base):
        have, want = member_of(given, name), member_of(expected, name)
        if have is None:
            return Step(f"member '{name}' of {base.__name__}, which {show(given)} does not have", None, None)
        signatures = isinstance(have.hint, inspect.Signature) or (want and isinstance(want.hint, inspect.Signature))
        if want is not None and not signatures and not fits(have.hint, want.hint, {}):
            return Step(f"'{name}' of {base.__name__}", have.hint, want.hint)
    return None
