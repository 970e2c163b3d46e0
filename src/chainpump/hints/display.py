"""Type hints as text, and where two of them differ."""

from __future__ import annotations

import inspect
from collections import abc
from enum import Enum
from types import NoneType
from typing import Annotated, Any, ForwardRef, Literal, NamedTuple, ParamSpec, TypeVar, TypeVarTuple, get_args

from .annotations import UNKNOWN, Hint
from .assignability import compared, fits
from .class_members import Field, call_signature, is_protocol, member_of, protocol_members, typed_fields
from .classes import as_base, is_typed_dict, is_union, limit_of, parameters_of, plain, split
from .comparison import Comparison, Question, exactly
from .forms import unpacked
from .structure import has_member, may_stand_for
from .tuples import Items
from .typeshed import declared
from .unions import unfit_members
from .variance import argument_questions

__all__ = ["difference", "show"]

# The most levels of a hint that are shown; a difference below is described in words.
DEPTH = 8
# The most steps into a hint; a longer path never ends.
STEPS = 500
# The most members of a union, or items of a tuple, that are shown.
WIDTH = 12


def show(hint: Hint, *, full: bool = False) -> str:
    """A hint as Python source; `full` adds modules, for two hints whose short texts are equal.

    >>> from collections.abc import Sequence
    >>> import typing
    >>> show(typing.Optional[typing.List[Sequence[str]]])
    'list[Sequence[str]] | None'
    """
    try:
        return _show(hint, full, DEPTH)
    except Exception:
        # The code of a hint may raise anything: a metaclass, a descriptor, a repr.
        return f"a {type(hint).__name__}"


def _show(hint: Hint, full: bool, room: int) -> str:  # noqa: PLR0911  # a case for each kind of hint
    origin, args = split(hint)
    if isinstance(hint, (TypeVar, ParamSpec, TypeVarTuple, ForwardRef, str)):
        return _show_name(hint, full, room)
    if origin is Literal:
        return f"Literal[{', '.join(_cut([_show_value(each) for each in args]))}]"
    if room == 0:
        return "..."
    inner = unpacked(hint)
    if inner is not None:
        return f"*{_show(inner, full, room - 1)}"
    if origin is Annotated and args:
        return _show(args[0], full, room)
    parts = [_show(each, full, room - 1) for each in (hint if isinstance(hint, (list, tuple)) else args[: WIDTH + 1])]
    if is_union(hint):
        return " | ".join(_cut(parts, len(args)))
    is_list = isinstance(hint, (list, tuple))
    empty = "()" if not is_list else ""
    is_empty = is_list or (origin is tuple and hint is not tuple and not args)
    listed = f"[{', '.join(_cut(parts, len(args))) or empty}]" if parts or is_empty else ""
    return listed if is_list else f"{_name(origin, full)}{listed}"


def _cut(parts: list[str], count: int = 0) -> list[str]:
    more = max(count, len(parts)) - WIDTH
    return [*parts[:WIDTH], f"... ({more} more)"] if more > 0 else parts


def _show_name(hint: Hint, full: bool, room: int) -> str:
    """A type variable with its bound, or a forward reference, as written."""
    if isinstance(hint, (ForwardRef, str)):
        return hint if isinstance(hint, str) else str(hint.__forward_arg__)
    limit = limit_of(hint) if isinstance(hint, TypeVar) else UNKNOWN
    return str(hint.__name__) if limit is UNKNOWN or room == 0 else f"{hint.__name__}: {_show(limit, full, room - 1)}"


def _show_value(value: object) -> str:
    return str(value) if isinstance(value, Enum) else repr(value)


def _name(hint: Hint, full: bool) -> str:
    if hint is NoneType or hint is None or hint is ...:
        return "..." if hint is ... else "None"
    name = getattr(hint, "__qualname__", None) or getattr(hint, "__name__", None) or getattr(hint, "_name", None)
    if not isinstance(name, str):
        return repr(hint).removeprefix("typing.")
    short = name.rpartition("<locals>.")[2]
    return f"{hint.__module__}.{short}" if full and hint.__module__ != "builtins" else short


