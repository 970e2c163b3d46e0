"""Classes in type hints: their bases, with which type arguments, and what iterating them gives."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import typing
from collections import abc
from collections.abc import Callable, Iterator, Mapping, Reversible, Sequence
from enum import EnumMeta
from types import GenericAlias
from typing import Any, Literal, TypeVar, get_args

from .annotations import UnresolvedHintError, resolve, signature_of
from .forms import (
    MODULES,
    UNKNOWN,
    Bindings,
    Hint,
    bindings_of,
    class_attribute,
    free_variables,
    is_new_type,
    is_qualifier,
    is_type,
    is_union,
    limit_of,
    plain,
    split,
    substitute,
    type_parameters,
    union_of,
)
from .tuples import Items
from .typeshed import declared

__all__ = [
    "UNKNOWN",
    "Bindings",
    "Hint",
    "annotations_of",
    "as_base",
    "bases_of",
    "bindings_of",
    "field_of",
    "fields_of",
    "is_qualifier",
    "is_subclass",
    "is_type",
    "is_typed_dict",
    "is_union",
    "item_of",
    "limit_of",
    "parameters_of",
    "plain",
    "split",
    "substitute",
    "union_of",
]

# The most levels of nested unions and the like; a deeper hint is taken as it is.
DEPTH = 50


def item_of(hint: Hint) -> Hint | None:
    """The hint of the items of an iterable; UNKNOWN if it does not say, None if it cannot be iterated.

    >>> item_of(dict[str, int])
    <class 'str'>
    """
    try:
        return _item_of(hint, 0)
    except Exception:
        # The code of a hint may raise anything: a metaclass, a descriptor, an alias.
        return UNKNOWN


def _item_of(hint: Hint, depth: int) -> Hint | None:
    hint = plain(hint)
    if hint is UNKNOWN or depth > DEPTH:
        return UNKNOWN
    if isinstance(hint, TypeVar):
        return _item_of(limit_of(hint), depth + 1)
    if is_new_type(hint):
        return _item_of(hint.__supertype__, depth + 1)
    origin, args = split(hint)
    if is_union(hint) or origin is Literal:
        items = [_item_of(type(each) if origin is Literal else each, depth + 1) for each in args]
        is_known = all(each is not None and each is not UNKNOWN for each in items)
        return union_of(items) if is_known else None if any(each is None for each in items) else UNKNOWN
    view = as_base(hint, abc.Iterable)
    return None if view is None else plain((*get_args(view), UNKNOWN)[0])


def as_base(hint: Hint, base: type) -> Hint | None:
    """A hint seen as one of its base classes, with the arguments that it gives to the base; None if it is no subclass.

    >>> as_base(dict[str, int], Mapping)
    collections.abc.Mapping[str, int]
    """
    view, origin = _derived(hint, base), split(hint)[0]
    # A TypedDict is a dict at run time, but not for type checkers.
    cls = Mapping if is_typed_dict(origin) else origin
    # A Protocol needs more than a comparison of method names.
    by_members = class_attribute(base, "_is_protocol") is True
    if view is None and isinstance(cls, type) and not by_members and is_subclass(cls, base):
        # It is a registered subclass, or a subclass by its methods.
        return base
    return view


def _derived(hint: Hint, base: type) -> Hint | None:
    origin, args = split(hint)
    if origin is base:
        return hint
    for parent in _parents(origin, args, base) if isinstance(origin, type) else ():
        view = _derived(parent, base)
        if view is not None:
            return view
    return None


def is_subclass(cls: type, base: type) -> bool:
    """Like issubclass, and False for a Protocol that cannot be checked at run time."""
    try:
        return issubclass(cls, base)
    except Exception:
        # The check of a metaclass may raise anything.
        return False


def is_typed_dict(cls: object) -> bool:
    """Whether this is a TypedDict, of typing or of typing_extensions."""
    return isinstance(cls, type) and {"__total__", "__required_keys__"} <= vars(cls).keys()


def _parents(origin: type, args: tuple[Hint, ...], wanted: type) -> Iterator[Hint]:
    # 1. A tuple's items are a union. 2. Kinds of classes whose bases the runtime hides. 3. Built-in generics.
    # 4. Classes: their bases, then what their own methods say of them.
    parameters, bases = declared(origin) or (None, ())
    if origin is tuple:
        kinds = Items.of(args).kinds
        yield GenericAlias(Sequence, (union_of(kinds),))
    elif origin is type and args:
        yield from _of_metaclass(plain(args[0]))
    elif is_typed_dict(origin):
        yield GenericAlias(Mapping, (str, object))
    elif tuple in origin.__bases__ and hasattr(origin, "_fields"):
        known, given = fields_of(origin), bindings_of(parameters_of(origin), args)
        yield GenericAlias(tuple, tuple(substitute(known.get(each, Any), given) for each in origin._fields))  # pyright: ignore[reportAttributeAccessIssue]
    elif parameters is not None:
        given = bindings_of(parameters, args)
        yield from (substitute(hint, given) for hint in bases)
    else:
        given = bindings_of(parameters_of(origin), args)
        own = origin if type_parameters(origin) == () else GenericAlias(origin, parameters_of(origin))
        found = (*bases_of(origin), *kinds_by_methods(origin, own, wanted))
        # A metaclass is of no class in particular.
        yield from (substitute(GenericAlias(type, (object,)) if each is type else each, given) for each in found)


def _of_metaclass(hint: Hint) -> Iterator[Hint]:
    """The hint of a class as an object: an instance of its metaclass; an enum iterates its members."""
    cls = split(hint)[0]
    if isinstance(cls, EnumMeta):
        yield GenericAlias(Reversible, (cls,))
    if isinstance(cls, type):
        yield type(cls)


def bases_of(cls: type) -> list[Hint]:
    """The bases of a class as they were written, without Generic and Protocol."""
    written = vars(cls).get("__orig_bases__")
    bases = written if isinstance(written, tuple) else cls.__bases__
    return [each for each in bases if _name_of(split(each)[0]) not in ("Generic", "Protocol")]


def _name_of(base: Hint) -> str:
    return str(class_attribute(base, "__name__")) if class_attribute(base, "__module__") in MODULES else ""


def parameters_of(cls: type) -> tuple[Any, ...]:
    """The type variables of a generic class, in order; also those of `class Named(dict[str, T])`."""
    hidden = (each for base in bases_of(cls) for each in free_variables(base))
    return type_parameters(cls) or tuple(dict.fromkeys(hidden))


def annotations_of(cls: type) -> Mapping[str, object]:
    """The annotations of a class itself, without those of its bases."""
    try:
        return inspect.get_annotations(cls)
    except Exception:
        # The class has another attribute of that name; and since Python 3.14 annotations are evaluated here.
        return {}


def fields_of(cls: type) -> dict[str, Hint]:
    """The hints of the attributes of a class, by name; unknown where one cannot be evaluated."""
    names = {each.__name__: each for base in cls.__mro__ for each in type_parameters(base, "__type_params__")}
    try:
        return typing.get_type_hints(cls, localns=names or None, include_extras=True)
    except Exception:
        # Annotations are expressions: evaluating them may raise anything.
        return {key: field_of(base, key) for base in reversed(cls.__mro__) for key in annotations_of(base)}


def field_of(cls: type, name: str) -> Hint:
    """The hint of one attribute that the class itself annotates."""
    names = {each.__name__: each for each in type_parameters(cls, "__type_params__")}
    # An annotation may be Final, which only a class allows.
    holder = type("Holder", (), {"__annotations__": {"hint": annotations_of(cls)[name]}})
    known = vars(sys.modules.get(cls.__module__, typing))
    try:
        return typing.get_type_hints(holder, known, {**vars(cls), **names}, include_extras=True)["hint"]
    except Exception:
        # As above.
        return Any


# Which abstract class the methods of a class imply: the method, the abstract class, its argument made of the result.
def _whole(result: Hint) -> Hint:
    return result


def _item(result: Hint) -> Hint:
    return (*get_args(as_base(plain(result), abc.Iterator)), UNKNOWN)[0]


def _awaited(result: Hint) -> Hint:
    return (*get_args(as_base(plain(result), abc.Generator)), UNKNOWN, UNKNOWN, UNKNOWN)[2]


def _later_item(result: Hint) -> Hint:
    return (*get_args(as_base(plain(result), abc.AsyncIterator)), UNKNOWN)[0]


KINDS: Mapping[str, tuple[tuple[str, ...], Hint, Callable[[Hint], Hint]]] = {
    "__next__": (("__iter__",), abc.Iterator, _whole),
    "__iter__": ((), abc.Iterable, _item),
    "__reversed__": (("__iter__",), abc.Reversible, _item),
    "__anext__": (("__aiter__",), abc.AsyncIterator, _whole),
    "__aiter__": ((), abc.AsyncIterable, _later_item),
    "__await__": ((), abc.Awaitable, _awaited),
    "__fspath__": ((), os.PathLike, _whole),
    "__enter__": (("__exit__",), contextlib.AbstractContextManager, _whole),
    "__aenter__": (("__aexit__",), contextlib.AbstractAsyncContextManager, _whole),
}


def kinds_by_methods(cls: type, own: Hint, wanted: type) -> Iterator[Hint]:
    """The abstract classes that the methods of a class imply: an Iterable by `__iter__`, and the like.

    own: its hint. wanted: only what derives from this is looked for; so an iterator that returns itself ends there.
    """
    if cls.__module__ in ("collections.abc", "contextlib", "os", "typing"):
        return
    for name, (others, form, pick) in KINDS.items():
        method = vars(cls).get(name)
        if method is None or not is_subclass(form, wanted) or not all(hasattr(cls, each) for each in others):
            continue
        result = _result_of(method, cls, own)
        argument = UNKNOWN if result is UNKNOWN else pick(result)
        yield GenericAlias(form, (Any if argument is None or argument is UNKNOWN else argument,))


def _result_of(method: Callable[..., Any], cls: type, own: Hint) -> Hint:
    try:
        result = resolve(signature_of(method).return_annotation, method, cls)
    except UnresolvedHintError:
        return UNKNOWN
    return own if result is typing.Self else result
