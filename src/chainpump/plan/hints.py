"""Type hints as values: taken apart, seen as one of their bases, and put together again."""

from __future__ import annotations

import collections
import typing
from collections import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, TypeAlias, TypeVar, Union, get_args, get_origin

from .annotations import UNKNOWN, Hint, UnresolvedHintError, resolve, signature_of
from .tuples import Items

__all__ = [
    "UNKNOWN",
    "Bindings",
    "Hint",
    "as_base",
    "bases_of",
    "bindings_of",
    "fields_of",
    "is_qualifier",
    "is_subclass",
    "is_type",
    "is_union",
    "item_of",
    "limit_of",
    "parameters_of",
    "plain",
    "split",
    "substitute",
    "union_of",
]

Bindings: TypeAlias = dict[TypeVar, Hint]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
pair: Hint = tuple  # a value, whose arguments are no business of a type checker

# What built-in generics derive from, base and arguments: checkers read it in typeshed, the runtime does not
# know. Arguments count in the order of their first use; what the base does not use (a generator's) is last.
DECLARED: Mapping[object, tuple[Hint, ...]] = {
    str: (Sequence, str),
    bytes: (Sequence, int),
    bytearray: (abc.MutableSequence, int),
    memoryview: (Sequence, int),
    range: (Sequence, int),
    list: (abc.MutableSequence, T),
    collections.deque: (abc.MutableSequence, T),
    set: (abc.MutableSet, T),
    frozenset: (abc.Set, T),
    dict: (abc.MutableMapping, K, V),
    collections.OrderedDict: (dict, K, V),
    collections.defaultdict: (dict, K, V),
    collections.Counter: (dict, T, int),
    collections.ChainMap: (abc.MutableMapping, K, V),
    enumerate: (Iterator, pair[int, T]),
    reversed: (Iterator, T),
    map: (Iterator, T),
    filter: (Iterator, T),
    zip: (Iterator, T),
    typing.IO: (Iterator, T),
    abc.Iterator: (Iterable, T),
    abc.Generator: (Iterator, T),
    abc.Reversible: (Iterable, T),
    abc.Collection: (Iterable, T),
    abc.Sequence: (abc.Collection, T),
    abc.MutableSequence: (Sequence, T),
    abc.Set: (abc.Collection, T),
    abc.MutableSet: (abc.Set, T),
    abc.Mapping: (abc.Collection, K),
    abc.MutableMapping: (Mapping, K, V),
    abc.KeysView: (abc.Set, T),
    abc.ItemsView: (abc.Set, pair[K, V]),
    abc.ValuesView: (abc.Collection, T),
    abc.AsyncIterator: (abc.AsyncIterable, T),
    abc.AsyncGenerator: (abc.AsyncIterator, T),
    abc.Coroutine: (abc.Awaitable, T),
}

QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")  # those of typing_extensions, too


def split(hint: Hint) -> tuple[Hint, tuple[Hint, ...]]:
    """A hint's class or form, and its arguments.

    >>> split(list[int])
    (<class 'list'>, (<class 'int'>,))
    """
    origin: Hint = get_origin(hint)
    return (hint if origin is None else origin), get_args(hint)


def is_type(value: object) -> bool:
    """Whether a value is a type hint: a class, an alias, a union, a word of typing; and no text.

    >>> is_type(list[int]), is_type(3), is_type("int")
    (True, False, False)
    """
    of_typing = type(value).__module__ in ("typing", "typing_extensions")
    return isinstance(value, type) or get_origin(value) is not None or of_typing


def is_union(hint: Hint) -> bool:
    """Whether a hint is a Union, an Optional or `X | Y`."""
    return split(hint)[0] in (Union, UnionType)


def union_of(hints: Iterable[Hint]) -> Hint:
    """The union of some hints; unknown where there is none."""
    members = tuple(hints)
    return Union[members] if members else Any  # noqa: UP007  # the members are known only now