class Step(NamedTuple):
    """A step from two hints to two parts that differ. where: which part, in words.

    why: what is wrong with the part, where it is not that one hint does not fit the other.
    """

    where: str
    given: Hint = UNKNOWN
    expected: Hint = UNKNOWN
    why: str = ""


def difference(given: Hint, expected: Hint) -> str:
    """Where a hint does not fit another one, as a sentence; empty if the hints themselves say it.

    >>> difference(list[dict[str, int]], list[dict[str, str]])
    'They differ in the value of dict, in the item of list: int where str is expected.'
    """
    try:
        return _difference(given, expected)
    except Exception:
        # The code of a hint may raise anything: a metaclass, a descriptor, an alias.
        return ""


def _difference(given: Hint, expected: Hint) -> str:
    path: list[str] = []
    holder: Hint = None
    known, step, seen = compared(), Step("", given, expected), set[tuple[int, int]]()
    while (deeper := _step(plain(step.given), plain(step.expected), known)) is not None:
        holder, step = split(plain(step.given))[0], deeper
        path.insert(0, step.where)
        pair = known.token(step.given), known.token(step.expected)
        # An alias may contain itself.
        if step.why or pair in seen or len(path) > STEPS:
            break
        seen.add(pair)
    if not any(path):
        return ""
    start = f"They differ in the {', in the '.join(_shortened(list(filter(None, path))))}"
    if step.why:
        return f"{start}{step.why.removesuffix('.')}."
    is_exact = fits(step.given, step.expected, {}, known)
    have, want = show(step.given), f"{'exactly ' * is_exact}{show(step.expected)}"
    why = f", since {_why_exactly(holder, path[0])}" * is_exact
    return f"{start}: {have} where {want} is expected{why}."


def _why_exactly(holder: Hint, where: str) -> str:
    is_own = isinstance(holder, type) and bool(parameters_of(holder)) and declared(holder) is None
    return f"the {where} is invariant" if is_own else f"a {_name(holder, full=False)} can be written to"


def _shortened(path: list[str]) -> list[str]:
    return [*path[:DEPTH], "..."] if len(path) > DEPTH else path


def _step(given: Hint, expected: Hint, known: Comparison) -> Step | None:  # noqa: PLR0911  # a case for each kind of hint
    base = split(expected)[0]
    # Which kind of part differs, for each kind of hint; the first that is of the kind tells.
    if is_union(given):
        found = known.drive(unfit_members(given, expected, {}))
        return next((Step("union", each, expected) for each in found), None)
    if is_union(expected):
        return _step_into_choice(given, expected)
    if base is abc.Callable:
        return _step_into_call(call_signature(given), call_signature(expected), known)
    if base is tuple:
        return _step_into_tuple(given, expected, known)
    if is_typed_dict(base) and is_typed_dict(split(given)[0]):
        return _step_into_key(given, expected, known)
    view = as_base(given, base) if isinstance(base, type) else None
    if view is None:
        return _step_into_members(given, expected, known)
    return _step_into_argument(given, view, expected, known)


def _step_into_choice(given: Hint, expected: Hint) -> Step | None:
    """Step into the one member of a union that has the same class."""
    origin = split(given)[0]
    meant = [each for each in get_args(expected) if split(plain(each))[0] is origin and origin is not Literal]
    return Step("", given, meant[0]) if len(meant) == 1 else None


def _step_into_key(given: Hint, expected: Hint, known: Comparison) -> Step | None:
    have, want = typed_fields(given), typed_fields(expected)
    one, other = (_name(split(each)[0], full=False) for each in (given, expected))
    for key, field in want.items():
        where = f"key {key!r} of {other}"
        if key not in have:
            return Step(f"{where}, which {one} does not have", why=".")
        if not may_stand_for(have[key], field):
            return Step(where, why=f": {_of(have[key])} in {one}, {_of(field)} in {other}")
        judge = None if field.read_only else exactly
        if not known.answer(Question(have[key].hint, field.hint, {}, judge)):
            return Step(where, have[key].hint, field.hint)
    return None


def _of(field: Field) -> str:
    return "read-only" if field.read_only and field.required else "required" if field.required else "not required"


