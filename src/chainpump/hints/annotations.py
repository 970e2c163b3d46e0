"""The signature of a callable, and its annotations, evaluated in the scope in which they were written."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, TypeAlias

from .objects import underlying

__all__ = [
    "UNKNOWN",
    "Hint",
    "UnresolvedHintError",
    "is_unknown",
    "resolve",
    "signature_of",
    "type_parameters",
]

# Whatever typing accepts as a hint: classes, aliases, special forms. They have no common type.
Hint: TypeAlias = Any


class _Unknown(Enum):
    """The type of UNKNOWN. An enum, so that there is one object, also after pickle and copy."""

    UNKNOWN = "?"

    def __repr__(self) -> str:
        return self.value


# The hint of what has no annotation, and of `Any`.
UNKNOWN = _Unknown.UNKNOWN


def is_unknown(*hints: Hint) -> bool:
    """Whether one of the hints is unknown. They are compared by identity: a hint may be an object that forbids `==`."""
    return any(each is UNKNOWN for each in hints)


def type_parameters(owner: object, name: str = "__parameters__") -> tuple[Any, ...]:
    """The type variables of a class or alias; none if the attribute of that name means something else."""
    try:
        found = getattr(owner, name, ())
    except Exception:
        # The code of a metaclass or a descriptor may raise anything.
        return ()
    return found if isinstance(found, tuple) else ()


class UnresolvedHintError(Exception):
    """An annotation cannot be evaluated. The text says which one, and what to do."""


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with annotations as written. A class returns itself; functions written in C may be UNKNOWN."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # A function written in C without a signature.
        rest = inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)
        options = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
        signature = inspect.Signature([rest, options])
    if isinstance(function, type):
        signature = signature.replace(return_annotation=function)
    if hasattr(underlying(function), "__code__"):
        return signature
    parameters = [each.replace(annotation=_known(each.annotation)) for each in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=_known(signature.return_annotation))


def _known(annotation: object) -> object:
    return UNKNOWN if annotation is inspect.Signature.empty else annotation


def resolve(annotation: object, function: object, owner: type | None = None) -> Hint:
    """Evaluate one annotation of a function in the scope of the function; a missing one is UNKNOWN.

    owner: the class that the function was found in, if it is not bound to an object of it.
    Raises UnresolvedHintError where a name does not exist, or the text is no type hint.
    """
    if annotation is inspect.Signature.empty:
        return UNKNOWN
    # It contains nothing that has to be evaluated.
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation
    inner = underlying(function)
    module = sys.modules.get(getattr(inner, "__module__", None) or "")
    names = getattr(inner, "__globals__", vars(module) if module else {})
    holder = SimpleNamespace(__annotations__={"hint": annotation})
    nearer = _local_names(function, inner, owner)
    try:
        return typing.get_type_hints(holder, names, nearer, include_extras=True)["hint"]
    except NameError as error:
        hint = _evaluated(annotation, names, nearer)
        if hint is not UNKNOWN:
            return hint
        raise UnresolvedHintError(
            f"There is no {error.name!r} where the function is defined.\n"
            "  If it is imported under `if TYPE_CHECKING:`, import it without; if it is local to a function"
            " that has returned, move it to the module."
        ) from None
    except Exception as error:
        # An annotation is an expression: it may raise anything.
        raise UnresolvedHintError(f"It is no type hint: {error}") from error


def _evaluated(annotation: object, names: Mapping[str, Any], nearer: Mapping[str, Any]) -> Hint:
    """Evaluate names inside an annotation that belong to the module of an alias; UNKNOWN if one cannot be evaluated.

    UNKNOWN where one is its own.
    """
    if not isinstance(annotation, str):
        return annotation
    try:
        hint = eval(annotation, dict(names), dict(nearer))  # noqa: S307  # as `typing.get_type_hints` does
    except Exception:
        # An annotation may raise anything.
        return UNKNOWN
    return UNKNOWN if isinstance(hint, str) else hint


def _local_names(function: object, inner: object, owner: type | None) -> Mapping[str, Any]:
    """The names that an annotation may use besides globals, the nearest scope last."""
    names: dict[str, Any] = {}
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType) and "<locals>" in getattr(inner, "__qualname__", ""):
        names.update(_enclosing_locals(code))
        names.update(_captured(inner, code))
    for cls in _owners(function) if owner is None else owner.__mro__[::-1]:
        names.update({each.__name__: each for each in (cls, *type_parameters(cls, "__type_params__"))})
    names.update({each.__name__: each for each in type_parameters(inner, "__type_params__")})
    return names


def _captured(function: object, code: CodeType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(code.co_freevars, getattr(function, "__closure__", None) or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:
            # The variable is not assigned yet: that line comes after the pipeline.
            continue


def _owners(function: object) -> tuple[type, ...]:
    """The classes whose method runs when the function is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, FunctionType):
        return ()
    owner = getattr(function, "__self__", function)
    cls: type = owner if isinstance(owner, type) else type(owner)
    return cls.__mro__[::-1]


def _enclosing_locals(code: CodeType) -> Mapping[str, Any]:
    """The local variables of the function that defined this code, if it still runs: annotations do not capture them."""
    frame = inspect.currentframe()
    while frame is not None and not _defines(frame.f_code, code):
        frame = frame.f_back
    return frame.f_locals if frame is not None else {}


def _defines(outer: CodeType, inner: CodeType) -> bool:
    nested = [const for const in outer.co_consts if isinstance(const, CodeType)]
    return any(const is inner or _defines(const, inner) for const in nested)
