"""What a user passes, looked at without trust: its attributes, the function behind it, its name and its line."""

from __future__ import annotations

import functools
from types import CodeType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from ..messages.source_files import PACKAGE, file_of

if TYPE_CHECKING:
    # Only type checkers need it.
    from typing_extensions import TypeIs

__all__ = ["MADE", "attribute", "is_a", "name_of", "underlying", "where_of"]

T = TypeVar("T")

# The file names of methods that dataclasses, namedtuples and attrs generate.
MADE = ("<string>", "<attrs generated ")


# Any: attributes of whatever a user passes.
def attribute(value: object, name: str) -> Any:
    """An attribute of an object or its class; None if only `__getattr__` provides it, or if reading it raises."""
    from inspect import getattr_static  # workers import this module, and look at nothing

    try:
        getattr_static(value.__func__ if type(value) is MethodType else value, name)
    except Exception:
        # An object may raise anything when it is inspected.
        if type(value) is not MethodType or not hasattr(MethodType, name):
            return None
    try:
        return getattr(value, name)
    except Exception:
        # A property may raise anything.
        return None


def is_a(value: object, kind: type[T]) -> TypeIs[T]:
    """Whether the type of a value is a subclass, whatever its `__class__` returns or raises."""
    return issubclass(type(value), kind)


def underlying(function: object) -> object:
    """The function whose code runs, behind partials, methods, decorators, classes and callable objects."""
    inner: object = function
    # `__wrapped__` may form a circle.
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
        # The chain of wrappers is a circle.
        return function


def name_of(function: object) -> str:
    """The short name of a function or callable object, as messages show it."""
    if type(function) is functools.partial:
        return name_of(function.func)
    # For `Box[int]`, the name of Box.
    name = attribute(attribute(function, "__origin__") or function, "__name__")
    return name if isinstance(name, str) and name else type(function).__name__


def where_of(function: object) -> str | None:
    """Where a function is defined, as `file:line`; None for functions of this package, and if Python cannot tell."""
    code = attribute(underlying(function), "__code__")
    file = file_of(code) if is_a(code, CodeType) else None
    if file is None or file.startswith(PACKAGE):
        return None
    return _place_of_class(function) if file.startswith(MADE) else f"{file}:{code.co_firstlineno}"


def _place_of_class(made: object) -> str | None:
    """The line of a class whose methods were generated, such as a dataclass."""
    import inspect  # as above

    try:
        named = attribute(made, "__origin__") or made
        cls: Any = named if is_a(named, type) else type(named)
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return None
