"""Type hints as values: taken apart, simplified, and put together again. Nothing here hashes or compares a hint."""

from __future__ import annotations

import typing
from collections import abc
from collections.abc import Iterable, Mapping, Sequence
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, NewType, ParamSpec, TypeAlias, TypeVar, TypeVarTuple, Union, get_args, get_origin

from .annotations import UNKNOWN, Hint, type_parameters

__all__ = [
    "MODULES",
    "UNKNOWN",
    "Bindings",
    "Hint",
    "bindings_of",
    "by_identity",
    "class_attribute",
    "default_of",
    "free_variables",
    "has_default",
    "is_new_type",
    "is_qualifier",
    "is_type",
    "is_union",
    "limit_of",
    "plain",
    "split",
    "substitute",
    "type_parameters",
    "union_of",
    "unpacked",
    "without_none",
    "words_of",
]

Variable: TypeAlias = TypeVar | ParamSpec | TypeVarTuple
# What type variables stand for: a TypeVar for a hint; a ParamSpec for a list of hints, or `...`; a TypeVarTuple for a
# tuple's hint.
Bindings: TypeAlias = dict[Any, Hint]

# The names of qualifiers, of typing and of typing_extensions.
QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
MODULES = ("typing", "typing_extensions")
# The most steps through aliases of aliases; more of them only if an alias contains itself.
ALIASES = 100


def split(hint: Hint) -> tuple[Hint, tuple[Hint, ...]]:
    """The class or special form of a hint, and its arguments.

    >>> split(list[int])
    (<class 'list'>, (<class 'int'>,))
    """
    # Most hints are classes.
    if isinstance(hint, type):
        made = vars(hint).get("__pydantic_generic_metadata__")
        return (made["origin"], made["args"]) if made and made["origin"] else (hint, ())
    origin: Hint = get_origin(hint)
    return (hint if origin is None else origin), get_args(hint)


def is_type(value: object) -> bool:
    """Whether a value is a type hint: a class, an alias, a union, a form of typing; a string is not.

    >>> is_type(list[int]), is_type(3), is_type("int")
    (True, False, False)
    """
    return isinstance(value, type) or get_origin(value) is not None or type(value).__module__ in MODULES


def is_union(hint: Hint) -> bool:
    """Whether a hint is a Union, an Optional or `X | Y`."""
    origin: object = get_origin(hint)
    return origin is Union or origin is UnionType


def union_of(hints: Iterable[Hint]) -> Hint:
    """The union of some hints; unknown if there are none, or if Python cannot make it."""
    members = tuple(Any if each is UNKNOWN else each for each in hints)
    try:
        return Union[members] if members else Any  # noqa: UP007  # the members are known only now
    except Exception:
        # A hint cannot be hashed or compared, or is no type.
        return Any


def without_none(hint: Hint) -> Hint:
    """An optional hint without None; other hints as they are."""
    members = [each for each in get_args(hint) if each is not NoneType] if is_union(hint) else []
    return union_of(members) if members and len(members) < len(get_args(hint)) else hint


def words_of(hint: Hint) -> str:
    """The name of a special form of typing or typing_extensions, such as `Unpack`; empty for a class."""
    return "" if isinstance(hint, type) else str(getattr(hint, "_name", None) or "")


def is_qualifier(form: Hint) -> bool:
    """Whether a form only qualifies its type: `Annotated`, `ReadOnly` and the like."""
    return form is Annotated or words_of(form) in QUALIFIERS


def is_new_type(hint: Hint) -> bool:
    """Whether this is a NewType, of typing or of typing_extensions."""
    return isinstance(hint, NewType) or (type(hint).__name__ == "NewType" and hasattr(hint, "__supertype__"))


def plain(hint: Hint) -> Hint:
    """Remove what makes no difference: aliases, qualifiers, other names for what is unknown."""
    for _ in range(ALIASES):
        inner = _opened(hint)
        if inner is hint:
            return hint
        hint = inner
    return UNKNOWN


def _opened(hint: Hint) -> Hint:  # noqa: PLR0911  # a case for each kind of hint
    if any(hint is each for each in (Any, typing.Self)) or isinstance(hint, (str, typing.ForwardRef)):
        return UNKNOWN
    if hint is None or hint is typing.LiteralString:
        return NoneType if hint is None else str
    if isinstance(hint, type) and get_origin(hint) is None:
        return _with_defaults(hint)
    origin, args = split(hint)
    if args and is_qualifier(origin):
        return args[0]
    if type(origin).__name__ == "TypeAliasType":
        return _aliased(origin, args)
    # For example typing.List without arguments.
    if origin is not hint and getattr(hint, "__args__", None) is None:
        return origin
    return hint


def _with_defaults(cls: type) -> Hint:
    parameters = type_parameters(cls)
    if not any(map(has_default, parameters)):
        return cls
    return GenericAlias(cls, tuple(map(default_of, parameters)))


# Since 3.12 aliases and bounds are evaluated when they are asked for: one may name what only a type checker
# imports, or raise anything else, and is then unknown.


def _aliased(alias: Hint, args: tuple[Hint, ...]) -> Hint:
    """The value of an alias such as `type Names = list[str]`, of typing or of typing_extensions."""
    try:
        value = alias.__value__
    except Exception:
        # The value is an expression: it may raise anything.
        return UNKNOWN
    return substitute(value, bindings_of(type_parameters(alias, "__type_params__"), args))


def class_attribute(cls: object, name: str) -> Any:
    """An attribute of a class; None if there is none, or if its metaclass raises."""
    try:
        return getattr(cls, name, None)
    except Exception:
        # The code of a metaclass may raise anything.
        return None


