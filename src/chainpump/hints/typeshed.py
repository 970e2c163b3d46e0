"""The bases of built-in and standard classes, which type checkers read in typeshed and the runtime does not know.

A class with its type variables, in order, and its bases as they depend on them. Modules that are not loaded are not
loaded for this: nobody can name their classes.
"""

# mypy: disable-error-code="valid-type"
# pyright: reportGeneralTypeIssues=false, reportInvalidTypeArguments=false
# Hints are values in this module; type checkers cannot check them.
from __future__ import annotations

import collections
import contextlib
import io
import itertools
import os
import re
import types
import typing
from collections import abc
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias, TypeVar

from .forms import UNKNOWN, Hint, by_identity

__all__ = ["declared", "is_unordered", "result_of"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

Declared: TypeAlias = tuple[tuple[Any, ...], tuple[Hint, ...]]

# A value with arguments that type checkers do not see.
pair: Hint = tuple
# Buffer exists since Python 3.12.
BUFFER: tuple[Hint, ...] = tuple(filter(None, [getattr(abc, "Buffer", None)]))
CONTEXT: Hint = contextlib.AbstractContextManager
ASYNC_CONTEXT: Hint = contextlib.AbstractAsyncContextManager
PATH: Hint = os.PathLike

ITERATORS = (
    *(itertools.accumulate, itertools.chain, itertools.combinations, itertools.combinations_with_replacement),
    *(itertools.compress, itertools.count, itertools.cycle, itertools.dropwhile, itertools.filterfalse),
    *(itertools.islice, itertools.pairwise, itertools.permutations, itertools.product, itertools.repeat),
    *(itertools.starmap, itertools.takewhile, itertools.zip_longest),
)

DECLARED: Mapping[object, Declared] = {
    str: ((), (abc.Sequence[str],)),
    bytes: ((), (abc.Sequence[int], *BUFFER)),
    bytearray: ((), (abc.MutableSequence[int], *BUFFER)),
    memoryview: ((T,), (abc.Sequence[int], *BUFFER)),
    range: ((), (abc.Sequence[int],)),
    list: ((T,), (abc.MutableSequence[T],)),
    set: ((T,), (abc.MutableSet[T],)),
    frozenset: ((T,), (abc.Set[T],)),
    dict: ((K, V), (abc.MutableMapping[K, V],)),
    collections.deque: ((T,), (abc.MutableSequence[T],)),
    collections.OrderedDict: ((K, V), (dict[K, V],)),
    collections.defaultdict: ((K, V), (dict[K, V],)),
    collections.Counter: ((T,), (dict[T, int],)),
    collections.ChainMap: ((K, V), (abc.MutableMapping[K, V],)),
    collections.UserDict: ((K, V), (abc.MutableMapping[K, V],)),
    collections.UserList: ((T,), (abc.MutableSequence[T],)),
    collections.UserString: ((), (abc.Sequence[collections.UserString],)),
    types.MappingProxyType: ((K, V), (abc.Mapping[K, V],)),
    type({}.keys()): ((K, V), (abc.KeysView[K],)),
    type({}.values()): ((K, V), (abc.ValuesView[V],)),
    type({}.items()): ((K, V), (abc.ItemsView[K, V],)),
    # Iterators.
    enumerate: ((T,), (abc.Iterator[pair[int, T]],)),
    reversed: ((T,), (abc.Iterator[T],)),
    map: ((T,), (abc.Iterator[T],)),
    filter: ((T,), (abc.Iterator[T],)),
    zip: ((T,), (abc.Iterator[T],)),
    itertools.groupby: ((K, T), (abc.Iterator[pair[K, abc.Iterator[T]]],)),
    types.GeneratorType: ((T, K, V), (abc.Generator[T, K, V],)),
    types.AsyncGeneratorType: ((T, K), (abc.AsyncGenerator[T, K],)),
    types.CoroutineType: ((T, K, V), (abc.Coroutine[T, K, V],)),
    # Abstract classes, with the arguments that the runtime leaves out.
    abc.Iterator: ((T,), (abc.Iterable[T],)),
    abc.Generator: ((T, K, V), (abc.Iterator[T],)),
    abc.Reversible: ((T,), (abc.Iterable[T],)),
    abc.Collection: ((T,), (abc.Iterable[T], abc.Container[T], abc.Sized)),
    abc.Sequence: ((T,), (abc.Reversible[T], abc.Collection[T])),
    abc.MutableSequence: ((T,), (abc.Sequence[T],)),
    abc.Set: ((T,), (abc.Collection[T],)),
    abc.MutableSet: ((T,), (abc.Set[T],)),
    abc.Mapping: ((K, V), (abc.Collection[K],)),
    abc.MutableMapping: ((K, V), (abc.Mapping[K, V],)),
    abc.KeysView: ((T,), (abc.MappingView, abc.Set[T])),
    abc.ItemsView: ((K, V), (abc.MappingView, abc.Set[pair[K, V]])),
    abc.ValuesView: ((T,), (abc.MappingView, abc.Collection[T])),
    abc.AsyncIterator: ((T,), (abc.AsyncIterable[T],)),
    abc.AsyncGenerator: ((T, K), (abc.AsyncIterator[T],)),
    abc.Coroutine: ((K, V, T), (abc.Awaitable[T],)),
    # Files.
    typing.IO: ((T,), (abc.Iterator[T], CONTEXT[typing.IO[T]])),
    typing.TextIO: ((), (CONTEXT[typing.TextIO], typing.IO[str])),
    typing.BinaryIO: ((), (CONTEXT[typing.BinaryIO], typing.IO[bytes])),
    io.IOBase: ((), (abc.Iterator[bytes], CONTEXT[Any])),
    io.TextIOBase: ((), (abc.Iterator[str], io.IOBase)),
    io.BufferedIOBase: ((), (io.IOBase,)),
    io.RawIOBase: ((), (io.IOBase,)),
    io.TextIOWrapper: ((T,), (CONTEXT[io.TextIOWrapper], io.TextIOBase, typing.TextIO)),
    io.StringIO: ((), (CONTEXT[io.StringIO], io.TextIOBase, typing.TextIO)),
    io.BytesIO: ((), (CONTEXT[io.BytesIO], io.BufferedIOBase, typing.BinaryIO)),
    io.FileIO: ((), (CONTEXT[io.FileIO], io.RawIOBase, typing.BinaryIO)),
    io.BufferedReader: ((T,), (CONTEXT[io.BufferedReader], io.BufferedIOBase, typing.BinaryIO)),
    io.BufferedWriter: ((), (io.BufferedIOBase, typing.BinaryIO)),
    io.BufferedRandom: ((), (io.BufferedIOBase, typing.BinaryIO)),
    os.DirEntry: ((T,), (PATH[T],)),
    re.Match: ((T,), ()),
    re.Pattern: ((T,), ()),
    # Contexts.
    contextlib.closing: ((T,), (CONTEXT[T],)),
    contextlib.nullcontext: ((T,), (CONTEXT[T], ASYNC_CONTEXT[T])),
    contextlib.ExitStack: ((), (CONTEXT[contextlib.ExitStack],)),
    contextlib.redirect_stdout: ((T,), (CONTEXT[T],)),
    contextlib.redirect_stderr: ((T,), (CONTEXT[T],)),
    **dict.fromkeys(ITERATORS, ((T,), (abc.Iterator[T],))),
}

# Classes by module and name, so that the module need not be imported.
BY_NAME: Mapping[tuple[str, str], Declared] = {
    ("_csv", "reader"): ((), (abc.Iterator[list[str]],)),
    ("_csv", "Reader"): ((), (abc.Iterator[list[str]],)),
    ("array", "array"): ((T,), (abc.MutableSequence[T], *BUFFER)),
    ("itertools", "batched"): ((T,), (abc.Iterator[T],)),
    ("csv", "DictReader"): ((T,), (abc.Iterator[dict[T, Any]],)),
    ("pathlib", "PurePath"): ((), (PATH[str],)),
    ("pathlib._local", "PurePath"): ((), (PATH[str],)),
    ("_asyncio", "Task"): ((T,), (abc.Awaitable[T],)),
    ("_asyncio", "Future"): ((T,), (abc.Awaitable[T],)),
    ("asyncio.futures", "Future"): ((T,), (abc.Awaitable[T],)),
    ("gzip", "GzipFile"): ((), (io.BufferedIOBase,)),
    ("bz2", "BZ2File"): ((), (io.BufferedIOBase, typing.IO[bytes])),
    ("lzma", "LZMAFile"): ((), (io.BufferedIOBase, typing.IO[bytes])),
    ("tempfile", "_TemporaryFileWrapper"): ((T,), (typing.IO[T],)),
    ("tempfile", "SpooledTemporaryFile"): ((T,), (typing.IO[T],)),
    ("tempfile", "TemporaryDirectory"): ((T,), (CONTEXT[T],)),
    ("os", "_Environ"): ((T,), (abc.MutableMapping[T, T],)),
    ("shelve", "Shelf"): ((V,), (abc.MutableMapping[str, V],)),
    ("weakref", "WeakKeyDictionary"): ((K, V), (abc.MutableMapping[K, V],)),
    ("weakref", "WeakValueDictionary"): ((K, V), (abc.MutableMapping[K, V],)),
    ("_weakrefset", "WeakSet"): ((T,), (abc.MutableSet[T],)),
    ("contextlib", "_GeneratorContextManager"): ((T, K, V), (CONTEXT[T],)),
    ("contextlib", "_AsyncGeneratorContextManager"): ((T, K), (ASYNC_CONTEXT[T],)),
    ("contextlib", "AsyncExitStack"): ((), (ASYNC_CONTEXT[contextlib.AsyncExitStack],)),
    ("concurrent.futures._base", "Executor"): ((), (CONTEXT[Any],)),
}


def declared(cls: type) -> Declared | None:
    """The type variables and the bases of a class; None if the class declares them itself."""
    found = _declared().get(id(cls))
    return found[1] if found is not None else BY_NAME.get((cls.__module__, cls.__qualname__))


@cache
def _declared() -> Mapping[int, tuple[object, Declared]]:
    """Classes by id: a metaclass may define any `__hash__`."""
    return {id(cls): (cls, what) for cls, what in DECLARED.items()}


# The results of special methods that are written in C, for every class.
RESULTS: Mapping[str, Hint] = {
    **dict.fromkeys(("__str__", "__repr__", "__format__"), str),
    **dict.fromkeys(("__len__", "__hash__", "__int__", "__index__", "__sizeof__", "__length_hint__", "__trunc__"), int),
    **dict.fromkeys(("__bool__", "__contains__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"), bool),
    "__float__": float,
    "__complex__": complex,
    "__bytes__": bytes,
}
# These methods of a number return a number of the same class.
OWN = ("__abs__", "__neg__", "__pos__", "__invert__")
ORDER = ("__lt__", "__le__", "__gt__", "__ge__")
# Classes whose comparison methods always return NotImplemented.
UNORDERED = by_identity(object, complex, dict, range, memoryview, type(None))


def result_of(cls: type, method: str) -> Hint:
    """The result of a method written in C; unknown if it depends on the class."""
    if method in OWN and cls in (int, float, complex):
        return float if cls is complex and method == "__abs__" else cls
    return RESULTS.get(method, UNKNOWN)


def is_unordered(cls: type, method: str) -> bool:
    """Whether a comparison method exists but does nothing: a class written in C has all of them or none."""
    return method in ORDER and id(cls) in UNORDERED
