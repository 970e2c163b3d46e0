"""What a decorator makes of a function, by its hints: `Callable[P, Iterable[R]] -> Callable[P, list[R]]`.

`functools.wraps` writes the hints of the wrapped function over those of its wrapper. So what a wrapper takes and gives
is known of its decorator alone, which is found as the function in which the wrapper's code is written.
"""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections import abc
from types import CodeType, FunctionType
from typing import Any, NamedTuple, ParamSpec, TypeVar, get_args

from .annotations import UNKNOWN, Hint, UnresolvedHintError, resolve
from .assignability import fits
from .classes import Bindings, plain, split
from .objects import attribute
from .overloads import bound_to
from .ownership import is_own_file
from .reading import ANYTHING, EMPTY, Reading, callable_hint, parameter_of_items

__all__ = ["applied", "decorated"]

Parameter = inspect.Parameter
BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


P = ParamSpec("P")
T = TypeVar("T")
# Decorators of contextlib, what they take as the result of a function, and what they make of it. Any: they are hints.
MANAGERS: tuple[tuple[Any, Any, Any], ...] = (
    (contextlib.contextmanager, abc.Iterator, contextlib.AbstractContextManager),
    (contextlib.asynccontextmanager, abc.AsyncIterator, contextlib.AbstractAsyncContextManager),
)


class Decorator(NamedTuple):
    """The parameter and the result of a decorator, as hints."""

    takes: Hint
    gives: Hint