def plain(hint: Hint) -> Hint:
    """Take away what makes no difference: aliases, qualifiers, other words for what is unknown."""
    origin, args = split(hint)
    if hint in (Any, typing.Self) or isinstance(hint, (str, typing.ForwardRef)):
        return UNKNOWN
    if args and is_qualifier(origin):
        return plain(args[0])
    aliased = _aliased(origin)
    if aliased is not None:
        return plain(aliased[args] if args and aliased is not UNKNOWN else aliased)
    if origin is not hint and getattr(hint, "__args__", None) is None:  # typing.List without arguments
        return origin
    parameters = getattr(hint, "__parameters__", ()) if isinstance(hint, type) else ()
    if any(map(has_default, parameters)):
        generic: Hint = hint
        return generic[tuple(map(_default_of, parameters))]
    return NoneType if hint is None else str if hint is typing.LiteralString else hint


def is_qualifier(form: Hint) -> bool:
    """Whether a form only adds to the type that it is given: `Annotated`, `ReadOnly` and the like."""
    return form is Annotated or (not isinstance(form, type) and getattr(form, "_name", None) in QUALIFIERS)


def has_default(variable: TypeVar) -> bool:
    """Whether a type variable says what it stands for where nothing is given; of typing or of typing_extensions."""
    return bool(getattr(variable, "has_default", bool)())


def _default_of(variable: TypeVar) -> Hint:
    return variable.__default__ if has_default(variable) else Any  # type: ignore[attr-defined]  # since 3.13


# Since 3.12 aliases and bounds are evaluated when they are asked for: one may name what only a type checker
# imports, and is then unknown.


def _aliased(hint: Hint) -> Hint | None:
    """What `type Names = list[str]` stands for, of typing or of typing_extensions; None for other hints."""
    try:
        return getattr(hint, "__value__", None)
    except NameError:
        return UNKNOWN


def limit_of(variable: TypeVar) -> Hint:
    """What is known of a type variable before anything is bound to it."""
    try:
        constraints, bound = variable.__constraints__, variable.__bound__
    except NameError:
        return UNKNOWN
    if constraints:
        return union_of(constraints)
    return UNKNOWN if bound is None else bound


def item_of(hint: Hint) -> Hint | None:
    """The hint of what iterating yields; UNKNOWN where it does not say; None where it cannot be iterated.

    >>> item_of(dict[str, int])
    <class 'str'>
    """
    hint = plain(hint)
    if hint is UNKNOWN:
        return UNKNOWN
    if isinstance(hint, TypeVar):
        return item_of(limit_of(hint))
    if isinstance(hint, NewType):
        return item_of(hint.__supertype__)
    origin, args = split(hint)
    if is_union(hint) or origin is Literal:
        items = [item_of(type(each) if origin is Literal else each) for each in args]
        return None if None in items else UNKNOWN if UNKNOWN in items else union_of(items)
    view = as_base(hint, abc.Iterable)
    return None if view is None else plain((*get_args(view), UNKNOWN)[0])


def as_base(hint: Hint, base: type) -> Hint | None:
    """A hint seen as one of its base classes, with the arguments it gives to it; None if it is no subclass.

    >>> as_base(dict[str, int], Mapping)
    collections.abc.Mapping[str, int]
    """
    view, origin = _derived(hint, base), split(hint)[0]
    cls = Mapping if typing.is_typeddict(origin) else origin  # a TypedDict is a dict, but may not be used as one
    by_members = getattr(base, "_is_protocol", False)  # more than the names of methods is to be compared
    if view is None and isinstance(cls, type) and not by_members and is_subclass(cls, base):
        return base  # registered, or by the methods that it has
    return view


def _derived(hint: Hint, base: type) -> Hint | None:
    origin, args = split(hint)
    if origin is base:
        return hint
    parents = _parents(origin, args) if isinstance(origin, type) else ()
    return next((view for parent in parents if (view := _derived(parent, base)) is not None), None)