def by_identity(*classes: Hint) -> Mapping[int, Hint]:
    """A set of classes by their ids: a hint may not be hashable."""
    return {id(each): each for each in classes}


def has_default(variable: Hint) -> bool:
    """Whether a type variable has a default, of typing or of typing_extensions."""
    return bool(getattr(variable, "has_default", bool)())


def default_of(variable: Hint) -> Hint:
    """The default of a type variable."""
    try:
        return variable.__default__ if has_default(variable) else ... if isinstance(variable, ParamSpec) else Any
    except Exception:
        # It is evaluated lazily, and may raise anything.
        return Any


def limit_of(variable: TypeVar) -> Hint:
    """The bound or the constraints of a type variable, as a hint."""
    try:
        constraints, bound = variable.__constraints__, variable.__bound__
    except Exception:
        # It is evaluated lazily, and may raise anything.
        return UNKNOWN
    if constraints:
        return union_of(constraints)
    return UNKNOWN if bound is None else bound


def bindings_of(parameters: Sequence[Hint], args: Sequence[Hint]) -> Bindings:
    """The bindings of type variables for the arguments of a generic; missing arguments take defaults.

    A TypeVarTuple takes all that its neighbours leave.
    """
    found: Bindings = {each: default_of(each) for each in parameters}
    many = next((place for place, each in enumerate(parameters) if isinstance(each, TypeVarTuple)), None)
    if many is None:
        return found | dict(zip(parameters, args, strict=False))
    last = max(len(args) - (len(parameters) - many - 1), 0)
    found |= dict(zip(parameters[:many], args[:many], strict=False))
    found[parameters[many]] = GenericAlias(tuple, tuple(args[many:last]))
    return found | dict(zip(parameters[many + 1 :], args[last:], strict=False))


def free_variables(hint: Hint) -> tuple[Any, ...]:
    """The type variables in a hint."""
    if isinstance(hint, (TypeVar, ParamSpec, TypeVarTuple)):
        return (hint,)
    if isinstance(hint, (list, tuple)):
        return tuple(dict.fromkeys(each for part in hint for each in free_variables(part)))
    if isinstance(hint, type) and get_origin(hint) is None:
        return ()
    return type_parameters(hint)


def substitute(hint: Hint, bindings: Mapping[Any, Hint], done: dict[int, Hint] | None = None) -> Hint:
    """Replace bound type variables by what they are bound to; unbound ones stay.

    done: what was made of the parts of hints before, by their ids, for the same bindings.

    >>> from typing import TypeVar
    >>> T = TypeVar("T")
    >>> substitute(dict[str, list[T]], {T: int})
    dict[str, list[int]]
    """
    return _put(hint, bindings, {} if done is None else done) if bindings else hint


def _put(hint: Hint, bindings: Mapping[Any, Hint], done: dict[int, Hint]) -> Hint:
    """done: results for parts, by id: a part may occur many times."""
    if isinstance(hint, (TypeVar, ParamSpec)):
        return bindings.get(hint, hint)
    if isinstance(hint, list):
        return _put_all(hint, bindings, done)
    if not any(each in bindings for each in free_variables(hint)):
        return hint
    if id(hint) not in done:
        origin, args = split(hint)
        done[id(hint)] = _made(hint, origin, _put_all(args, bindings, done))
    return done[id(hint)]


def _put_all(args: Iterable[Hint], bindings: Mapping[Any, Hint], done: dict[int, Hint]) -> list[Hint]:
    made: list[Hint] = []
    for each in args:
        many = unpacked(each)
        if isinstance(many, TypeVarTuple) and many in bindings:
            made += _spread(bindings[many])
        else:
            value = _put(each, bindings, done)
            made.append(Any if value is UNKNOWN else value)
    return made


def _spread(hint: Hint) -> Iterable[Hint]:
    """The arguments that replace a TypeVarTuple."""
    origin, args = split(hint)
    if origin is not tuple:
        return (typing.Unpack[tuple[Any, ...]],)
    return (typing.Unpack[hint],) if Ellipsis in args else args


def unpacked(hint: Hint) -> Hint | None:
    """The hint behind the star of `*Ts`, `*tuple[...]` or `Unpack[...]`; None for other hints."""
    if isinstance(hint, GenericAlias):
        return GenericAlias(get_origin(hint), hint.__args__) if hint.__unpacked__ else None
    return get_args(hint)[0] if words_of(get_origin(hint)) == "Unpack" else None


def _made(hint: Hint, origin: Hint, args: list[Hint]) -> Hint:  # noqa: PLR0911  # a case for each kind of hint
    """The same form with other arguments; unknown if it does not accept them."""
    if is_union(hint):
        return union_of(args)
    try:
        if origin is abc.Callable:
            takes, result = args
            return abc.Callable[_taken(takes), result]  # pyright: ignore[reportInvalidTypeForm]
        if isinstance(hint, GenericAlias):
            made = GenericAlias(origin, tuple(args))
            return typing.Unpack[made] if hint.__unpacked__ else made
        if words_of(origin) == "Concatenate":
            return _concatenated(args)
        if origin is Annotated:
            return args[0]
        return hint.copy_with(tuple(args)) if hasattr(hint, "copy_with") else hint[tuple(args)]
    except Exception:
        # The class of a form may refuse any argument.
        return UNKNOWN


def _taken(takes: Hint) -> Hint:
    """The parameters of a callable in the form that `Callable` accepts."""
    return list(takes) if isinstance(takes, (list, tuple)) else ... if takes is Any else takes


def _concatenated(args: list[Hint]) -> Hint:
    *first, rest = args
    if isinstance(rest, (list, tuple)):
        return [*first, *rest]
    return [*first, typing.Unpack[tuple[Any, ...]]] if rest in (..., Any) else typing.Concatenate[tuple(args)]
