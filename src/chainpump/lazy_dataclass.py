"""Dataclasses whose methods are made on first use.

`dataclasses` compiles the source of six methods when a class is defined. This takes 0.5 ms, for a hundred classes, in
each process, which never uses most of the classes and nearly all of the methods. Here the definition of a class takes
0.03 ms. `dataclasses` is not imported, and neither is `inspect`, which it needs. Type checkers treat the classes as
standard dataclasses, and the functions `fields`, `asdict` and `replace` of `dataclasses` work on them. See
docs/adr/0027.

Only the features that this package uses are supported: `frozen`, `slots`, `init` and `repr` of a class; `default`,
`default_factory`, `init`, `repr` and `kw_only` of a field; `ClassVar` and `__post_init__`. Besides, the static method
`__init_decorator__` of a class decorates its `__init__`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["compile_init", "dataclass", "field", "replace"]

T = TypeVar("T")

# The attribute that holds the fields of a class by name, including those of its bases.
FIELDS = "__lazy_fields__"


class _Missing:
    """The value for a field without a default."""

    def __repr__(self) -> str:
        # A signature shows this text for a default that a factory makes.
        return "<made by each object>"


MISSING = _Missing()


class _Field:
    """A field of a class. Any: the default may be any object."""

    __slots__ = ("annotation", "default", "default_factory", "init", "kw_only", "repr")

    def __init__(
        self,
        *,
        default: Any = MISSING,
        default_factory: Any = MISSING,
        init: bool = True,
        repr: bool = True,  # noqa: A002  # its name in `dataclasses`
        kw_only: bool = False,
    ) -> None:
        self.annotation: Any = None
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.kw_only = kw_only


class _Late:
    """A descriptor that makes an attribute of a class on first access, and replaces itself by it.

    It needs no lock: two threads may make the attribute twice, and both results are equal.
    """

    def __init__(self, cls: type, name: str, make: Callable[[type], Any]) -> None:
        self._cls = cls
        self._name = name
        self._make = make

    # Any: the attribute may be any object.
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        made = self._make(self._cls)
        setattr(self._cls, self._name, made)
        return made.__get__(instance, owner) if hasattr(made, "__get__") else made


# Any: the result is the class, or a decorator for it.
def _dataclass(
    cls: type | None = None,
    /,
    *,
    frozen: bool = False,
    slots: bool = False,
    init: bool = True,
    repr: bool = True,  # noqa: A002  # its name in `dataclasses`
) -> Any:
    if cls is None:
        return partial(_dataclass, frozen=frozen, slots=slots, init=init, repr=repr)
    own = _take_fields(cls, slots=slots)
    fields = {name: each for base in cls.__mro__[:0:-1] for name, each in vars(base).get(FIELDS, {}).items()} | own
    if slots:
        cls = _with_slots(cls, own)
    setattr(cls, FIELDS, fields)
    made: dict[str, Any] = {
        "__match_args__": tuple(name for name, each in fields.items() if each.init and not each.kw_only),
        "__eq__": _Late(cls, "__eq__", _make_eq),
        "__replace__": _replace,
        "__dataclass_fields__": _Late(cls, "__dataclass_fields__", _make_standard_fields),
        "__dataclass_params__": _Late(cls, "__dataclass_params__", partial(_make_standard_params, frozen=frozen)),
    }
    if init:
        made["__init__"] = _Late(cls, "__init__", partial(_make_init, frozen=frozen, slots=slots))
    if repr:
        made["__repr__"] = _Late(cls, "__repr__", _make_repr)
    if frozen:
        made |= {
            "__hash__": _Late(cls, "__hash__", _make_hash),
            "__setattr__": _Late(cls, "__setattr__", _make_setattr),
            "__delattr__": _Late(cls, "__delattr__", _make_delattr),
        }
        # Without these methods, unpickling would set the fields one by one, which a frozen class refuses.
        if slots:
            made |= {"__getstate__": _getstate, "__setstate__": _setstate}
    for name, value in made.items():
        # A class that defines `__eq__` and not `__hash__` has `__hash__ = None`.
        if name not in vars(cls) or (name == "__hash__" and vars(cls)[name] is None):
            setattr(cls, name, value)
    if not frozen and "__hash__" not in vars(cls):
        cls.__hash__ = None  # type: ignore[assignment]
    return cls


def _take_fields(cls: type, *, slots: bool) -> dict[str, _Field]:
    """Return the fields that a class defines itself; the class keeps the defaults that are class attributes."""
    found = {}
    for name, annotation in cls.__annotations__.items():
        if str(annotation).removeprefix("typing.").startswith("ClassVar"):
            continue
        given = vars(cls).get(name, MISSING)
        found[name] = each = given if isinstance(given, _Field) else _Field(default=given)
        each.annotation = annotation
        if not slots and each.default is not MISSING:
            setattr(cls, name, each.default)
        elif name in vars(cls):
            delattr(cls, name)
    return found


def _with_slots(cls: type, own: Mapping[str, _Field]) -> type:
    """Return a copy of the class with slots, because slots cannot be added to an existing class."""
    inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__slots__", ())}
    namespace = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    namespace["__slots__"] = tuple(name for name in own if name not in inherited)
    # Abstract classes and protocols have a metaclass.
    kind: type[type] = type(cls)
    made = kind(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made


def _fields_of(cls: type) -> dict[str, _Field]:
    fields: dict[str, _Field] = getattr(cls, FIELDS)
    return fields


def _make_init(cls: type, *, frozen: bool, slots: bool) -> Callable[..., None]:
    """Compile `__init__`, since objects are made often. The names of the defaults cannot be the names of fields."""
    known: dict[str, Any] = {"__set": object.__setattr__, "__missing": MISSING}
    by_place, by_name, body = ["self"], list[str](), list[str]()
    for name, each in _fields_of(cls).items():
        value = name
        if each.default is not MISSING:
            known[f"__default_{name}"] = each.default
        if each.default_factory is not MISSING:
            known[f"__make_{name}"] = each.default_factory
            value = f"__make_{name}() if {name} is __missing else {name}" if each.init else f"__make_{name}()"
        elif not each.init:
            if not slots or each.default is MISSING:
                # The default is an attribute of the class.
                continue
            value = f"__default_{name}"
        if each.init:
            has_default = each.default is not MISSING or each.default_factory is not MISSING
            default = f"__default_{name}" if each.default is not MISSING else "__missing"
            (by_name if each.kw_only else by_place).append(f"{name}={default}" if has_default else name)
        body.append(f"__set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    takes = ", ".join([*by_place, *(["*", *by_name] if by_name else [])])
    lines = [f"def __make_init({', '.join(known)}):", f" def __init__({takes}):"]
    lines += [f"  {line}" for line in body or ["pass"]]
    lines += [" return __init__"]
    space: dict[str, Any] = {}
    exec("\n".join(lines), vars(sys.modules[cls.__module__]), space)  # noqa: S102  # the names are those of this package's own fields
    made: Callable[..., None] = space["__make_init"](**known)
    annotations = {name: each.annotation for name, each in _fields_of(cls).items() if each.init}
    made.__annotations__ = annotations | {"return": None}
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    decorator: Callable[[Callable[..., None]], Callable[..., None]] | None = getattr(cls, "__init_decorator__", None)
    return made if decorator is None else decorator(made)


def compile_init(cls: type) -> None:
    """Compile `__init__` now, so that processes that are forked later do not do it."""
    getattr(cls, "__init__")  # noqa: B009  # the attribute makes itself when it is read


def _values_of(cls: type) -> Callable[[Any], tuple[Any, ...]]:
    names = tuple(_fields_of(cls))
    return lambda value: tuple([getattr(value, name) for name in names])


def _make_eq(cls: type) -> Callable[[Any, object], bool]:
    values = _values_of(cls)

    def __eq__(self: Any, other: object) -> bool:  # noqa: N807
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _make_hash(cls: type) -> Callable[[Any], int]:
    values = _values_of(cls)

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    return __hash__


def _make_repr(cls: type) -> Callable[[Any], str]:
    from reprlib import recursive_repr

    names = [name for name, each in _fields_of(cls).items() if each.repr]

    def __repr__(self: Any) -> str:  # noqa: N807
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return recursive_repr()(__repr__)


def _make_setattr(cls: Any) -> Callable[[Any, str, object], None]:
    fields = _fields_of(cls)

    def __setattr__(self: Any, name: str, value: object) -> None:  # noqa: N807
        if type(self) is cls or name in fields:
            raise _frozen_error(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    return __setattr__


def _make_delattr(cls: Any) -> Callable[[Any, str], None]:
    fields = _fields_of(cls)

    def __delattr__(self: Any, name: str) -> None:  # noqa: N807
        if type(self) is cls or name in fields:
            raise _frozen_error(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return __delattr__


def _frozen_error(text: str) -> Exception:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(text)


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, name) for name in _fields_of(type(self))]


def _setstate(self: Any, state: list[Any]) -> None:
    for name, value in zip(_fields_of(type(self)), state, strict=True):
        object.__setattr__(self, name, value)


def _make_standard_fields(cls: type) -> dict[str, Any]:
    """Return the fields in the format of `dataclasses`."""
    fields: dict[str, Any] = _standard(cls).__dataclass_fields__
    return fields


# Any: `dataclasses` does not export the type of the result.
def _make_standard_params(cls: type, *, frozen: bool) -> Any:
    return _standard(cls, frozen=frozen).__dataclass_params__


# Any: the result is a dataclass with these fields.
def _standard(cls: type, *, frozen: bool = False) -> Any:
    import dataclasses

    made = []
    for name, each in _fields_of(cls).items():
        given = {key: getattr(each, key) for key in ("default", "default_factory", "init", "repr", "kw_only")}
        described = dataclasses.field(**{key: value for key, value in given.items() if value is not MISSING})
        made.append((name, each.annotation, described))
    return dataclasses.make_dataclass(cls.__name__, made, frozen=frozen)


def _replace(value: T, /, **changes: Any) -> T:
    cls = type(value)
    own: Mapping[str, _Field] | None = vars(cls).get(FIELDS)
    if own is None or any(name in changes for name, each in own.items() if not each.init):
        # This is a class of a user, made by `dataclasses` or derived from a class of this package; or the call is
        # wrong.
        import dataclasses

        return dataclasses.replace(value, **changes)  # type: ignore[type-var]  # see above
    kept = {name: getattr(value, name) for name, each in own.items() if each.init and name not in changes}
    return cls(**changes, **kept)


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _Field, _replace
