"""Hints of standard library functions that do not declare any: those that are often used on items.

Type checkers read it in typeshed, which the runtime does not have.
"""

from __future__ import annotations

import functools
import inspect

# These modules are imported for the names in the table.
import os
from collections import Counter, deque  # noqa: F401
from collections.abc import (  # noqa: F401
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Reversible,
    Sequence,
    Sized,
    ValuesView,
)
from pathlib import Path  # noqa: F401
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType
from typing import (
    Any,
    AnyStr,  # noqa: F401
    Protocol,
    SupportsAbs,  # noqa: F401
    SupportsFloat,
    SupportsIndex,
    SupportsInt,  # noqa: F401
    TypeAlias,
    TypeVar,
)

from ..lazy_dataclass import replace
from .annotations import UNKNOWN
from .objects import attribute, is_a
from .reading import Reading, parameter_of_items

__all__ = ["with_known"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
Parameter = inspect.Parameter
Number: TypeAlias = SupportsFloat | SupportsIndex
Chars: TypeAlias = str | bytes | bytearray
PathName: TypeAlias = "str | os.PathLike[str]"
File: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes] | int"


class Indexed(Protocol):
    """A type with `__getitem__`, as `operator.itemgetter` needs it."""

    # Any: the type of the key is not known.
    def __getitem__(self, key: Any, /) -> Any:
        """The item of a key."""


# Each line: a module or class, its functions, the hints of the first parameter and of the result, or of the result
# alone. Overloads follow after a semicolon. `str()` means an object, whose methods are bound.
TABLE = """
builtins | all any | Iterable[object] -> bool
builtins | ascii repr str | object -> str
builtins | bin hex oct chr | SupportsIndex -> str
builtins | bool callable | object -> bool
builtins | hash id | object -> int
builtins | abs | int -> int; float -> float; SupportsAbs[T] -> T
builtins | dict | Mapping[K, V] -> dict[K, V]; Iterable[tuple[K, V]] -> dict[K, V]; Iterable[list[T]] -> dict[T, T]
builtins | enumerate | Iterable[T] -> enumerate[T]
builtins | float | Chars | Number -> float
builtins | int | Chars | SupportsInt | SupportsIndex -> int
builtins | frozenset | Iterable[T] -> frozenset[T]
builtins | iter | Iterable[T] -> Iterator[T]
builtins | len | Sized -> int
builtins | print | object -> None
builtins | list sorted | Iterable[T] -> list[T]
builtins | max min | Iterable[T] -> T
builtins | next | Iterator[T] -> T
builtins | ord | Chars -> int
builtins | reversed | Reversible[T] -> Iterator[T]
builtins | set | Iterable[T] -> set[T]
builtins | sum | Iterable[int] -> int; Iterable[float] -> float; Iterable[Any] -> Any
builtins | tuple | Iterable[T] -> tuple[T, ...]
builtins.dict | copy | dict[K, V] -> dict[K, V]
builtins.dict | items | dict[K, V] -> ItemsView[K, V]
builtins.dict | keys | dict[K, V] -> KeysView[K]
builtins.dict | values | dict[K, V] -> ValuesView[V]
builtins.list | copy | list[T] -> list[T]
builtins.list | pop | list[T] -> T
builtins.set | copy | set[T] -> set[T]
builtins.str() | join | Iterable[str] -> str
builtins.str | capitalize casefold center expandtabs format ljust lower lstrip removeprefix removesuffix replace | str
builtins.str | rjust rstrip strip swapcase title translate upper zfill | str
builtins.str | endswith isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable | bool
builtins.str | isspace istitle isupper startswith | bool
builtins.str | count find index rfind rindex | int
builtins.str | rsplit split splitlines | list[str]
builtins.str | partition rpartition | tuple[str, str, str]
builtins.str | encode | bytes
builtins.bytes | lower lstrip replace rstrip strip title upper | bytes
builtins.bytes | endswith isalnum isalpha isdigit isspace startswith | bool
builtins.bytes | count find index rfind | int
builtins.bytes | rsplit split splitlines | list[bytes]
builtins.bytes | decode hex | str
builtins.int | bit_count bit_length conjugate | int
builtins.int | to_bytes | bytes
builtins.float | is_integer | bool
builtins.float | hex | str
collections | Counter | Mapping[T, int] -> Counter[T]; Iterable[T] -> Counter[T]
collections | deque | Iterable[T] -> deque[T]
genericpath | exists isdir isfile | File -> bool
genericpath | getmtime | File -> float
genericpath | getsize | File -> int
glob | glob | AnyStr -> list[AnyStr]
glob | iglob | AnyStr -> Iterator[AnyStr]
itertools | chain cycle islice | Iterable[T] -> Iterator[T]
itertools | batched | Iterable[T] -> Iterator[tuple[T, ...]]
itertools | pairwise | Iterable[T] -> Iterator[tuple[T, T]]
itertools.chain | from_iterable | Iterable[Iterable[T]] -> Iterator[T]
json | dumps | object -> str
json | loads | Chars -> Any
math | ceil floor trunc | Number -> int
math | factorial isqrt | SupportsIndex -> int
math | fsum | Iterable[Number] -> float
math | isfinite isinf isnan | Number -> bool
math | acos asin atan cbrt cos cosh degrees erf exp exp2 expm1 fabs gamma lgamma log log10 log1p | Number -> float
math | log2 radians sin sinh sqrt tan tanh | Number -> float
operator | itemgetter() | Indexed -> Any
os | walk | PathName -> Iterator[tuple[str, list[str], list[str]]]
pathlib | Path | PathName -> Path
pathlib.Path pathlib.PathBase | owner read_text | str
pathlib.PurePath pathlib.PurePathBase | as_posix as_uri | str
pathlib.Path pathlib.PathBase | read_bytes | bytes
pathlib.Path pathlib.PathBase | exists is_dir is_file is_symlink | bool
pathlib.Path pathlib.PathBase | stat lstat | os.stat_result
pathlib.Path pathlib.PathBase | mkdir rmdir touch unlink | None
posixpath | isabs | File -> bool
posixpath | abspath basename dirname expanduser expandvars normpath realpath | PathName -> str; bytes -> bytes
posixpath | split splitext | PathName -> tuple[str, str]; bytes -> tuple[bytes, bytes]
"""