def is_subclass(cls: type, base: type) -> bool:
    """Like issubclass, and False for a Protocol that cannot be checked at run time."""
    try:
        return issubclass(cls, base)
    except TypeError:
        return False


def _parents(origin: type, args: tuple[Hint, ...]) -> Iterator[Hint]:
    # 1. A tuple's items are a union. 2. Kinds of classes whose bases the runtime hides. 3. Built-in generics.
    # 4. Classes: their bases, then what their own methods say of their items.
    if origin is tuple:
        kinds = Items.of(args).kinds
        yield Sequence[Any if UNKNOWN in kinds else union_of(kinds)]  # type: ignore[misc]  # a value
    elif typing.is_typeddict(origin):
        yield Mapping[str, object]
    elif tuple in origin.__bases__ and hasattr(origin, "_fields"):
        yield tuple[tuple(fields_of(origin).values())]  # type: ignore[misc]  # a value
    elif origin in DECLARED:
        base, *given = DECLARED[origin]
        hint = base[tuple(given)]
        yield substitute(hint, bindings_of(hint.__parameters__, args))
    else:
        for hint in (*bases_of(origin), *_iteration(origin)):
            yield substitute(hint, bindings_of(parameters_of(origin), args))


def bases_of(cls: type) -> list[Hint]:
    """What a class derives from, as it was written; without Generic and Protocol."""
    bases = vars(cls).get("__orig_bases__", cls.__bases__)
    return [base for base in bases if split(base)[0] not in (typing.Generic, typing.Protocol)]


def parameters_of(cls: type) -> tuple[TypeVar, ...]:
    """A generic class's type variables, in order; those of `class Named(dict[str, T])` too, which hides them."""
    hidden = (each for base in bases_of(cls) for each in getattr(base, "__parameters__", ()))
    return getattr(cls, "__parameters__", ()) or tuple(dict.fromkeys(hidden))


def fields_of(cls: type) -> dict[str, Hint]:
    """The hints of a class's attributes, as a TypedDict gives them to its keys; unknown where they cannot be read."""
    names = dict.fromkeys(getattr(cls, "__annotations__", {}), Any)
    parameters = {each.__name__: each for base in cls.__mro__ for each in getattr(base, "__type_params__", ())}
    try:
        return names | typing.get_type_hints(cls, localns=parameters or None, include_extras=True)
    except Exception:  # annotations are expressions: evaluating one may raise anything
        return names


def bindings_of(parameters: Sequence[TypeVar], args: Sequence[Hint]) -> Bindings:
    """What a class's type variables stand for where it has these arguments; those without one, for their default."""
    return {each: _default_of(each) for each in parameters} | dict(zip(parameters, args, strict=False))


def _iteration(cls: type) -> Iterator[Hint]:
    """Iterable of what a class's own `__next__` or `__iter__` says."""
    name = next((name for name in ("__next__", "__iter__") if vars(cls).get(name) is not None), None)
    if name is None or cls is abc.Iterable:
        return
    method = vars(cls)[name]
    try:
        result = resolve(signature_of(method).return_annotation, method)
    except UnresolvedHintError:
        result = UNKNOWN
    if name == "__iter__":
        result = UNKNOWN if split(result)[0] is cls else item_of(result)
    yield Iterable[Any if result in (None, UNKNOWN) else result]  # type: ignore[misc]  # a value


def substitute(hint: Hint, bindings: Mapping[TypeVar, Hint]) -> Hint:
    """Put what was found for type variables in their place; those not found stay.

    >>> substitute(dict[str, list[T]], {T: int})
    dict[str, list[int]]
    """
    if isinstance(hint, TypeVar):
        return bindings.get(hint, hint)
    if isinstance(hint, type) or not getattr(hint, "__parameters__", ()):
        return hint
    found = (bindings.get(each, each) for each in hint.__parameters__)
    return hint[tuple(Any if each is UNKNOWN else _spread(each) for each in found)]


def _spread(hint: Hint) -> Hint:
    return typing.Unpack[hint] if isinstance(hint, typing.TypeVarTuple) else hint