def decorated(wrapper: FunctionType, inner: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The signatures of a wrapper. inner: the signatures of the function that it wraps."""
    # 1. As its decorator says. 2. Its own hints, where they were not overwritten. 3. A library's decorator that says
    # nothing keeps what it is given. 4. One of the program's own may do anything.
    decorator = _decorator_of(wrapper) or _manager_of(wrapper)
    if decorator is not None:
        return tuple(_made(decorator, each) for each in inner)
    own = Reading(inspect.signature(wrapper, follow_wrapped=False), wrapper, {}, inspect.iscoroutinefunction(wrapper))
    copied = attribute(wrapper.__wrapped__, "__annotations__")  # type: ignore[attr-defined]  # that is why it is here
    if wrapper.__annotations__ and wrapper.__annotations__ != copied:
        return (own,)
    if is_own_file(wrapper.__code__.co_filename):
        return (own.without_hints(),)
    if inspect.isgeneratorfunction(wrapper.__wrapped__):  # type: ignore[attr-defined]  # it makes another thing
        return tuple(each.without_hints() for each in inner)
    return inner


def _made(decorator: Decorator, inner: Reading) -> Reading:
    takes, gives = decorator
    if takes is gives:
        return inner
    if split(gives)[0] is not abc.Callable or not get_args(gives):
        return ANYTHING
    parameters, result = _parts(gives)
    return _applied(takes, parameters, result, inner)


def applied(takes: Hint, call: Reading, inner: Reading) -> Reading:
    """The signatures of an object that wraps a function. takes: the hint of its constructor. call: its `__call__`."""
    first = parameter_of_items(call.signature)
    if first is not None and first.kind is not Parameter.VAR_POSITIONAL:
        return call
    result = call.known(call.signature.return_annotation)
    spec = _parts(takes)[0] if split(takes)[0] is abc.Callable and get_args(takes) else UNKNOWN
    return _applied(takes, spec, result, inner)


def _applied(takes: Hint, parameters: Hint, result: Hint, inner: Reading) -> Reading:
    bindings: Bindings = {}
    specs: dict[Any, list[Parameter]] = {}
    if isinstance(takes, TypeVar):
        bindings[takes] = callable_hint(inner, "function")
    elif split(takes)[0] is abc.Callable and get_args(takes):
        expected, returned = _parts(takes)
        fits(inner.called, returned, bindings)
        _bind_parameters(expected, inner, bindings, specs)
    signature = inspect.Signature(
        _put_in(parameters, bindings, specs),
        return_annotation=bound_to(result, bindings),
    )
    return Reading(signature, None)


def _parts(callable_type: Hint) -> tuple[Hint, Hint]:
    args = get_args(callable_type)
    return (list(args[:-1]) if len(args) != 2 else args[0]), plain(args[-1])


def _split_parameters(parameters: Hint) -> tuple[list[Hint], Hint]:
    """The named parameters, and the rest: a ParamSpec, `...`, or None."""
    if isinstance(parameters, list):
        return parameters, None
    if split(parameters)[0] is typing.Concatenate:
        *first, rest = get_args(parameters)
        return first, rest
    return [], parameters


def _bind_parameters(expected: Hint, inner: Reading, bindings: Bindings, specs: dict[Any, list[Parameter]]) -> None:
    """Bind the variables of a decorator by the parameters of the function that it decorates."""
    first, rest = _split_parameters(expected)
    takes = [each.replace(annotation=inner.known(each.annotation)) for each in inner.signature.parameters.values()]
    for hint in first:
        if takes and takes[0].kind in BY_PLACE:
            fits(takes.pop(0).annotation, plain(hint), bindings)
    if isinstance(rest, ParamSpec):
        specs[rest] = takes


def _put_in(parameters: Hint, bindings: Bindings, specs: dict[Any, list[Parameter]]) -> list[Parameter]:
    first, rest = _split_parameters(parameters)
    given = [
        Parameter(f"_{place}", Parameter.POSITIONAL_ONLY, annotation=bound_to(hint, bindings))
        for place, hint in enumerate(first)
    ]
    if rest is None:
        return given
    return [*given, *specs.get(rest, ANYTHING.signature.parameters.values())]


def _decorator_of(wrapper: FunctionType) -> Decorator | None:
    """The decorator whose code contains the wrapper; None if it has no hints, or cannot be found."""
    code = wrapper.__code__
    function, depth = _around(wrapper, code)
    if not isinstance(function, FunctionType):
        return None
    signature = inspect.signature(function, follow_wrapped=False)
    is_method = "." in code.co_qualname.split(".<locals>.")[0] and "self" in signature.parameters
    taking = list(signature.parameters.values())[is_method:]
    if signature.return_annotation is EMPTY:
        return None
    try:
        gives = plain(resolve(signature.return_annotation, function))
        if depth == 1:
            takes = plain(resolve(taking[0].annotation, function)) if taking else UNKNOWN
            return Decorator(takes, gives) if takes is not UNKNOWN else None
    except UnresolvedHintError:
        return None
    # A decorator factory: retry(times) -> Callable[[Callable[P, R]], Callable[P, R]].
    if split(gives)[0] is not abc.Callable or not get_args(gives):
        return None
    parameters, made = _parts(gives)
    return Decorator(plain(parameters[0]), made) if isinstance(parameters, list) and len(parameters) == 1 else None


def _manager_of(wrapper: FunctionType) -> Decorator | None:
    """The hints of the decorator that has made a context manager of a generator function."""
    for decorator, items, manager in MANAGERS:
        if _nests(decorator.__code__, wrapper.__code__):
            function: Hint = abc.Callable
            return Decorator(function[P, items[T]], function[P, manager[T]])
    return None


def _around(wrapper: FunctionType, code: CodeType) -> tuple[object, int]:
    """The outermost function around a wrapper that can be found, and how many functions lie between them."""
    frame = inspect.currentframe()
    while frame is not None and not _nests(frame.f_code, code):
        frame = frame.f_back
    # If the function is running, its local variables; otherwise the globals.
    names = wrapper.__globals__ if frame is None else frame.f_locals
    running = "" if frame is None else f"{frame.f_code.co_qualname}.<locals>."
    path = code.co_qualname.removeprefix(running).split(".<locals>.")
    found = _walk(names, path[0])
    return (found, len(path) - 1) if _holds(found, code) else (None, 0)


def _walk(names: abc.Mapping[str, Any], path: str) -> object:
    first, *rest = path.split(".")
    value: Any = names.get(first)
    for each in rest:
        value = vars(value).get(each) if hasattr(value, "__dict__") else None
    # The function of a static method.
    return attribute(value, "__func__") or value


def _holds(function: object, code: CodeType) -> bool:
    return isinstance(function, FunctionType) and _nests(function.__code__, code)


def _nests(outer: CodeType, inner: CodeType) -> bool:
    nested = [const for const in outer.co_consts if isinstance(const, CodeType)]
    return any(const is inner or _nests(const, inner) for const in nested)
