"""The members of a class as type hints: attributes, and the signatures of its methods and of its calls."""

from __future__ import annotations

import functools
import inspect
import typing
from collections import abc
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import DynamicClassAttribute, GenericAlias
from typing import Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar, get_args

from ..lazy_dataclass import dataclass
from .annotations import UNKNOWN, Hint, UnresolvedHintError, resolve, signature_of
from .classes import (
    Bindings,
    annotations_of,
    as_base,
    bases_of,
    bindings_of,
    field_of,
    fields_of,
    is_qualifier,
    is_typed_dict,
    parameters_of,
    plain,
    split,
    substitute,
)
from .forms import class_attribute
from .signatures import positional
from .typeshed import is_unordered, result_of

__all__ = [
    "Field",
    "Member",
    "answers_any",
    "call_signature",
    "call_ways",
    "is_protocol",
    "member_of",
    "members",
    "protocol_members",
    "sets",
    "typed_fields",
]

T_co = TypeVar("T_co", covariant=True)
Parameter = inspect.Parameter


class _Bare(Protocol[T_co]):
    """An empty Protocol: what every Protocol has is no member."""

    nothing: int


NO_MEMBERS = frozenset(vars(_Bare)) | {
    "_is_runtime_protocol",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__firstlineno__",
    "__non_callable_proto_members__",
    "__slots__",
    "__static_attributes__",
    "__type_params__",
    "__match_args__",
    "__new__",
    "__protocol_attrs__",
    "__callable_proto_members_only__",
}
# A class attribute with such a value has the hint that type checkers infer.
PLAIN_VALUES = (bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class Member:
    """An attribute of a class. hint: the type of its value. signature: that of a method, as it is called.

    settable: whether an instance's can be assigned to. overloads: the signatures of a method that has several.
    """

    hint: Hint | inspect.Signature
    settable: bool = False
    overloads: tuple[inspect.Signature, ...] = ()

    @property
    def ways(self) -> tuple[inspect.Signature, ...]:
        """All signatures of a method; none if it is no method."""
        return self.overloads or ((self.hint,) if isinstance(self.hint, inspect.Signature) else ())


def is_protocol(cls: object) -> bool:
    """Whether a class is a Protocol itself, and not only derived from one."""
    return class_attribute(cls, "_is_protocol") is True


def protocol_members(protocol: type) -> list[str]:
    """The names of the members that a Protocol requires."""
    bases = [base for base in protocol.__mro__ if is_protocol(base) and base.__name__ != "Protocol"]
    names = (name for base in bases for name in (*vars(base), *annotations_of(base)))
    return list(dict.fromkeys(name for name in names if name not in NO_MEMBERS and not name.startswith("_abc_")))


def members(cls: type) -> list[str]:
    """The names of the public members of a class, without constructors."""
    names = dict.fromkeys((*vars(cls), *annotations_of(cls)))
    return [name for name in names if name not in NO_MEMBERS and (not name.startswith("_") or name.endswith("__"))]


def member_of(hint: Hint, name: str, own: Hint = None) -> Member | None:
    """A member of the class of a hint; None if the class does not declare it.

    own: what Self is, where that is another hint.
    """
    cls = split(hint)[0]
    if not isinstance(cls, type):
        return None
    for base in cls.__mro__:
        annotations = annotations_of(base)
        if (name in vars(base) or name in annotations) and base is not Generic:
            bindings = bindings_of(parameters_of(base), split(as_base(hint, base))[1])
            if name in annotations:
                return _annotated(base, name, bindings)
            return None if is_unordered(base, name) else _defined(vars(base)[name], base, own or hint, bindings)
    return None


def _annotated(cls: type, name: str, bindings: Mapping[Any, Hint]) -> Member:
    hint = field_of(cls, name)
    is_fixed = is_frozen(cls) or split(hint)[0] in (ClassVar, Final) or isinstance(vars(cls).get(name), property)
    return Member(substitute(plain(hint), bindings), not is_fixed)


def is_frozen(cls: type) -> bool:
    """Whether attributes of its objects cannot be assigned: tuples, frozen dataclasses, frozen models of libraries."""
    if "_fields" in vars(cls) or getattr(getattr(cls, "__dataclass_params__", None), "frozen", False) is True:
        return True
    # The configuration of a pydantic model.
    config = getattr(cls, "model_config", None)
    by_config = isinstance(config, dict) and config.get("frozen") is True
    # The method by which attrs forbids assignment.
    return by_config or getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"


def _defined(value: object, cls: type, own: Hint, bindings: Mapping[Any, Hint]) -> Member | None:
    # `__hash__ = None` removes a method.
    if value is None:
        return None
    if isinstance(value, (property, DynamicClassAttribute, functools.cached_property)):
        getter = value.func if isinstance(value, functools.cached_property) else value.fget
        result = signature_of(getter).return_annotation if getter else UNKNOWN
        return Member(_hint(result, getter, cls, own, bindings), getattr(value, "fset", None) is not None)
    if isinstance(value, staticmethod):
        return Member(_signature(value.__func__, cls, own, bindings, 0))
    if isinstance(value, classmethod):
        return Member(_signature(value.__func__, cls, own, bindings, 1))
    if callable(value) and not isinstance(value, type):
        overloads = tuple(_signature(each, cls, own, bindings, 1) for each in _overloads(value))
        return Member(_signature(value, cls, own, bindings, 1), overloads=overloads)
    return Member(type(value) if type(value) in PLAIN_VALUES else UNKNOWN, settable=True)


def _overloads(function: Callable[..., Any]) -> Sequence[Callable[..., Any]]:
    return typing.get_overloads(function) if inspect.isfunction(function) else ()


def _signature(
    function: Callable[..., Any], cls: type, own: Hint, bindings: Mapping[Any, Hint], bound: int
) -> inspect.Signature:
    """The signature of a method with its hints. bound: how many parameters already have arguments."""
    signature = signature_of(function)
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind is not Parameter.VAR_POSITIONAL:
        parameters = [_by_place(each, function, cls) for each in parameters[bound:]]
    result = _hint(signature.return_annotation, function, cls, own, bindings)
    if result is UNKNOWN and not hasattr(function, "__code__"):
        result = result_of(cls, getattr(function, "__name__", ""))
    if inspect.iscoroutinefunction(function):
        result = GenericAlias(Coroutine, (Any, Any, Any if result is UNKNOWN else result))
    return inspect.Signature(
        [each.replace(annotation=_hint(each.annotation, function, cls, own, bindings)) for each in parameters],
        return_annotation=result,
    )


def _by_place(parameter: Parameter, function: Callable[..., Any], cls: type) -> Parameter:
    """Make a parameter positional-only if callers do not name it: in special methods, or named `__value`."""
    if parameter.kind is not Parameter.POSITIONAL_OR_KEYWORD:
        return parameter
    name = getattr(function, "__name__", "")
    is_special = name.startswith("__") and name.endswith("__") and name != "__call__"
    is_private = parameter.name.startswith(("__", f"_{cls.__name__.lstrip('_')}__"))
    return parameter.replace(kind=Parameter.POSITIONAL_ONLY) if is_special or is_private else parameter


def _hint(annotation: object, function: object, cls: type, own: Hint, bindings: Mapping[Any, Hint]) -> Hint:
    try:
        hint = resolve(annotation, function, cls)
    except UnresolvedHintError:
        return UNKNOWN
    return own if hint is typing.Self else substitute(plain(hint), bindings)


def call_signature(hint: Hint) -> inspect.Signature | None:
    """How an object of a hint can be called: a Callable, a class, an object with `__call__`; None if it cannot.

    >>> call_signature(Callable[[int], str])
    <Signature (_0: int, /) -> str>
    """
    origin, args = split(hint)
    if origin is abc.Callable:
        takes, result = args or (..., UNKNOWN)
        return inspect.Signature(list(positional(takes)), return_annotation=plain(result))
    if origin is type and args and isinstance(split(args[0])[0], type):
        # A subclass may have another constructor.
        return inspect.Signature(list(positional(...)), return_annotation=plain(args[0]))
    member = member_of(hint, "__call__") if origin is not type else None
    if member is None or isinstance(member.hint, inspect.Signature):
        return member.hint if member is not None else None
    # An annotated attribute, as in `torch.nn.Module`: `__call__: Callable[..., Any]`.
    return call_signature(member.hint) if split(member.hint)[0] is abc.Callable else None


def call_ways(hint: Hint) -> tuple[inspect.Signature, ...]:
    """All signatures of an object of a hint: several if its `__call__` is overloaded."""
    signature = call_signature(hint)
    member = member_of(hint, "__call__") if split(hint)[0] is not type else None
    return member.ways if member is not None and member.overloads else (signature,) if signature is not None else ()


def answers_any(cls: type) -> bool:
    """Whether instances have attributes of any name, by `__getattr__`."""
    return any("__getattr__" in vars(base) for base in cls.__mro__)


def sets(cls: type, name: str) -> bool:
    """Whether some method mentions an attribute of this name, and may assign it without a hint."""
    functions = ((base, value) for base in cls.__mro__ for value in vars(base).values() if inspect.isfunction(value))
    # Methods that `dataclass` generates do not count: they concern any attribute.
    own = (each for base, each in functions if each.__globals__.get("__name__") == base.__module__)
    return any(name in function.__code__.co_names for function in own)


class Field(NamedTuple):
    """A field of a TypedDict."""

    hint: Hint
    required: bool
    read_only: bool


def typed_fields(hint: Hint) -> dict[str, Field]:
    """The fields of a TypedDict, by their keys."""
    cls, args = split(hint)
    given = bindings_of(parameters_of(cls), args)
    found: dict[str, Field] = {}
    for base in bases_of(cls):
        if is_typed_dict(split(base)[0]):
            found |= typed_fields(substitute(base, given))
    inherited = {key: annotations_of(split(base)[0]).get(key) for base in bases_of(cls) for key in found}
    changed = {
        key: each for key, each in fields_of(cls).items() if annotations_of(cls).get(key) is not inherited.get(key)
    }
    return found | {key: _typed_field(cls, key, each, given) for key, each in changed.items()}


def _typed_field(cls: Hint, key: str, hint: Hint, given: Bindings) -> Field:
    # Python 3.11 ignores Required, ReadOnly and the like in annotations that are strings.
    words = []
    inner = hint
    while get_args(inner) and is_qualifier(split(inner)[0]):
        words.append(getattr(split(inner)[0], "_name", ""))
        inner = get_args(inner)[0]
    required = key in cls.__required_keys__ if not {"Required", "NotRequired"} & set(words) else "Required" in words
    return Field(substitute(plain(inner), given), required, "ReadOnly" in words)
