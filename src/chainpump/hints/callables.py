"""The signatures with which an object can be called, read from whatever a user may pass as a function.

A function has one, an overloaded one has several. Who calls it is a method, a partial, a class or an object with a
`__call__`: each takes away or adds something to what its own function says. Nothing raises here: of what cannot be
read, nothing is known.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterable
from enum import Enum
from types import BuiltinFunctionType, FunctionType, GenericAlias, MethodDescriptorType, MethodType
from typing import Any, Literal, NewType

from ..lazy_dataclass import replace
from .annotations import UNKNOWN, Hint
from .assignability import fits
from .classes import Bindings, as_base, bindings_of, fields_of, parameters_of
from .decorators import applied, decorated
from .objects import attribute, is_a
from .ownership import is_own_file
from .reading import ANYTHING, EMPTY, REST, Reading, Signed, callable_hint, parameter_of_items
from .standard_library import with_known

__all__ = ["hint_of", "is_literally", "readings_of"]

Parameter = inspect.Parameter
FUNCTIONS = frozenset({FunctionType, MethodType, BuiltinFunctionType, MethodDescriptorType, functools.partial})
PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


def readings_of(function: object) -> tuple[Reading, ...]:
    """All signatures of an object, in the order in which they are tried; never empty."""
    try:
        return _read(function) or (ANYTHING,)
    except Exception:
        # The object's own code may raise anything: then nothing is known of it.
        return (ANYTHING,)


def _read(function: Any) -> tuple[Reading, ...]:
    # 1. Partials and methods. 2. Classes. 3. Python functions. 4. Any other object, by its `__call__`.
    for kind, read in READERS:
        if issubclass(type(function), kind):
            return read(function)
    return _read_object(function)


def _read_partial(function: functools.partial[Any]) -> tuple[Reading, ...]:
    ways = tuple(each for inner in _read(function.func) for each in _with_arguments(inner, function))
    return tuple(each for each in ways if each.wrong is None) or ways[:1]


def _with_arguments(inner: Reading, call: functools.partial[Any]) -> Iterable[Reading]:
    try:
        bound = inner.signature.bind_partial(*call.args, **call.keywords)
        signature = inspect.signature(functools.partial(Signed(inner.signature), *call.args, **call.keywords))
    except (TypeError, ValueError):
        # This overload does not take the arguments.
        return
    given: Bindings = {}
    wrong = inner.wrong
    for name, value in bound.arguments.items():
        parameter = inner.signature.parameters[name]
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            continue
        have, want, trial = hint_of(value), inner.known(parameter.annotation), dict(given)
        if fits(have, want, trial):
            given = trial
        elif not (inner.is_partly_known or value is parameter.default or is_literally(value, want)):
            wrong = wrong or (name, have, want)
    yield replace(inner, signature=signature, given={**given, **inner.given}, wrong=wrong)


def _read_method(method: MethodType) -> tuple[Reading, ...]:
    owner = method.__self__
    return tuple(_bound(each, method, owner) for each in _read(method.__func__))


def _bound(reading: Reading, method: MethodType, owner: object) -> Reading:
    """A method without its first parameter, with the type variables of its class bound."""
    takes = list(reading.signature.parameters.values())
    first = parameter_of_items(reading.signature)
    given = dict(reading.given) | _given_by(owner, method.__name__)
    if first is not None and first.kind is not Parameter.VAR_POSITIONAL:
        takes.remove(first)
        if first.annotation is not EMPTY:
            trial: Bindings = {}
            own: Hint = type[owner] if isinstance(owner, type) else type(owner)
            given |= trial if fits(own, reading.known(first.annotation), trial) else {}
    scope = method if reading.scope is method.__func__ else reading.scope
    signature = reading.signature.replace(parameters=takes)
    return replace(reading, signature=signature, given=given, scope=scope, owner=_class_of(owner))


def _class_of(owner: object) -> Hint:
    return owner if isinstance(owner, type) else attribute(owner, "__orig_class__") or type(owner)


def _given_by(owner: object, name: str) -> dict[Any, Hint]:
    """The type variables of the class that defines a method, as the class of its object binds them."""
    cls = owner if isinstance(owner, type) else type(owner)
    hint = attribute(owner, "__orig_class__") or cls
    definer = next((each for each in cls.__mro__ if name in vars(each)), None)
    view = as_base(hint, definer) if definer is not None and parameters_of(definer) else None
    args = typing.get_args(view)
    known = bindings_of(parameters_of(definer), args) if definer is not None and args else {}
    return {variable: each for variable, each in known.items() if each is not Any}


def _read_class(cls: type) -> tuple[Reading, ...]:
    made = _generic(cls)
    overloads = [*_overloads(attribute(cls, "__new__")), *_overloads(attribute(cls, "__init__"))]
    if overloads:
        ways = [_bound(_as_written(each), MethodType(each, cls), None) for each in overloads]
        return tuple(replace(each, signature=each.signature.replace(return_annotation=made)) for each in ways)
    signature = REST if issubclass(cls, Enum) else _signature(cls)
    # A namedtuple: its `__new__` belongs to a generated module.
    if issubclass(cls, tuple) and attribute(cls, "_fields"):
        fields = fields_of(cls)
        takes = [each.replace(annotation=fields.get(each.name, UNKNOWN)) for each in signature.parameters.values()]
        signature = signature.replace(parameters=takes)
    known = signature if attribute(_maker(cls), "__code__") else _all_known(signature)
    return with_known(cls, Reading(known.replace(return_annotation=made), cls, _given_by(cls, "__init__")))


def _generic(cls: type) -> Hint:
    """The class with its own type variables as arguments."""
    parameters = parameters_of(cls)
    generic: Hint = cls
    return generic[tuple(parameters)] if parameters and hasattr(cls, "__class_getitem__") else cls


def _maker(cls: type) -> object:
    """The method that takes the arguments of a class: `__new__`, `__init__`, or that of the metaclass."""
    init = attribute(cls, "__init__")
    return init if attribute(init, "__code__") else attribute(cls, "__new__")


def _read_function(function: FunctionType) -> tuple[Reading, ...]:
    overloads = _overloads(function)
    if overloads:
        return tuple(map(_as_written, overloads))
    wrapped = vars(function).get("__wrapped__")
    if wrapped is None or "__signature__" in vars(function):
        way = _as_written(function)
        return (way,) if is_own_file(function.__code__.co_filename) else with_known(function, way)
    # A function of functools.singledispatch: other implementations take other types.
    if callable(vars(function).get("dispatch")):
        return tuple(_of_any_type(each) for each in _read(wrapped))
    return decorated(function, _read(_without_cycle(wrapped)))


def _of_any_type(reading: Reading) -> Reading:
    takes = [each.replace(annotation=UNKNOWN) for each in reading.signature.parameters.values()]
    return replace(reading, signature=reading.signature.replace(parameters=takes))


def _without_cycle(wrapped: Any) -> Any:
    # Raises ValueError if the chain of wrappers is a circle.
    inspect.unwrap(wrapped)
    return wrapped


def _as_written(function: Any) -> Reading:
    """Read a function by itself, whatever it wraps."""
    signature = inspect.signature(function, follow_wrapped=False)
    owner = _class_around(function)
    first = parameter_of_items(signature)
    if owner is not None and first is not None and first.annotation is EMPTY:
        rest = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=[first.replace(annotation=_generic(owner)), *rest])
    own = UNKNOWN if owner is None else _generic(owner)
    return Reading(signature, function, {}, inspect.iscoroutinefunction(function), owner=own)


def _class_around(function: Any) -> type | None:
    """The class of a method that was taken from the class itself, such as `str.upper`."""
    value: Any = sys.modules.get(str(attribute(function, "__module__")))
    *path, name = str(attribute(function, "__qualname__")).split(".")
    for each in path:
        value = vars(value).get(each) if hasattr(value, "__dict__") else None
    is_method = isinstance(value, type) and vars(value).get(name) is function
    return value if is_method else None


def _overloads(function: object) -> tuple[Any, ...]:
    inner = attribute(function, "__func__") or function
    return tuple(typing.get_overloads(inner)) if isinstance(inner, FunctionType) else ()


def _read_object(function: Any) -> tuple[Reading, ...]:
    """Read a callable object by its `__call__`, or by what it wraps; or a function written in C."""
    call = attribute(type(function), "__call__")
    wrapped = attribute(function, "__wrapped__")
    if isinstance(call, FunctionType) and attribute(function, "__signature__") is None:
        own = _read_method(MethodType(call, function))
        return own if wrapped is None else _read_wrapper(own, function, wrapped)
    if wrapped is not None:
        return _read(_without_cycle(wrapped))
    signature = _all_known(_signature(function))
    first = parameter_of_items(signature)
    if isinstance(function, MethodDescriptorType) and first is not None:
        rest = list(signature.parameters.values())[1:]
        signature = signature.replace(parameters=[first.replace(annotation=function.__objclass__), *rest])
    return with_known(function, Reading(signature, function))


def _read_wrapper(own: tuple[Reading, ...], function: Any, wrapped: Any) -> tuple[Reading, ...]:
    """Read an object that wraps a function: by its `__call__`, or by the function if that takes any arguments."""
    made = attribute(type(function), "__init__")
    takes = readings_of(MethodType(made, function))[0] if isinstance(made, FunctionType) else ANYTHING
    first = parameter_of_items(takes.signature)
    decorator = UNKNOWN if first is None else takes.known(first.annotation)
    return tuple(applied(decorator, each, inner) for each in own for inner in _read(_without_cycle(wrapped)))


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        # Written in C, and tells nothing.
        return REST


def _all_known(signature: inspect.Signature) -> inspect.Signature:
    """Mark missing annotations of a function written in C as unknown: nobody can add them."""
    parameters = [each.replace(annotation=_or_unknown(each.annotation)) for each in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=_or_unknown(signature.return_annotation))


def _or_unknown(annotation: object) -> object:
    return UNKNOWN if annotation is EMPTY else annotation


def hint_of(value: object) -> Hint:
    """The hint of an argument that is bound to a function: known for plain values, classes and functions."""
    kind = type(value)
    if kind in PLAIN:
        return kind
    if is_a(value, type):
        of: Hint = type
        return of[value]
    # Any other callable object may be passed for something else that it is.
    ways = readings_of(value) if kind in FUNCTIONS else ()
    is_known = len(ways) == 1 and ways[0] is not ANYTHING
    return callable_hint(ways[0], str(attribute(value, "__name__"))) if is_known else UNKNOWN  # pyright: ignore[reportGeneralTypeIssues]


def is_literally(value: object, want: Hint) -> bool:
    """Whether a plain value is one of the values of a Literal."""
    return type(value) in PLAIN and fits(Literal[value], want, {})


def _read_new_type(made: NewType) -> tuple[Reading, ...]:
    item = Parameter("item", Parameter.POSITIONAL_ONLY, annotation=made.__supertype__)
    return (Reading(inspect.Signature([item], return_annotation=made), made),)


def _read_alias(alias: Any) -> tuple[Reading, ...]:
    """Read a generic class with arguments, such as `Box[int]`."""
    cls = typing.get_origin(alias)
    if not isinstance(cls, type):
        return (ANYTHING,)
    given = bindings_of(parameters_of(cls), typing.get_args(alias))
    ways = _read_class(cls)
    return tuple(
        replace(each, signature=each.signature.replace(return_annotation=alias), given={**each.given, **given})
        for each in ways
    )


READERS: tuple[tuple[type, Callable[[Any], tuple[Reading, ...]]], ...] = (
    (functools.partial, _read_partial),
    (MethodType, _read_method),
    (type, _read_class),
    (FunctionType, _read_function),
    (NewType, _read_new_type),
    (GenericAlias, _read_alias),
    (type(Iterable[int]), _read_alias),
    (type(typing.List[int]), _read_alias),  # noqa: UP006  # the kind of alias that typing makes
)