# The modules in which CPython defines what it exports from others.
PACKAGES = {
    "pathlib._local": "pathlib",
    "pathlib._abc": "pathlib",
    "_collections": "collections",
    "_operator": "operator",
}

# The hints of the parameter and the result as text; None for a parameter that the function declares itself.
Row: TypeAlias = tuple[str | None, str]


def with_known(function: Any, way: Reading) -> tuple[Reading, ...]:
    """A signature, completed by the table: one for each overload there."""
    return tuple(_with_row(way, *row) for row in _rows(function)) or (way,)


def _rows(function: Any) -> tuple[Row, ...]:
    table, owner = _table(), attribute(function, "__self__")
    if is_a(function, MethodDescriptorType):
        return table.get(f"{_full(function.__objclass__)}.{function.__name__}", ())
    if is_a(function, BuiltinFunctionType) and owner is not None and not isinstance(owner, ModuleType):
        if isinstance(owner, type):
            return table.get(f"{_full(owner)}.{function.__name__}", ())
        unbound = (row for row in table.get(f"{_full(type(owner))}.{function.__name__}", ()) if row[0] is None)
        return table.get(f"{_full(type(owner))}().{function.__name__}", tuple(unbound))
    is_named = is_a(function, type) or is_a(function, BuiltinFunctionType) or is_a(function, FunctionType)
    return table.get(_full(function) if is_named else f"{_full(type(function))}()", ())


def _full(named: Any) -> str:
    module = str(attribute(named, "__module__"))
    return f"{PACKAGES.get(module, module)}.{attribute(named, '__qualname__')}"


@functools.cache
def _table() -> dict[str, tuple[Row, ...]]:
    lines = (line.split(" | ", 2) for line in TABLE.strip().splitlines())
    rows = ((owners, names, tuple(map(_row, written.split("; ")))) for owners, names, written in lines)
    return {
        f"{owner}.{name}": each for owners, names, each in rows for owner in owners.split() for name in names.split()
    }


def _row(text: str) -> Row:
    takes, arrow, gives = text.partition(" -> ")
    return (takes, gives) if arrow else (None, takes)


def _with_row(way: Reading, takes: str | None, gives: str) -> Reading:
    parameters = list(way.signature.parameters.values())
    first = parameter_of_items(way.signature)
    if first is not None and takes is not None:
        taking = Parameter("item", Parameter.POSITIONAL_ONLY, annotation=takes)
        # The parameter is optional.
        if first.kind is Parameter.VAR_POSITIONAL:
            parameters = [taking.replace(default=None), *(each.replace(annotation=UNKNOWN) for each in parameters)]
        else:
            parameters[0] = taking.replace(name=first.name, kind=first.kind, default=first.default)
    signature = inspect.Signature(parameters, return_annotation=gives)
    # It may have other signatures. scope: this module, which knows the names in the table.
    return replace(way, signature=signature, scope=with_known, is_partly_known=True)
