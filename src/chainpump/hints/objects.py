"""What a user passes, looked at without trust: its attributes, the function behind it, its name and its line."""

from __future__ import annotations

import functools
from types import CodeType, MethodType
from typing import Any

from ..messages.source_files import PACKAGE, file_of

__all__ = ["MADE", "attribute", "is_a", "name_of", "underlying", "where_of"]

# The files of what dataclasses, named tuples and attrs make for a class.
MADE = ("<string>", "<attrs generated ")


# Of whatever a user passes.
def attribute(value: object, name: str) -> Any:
    """An attribute that an object or its class has; None where only a `__getattr__` would answer, or it raises."""
    from inspect import getattr_static  # workers import this module, and look at nothing

    try:
        getattr_static(value.__func__ if type(value) is MethodType else value, name)
    except Exception:
        # Whatever an object does when it is looked at.
        if type(value) is not MethodType or not hasattr(MethodType, name):
            return None
    try:
        return getattr(value, name)
    except Exception:
        # A property may raise anything.
        return None


def is_a(value: object, kind: type) -> bool:
    """Whether a value is of a class by its type, whatever its `__class__` says or raises."""
    return issubclass(type(value), kind)


def underlying(function: object) -> object:
    """The function whose code runs, seen through partials, methods, decorators, classes, callable objects."""
    inner: object = function
    # `__wrapped__` may lead back.
    seen: set[int] = set()
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        function = inner
        names = ("func",) if type(function) is functools.partial else ("__wrapped__", "__func__", "__origin__")
        inner = next((each for name in names if (each := attribute(function, name)) is not None), None)
    if attribute(function, "__code__") is not None:
        return function
    is_class = is_a(function, type)
    owner, methods = (function, ("__init__", "__new__")) if is_class else (type(function), ("__call__",))
    candidates = (_unwrapped(attribute(owner, each)) for each in methods)
    return next((each for each in candidates if attribute(each, "__code__") is not None), function)


def _unwrapped(function: Any) -> object:
    from inspect import unwrap  # as above

    try:
        return unwrap(function)
    except ValueError:
        # It leads back to itself.
        return function


def name_of(function: object) -> str:
    """The short name of a function or callable object, as messages show it."""
    if type(function) is functools.partial:
        return name_of(function.func)
    # Of `Box[int]`, Box.
    name = attribute(attribute(function, "__origin__") or function, "__name__")
    return name if isinstance(name, str) and name else type(function).__name__


def where_of(function: object) -> str | None:
    """Where a function is defined, as `file:line`, or None for this package's own and where Python cannot tell."""
    code = attribute(underlying(function), "__code__")
    file = file_of(code) if is_a(code, CodeType) else None
    if file is None or file.startswith(PACKAGE):
        return None
    return _place_of_class(function) if file.startswith(MADE) else f"{file}:{code.co_firstlineno}"


def _place_of_class(made: object) -> str | None:
    """The line of a class whose methods were made for it, as those of a dataclass are."""
    import inspect  # as above

    try:
        named = attribute(made, "__origin__") or made
        cls: Any = named if is_a(named, type) else type(named)
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return None