def _step_into_argument(given: Hint, view: Hint, expected: Hint, known: Comparison) -> Step | None:
    for index, question in known.drive(argument_questions(view, expected, {})):
        if not known.answer(question):
            where = f"{_part(split(expected)[0], index)} of {_name(split(given)[0], full=False)}"
            one, other = get_args(view), get_args(expected)
            is_aligned = max(len(one), len(other)) <= index + 1 or len(one) == len(other)
            return Step(where, *((one[index], other[index]) if is_aligned else (question.given, question.expected)))
    return None


def _part(base: type, index: int) -> str:
    """Which argument of a generic class it is, in words."""
    if issubclass(base, abc.Mapping):
        return ("key", "value")[index]
    if issubclass(base, abc.Generator):
        return ("item", "value that is sent", "result")[index]
    if issubclass(base, abc.Iterable | abc.AsyncIterable) and not parameters_of(base):
        return "item"
    parameters = dict(enumerate(parameters_of(base)))
    return str(parameters[index].__name__) if index in parameters else f"argument {index + 1}"


def _step_into_tuple(given: Hint, expected: Hint, known: Comparison) -> Step | None:
    view = as_base(given, tuple)
    if view is None:
        return None
    have, want = Items.of(get_args(view)), Items.of(get_args(expected))
    if not (have.middle or want.middle) and len(have.first) != len(want.first):
        return Step("length of tuple", why=f": {len(have.first)} items where {len(want.first)} are expected")
    pairs = enumerate(zip(have.first, want.first or want.middle * len(have.first), strict=False))
    found = next(((at, *pair) for at, pair in pairs if not fits(*pair, {}, known)), None)
    return None if found is None else Step(f"item {found[0]} of tuple", *found[1:])


def _step_into_call(
    have: inspect.Signature | None, want: inspect.Signature | None, known: Comparison, what: str = "the function"
) -> Step | None:
    if have is None or want is None:
        return None
    if not fits(have.return_annotation, want.return_annotation, {}, known):
        return Step(f"result of {what}", have.return_annotation, want.return_annotation)
    takes, sent = (list(each.parameters.values()) for each in (have, want))
    pairs = enumerate(zip(takes, sent, strict=False))
    found = next((at for at, (one, other) in pairs if not fits(other.annotation, one.annotation, {}, known)), None)
    if found is None:
        return None
    return Step(f"parameter {found + 1} of {what}", takes[found].annotation, sent[found].annotation)


def _step_into_members(given: Hint, expected: Hint, known: Comparison) -> Step | None:
    base = split(expected)[0]
    if not is_protocol(base):
        return None
    for name in protocol_members(base):
        if not known.drive(has_member(given, expected, name, {})):
            return _step_into_member(given, expected, name, known)
    return None


def _step_into_member(given: Hint, expected: Hint, name: str, known: Comparison) -> Step:
    # 1. It is missing. 2. It is to be assigned to, and cannot be. 3. It is a value of another type. 4. It is called
    # in another way, in a part that can be named, or as a whole.
    where = f"member '{name}' of {_name(split(expected)[0], full=False)}"
    have, want = member_of(given, name), member_of(expected, name, given)
    if have is None or want is None:
        return Step(f"{where}, which {show(given)} does not have", why=".")
    one, other = have.hint, want.hint
    are_values = not (isinstance(one, inspect.Signature) or isinstance(other, inspect.Signature))
    if are_values and want.settable > have.settable:
        return Step(where, why=f", which cannot be assigned to in {show(given)}")
    if are_values:
        return Step(where, one, other)
    signatures = [each if isinstance(each, inspect.Signature) else call_signature(each) for each in (one, other)]
    deeper = _step_into_call(signatures[0], signatures[1], known, where)
    if deeper is not None:
        return deeper
    texts = [_show_signature(each) if each else show(hint) for each, hint in zip(signatures, (one, other), strict=True)]
    return Step(where, why=f": {texts[0]} where {texts[1]} is expected")


def _show_signature(signature: inspect.Signature) -> str:
    parameters = [each.replace(annotation=_shown(each.annotation)) for each in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=_shown(signature.return_annotation)))


class _Text(str):
    """An annotation that `str(signature)` prints without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


# A text, or `inspect.Parameter.empty` for a missing annotation.
def _shown(hint: Hint) -> Any:
    return inspect.Signature.empty if hint is UNKNOWN else _Text(show(hint))
