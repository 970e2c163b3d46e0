"""Functions and their arguments to bytes and back, and which part of an object cannot be pickled.

Items are pickled by plain `pickle` (`pickling.items`), functions by cloudpickle: it pickles lambdas and closures by
value. What a worker can import is pickled by reference, so that both processes have the same object.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from ..messages.source_files import code_reducer
from . import main_objects, registry
from .inherited import arrived, inherited_classes, is_inherited, reference
from .registry import PROTOCOL, EncodeError

__all__ = ["ItemPickler", "by_value", "dumps", "loads", "plain", "travelling", "unpicklable_part"]

# The most bytes of a function or class that is sent with each item, with all that it refers to.
MOST_DEFINITION = 1 << 20
# Attributes that the interpreter makes for each class.
OF_CLASSES = frozenset(("__dict__", "__weakref__", "_abc_impl"))
# Levels that `unpicklable_part` descends; a deeper part is reported as the object that contains it.
MAX_DEPTH = 6


def dumps(
    value: object,
    in_band: Callable[[pickle.PickleBuffer], object] | None = None,
    inherited: list[object] | None = None,
    *,
    main_by_value: bool = False,
) -> bytes:
    """Pickle functions and their arguments for a worker process, with all of the main module that they refer to.

    in_band: called with each buffer; returns whether the pickle is to contain it. `loads` needs the other ones.
    inherited: gets the objects that the pickle cannot contain; `loads` needs them. See `pickling.inherited`.
    main_by_value: the pickle contains what it refers to of the main module, even if workers of this machine can import
    that.
    """
    # This import takes 15 ms; only runs that pickle functions need it.
    import cloudpickle

    importable = _is_importable(main_by_value)
    reducers = cloudpickle.Pickler.dispatch_table
    found: dict[str, object] = {}
    passed_on = [] if inherited is None else inherited
    classes = inherited_classes()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type stubs
        dispatch_table: ClassVar = ChainMap({CodeType: code_reducer(reducers[CodeType])}, dict(reducers))

        # A worker imports the main script of the program, as `multiprocessing` makes it do. What it finds there is
        # pickled by reference: a copy by value would be a second class, which plain pickle refuses.
        def reducer_override(self, obj: Any) -> Any:
            if issubclass(type(obj), classes) and is_inherited(obj):
                passed_on.append(obj)
                return reference(len(passed_on) - 1)
            if main_objects.is_of_main(obj):
                if not importable:
                    found[main_objects.key_of(obj)] = obj
                elif main_objects.is_in_main(obj):
                    return NotImplemented
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    # `found` comes second: it is filled while `value` is pickled.
    Pickler(buffer, PROTOCOL, in_band).dump((value, found))
    return buffer.getvalue()


def _is_importable(main_by_value: bool) -> bool:
    """Whether the process that loads a pickle can import the main module. If not, cloudpickle pickles it by value."""
    module = sys.modules.get(main_objects.IN_WORKER)
    if main_by_value and module is not None and module.__name__ == main_objects.IN_WORKER:
        import cloudpickle

        # It does so by itself for a module that is called `__main__`.
        cloudpickle.register_pickle_by_value(module)
    return main_objects.is_importable() and not main_by_value


def loads(data: bytes | memoryview, buffers: Iterable[memoryview] = (), inherited: Sequence[object] = ()) -> Any:
    """Unpickle in a worker what `dumps` made."""
    before = arrived.set(inherited)
    try:
        value, found = pickle.loads(data, buffers=buffers)
    finally:
        arrived.reset(before)
    main_objects.adopt(found)
    main_objects.take_names(found)
    return value


def by_value(value: object, in_band: Callable[[pickle.PickleBuffer], object], *, main_by_value: bool = False) -> bytes:
    """Pickle items that plain pickle refuses, with all functions and classes that cannot be found by their names.

    main_by_value: as for `dumps`.
    """
    # Few programs have such items.
    import cloudpickle

    importable = _is_importable(main_by_value)
    reducers = dict(cloudpickle.Pickler.dispatch_table)
    # An item arrives as what it is, or is refused: an open file would arrive as its text, and a view as bytes.
    for replaced in (io.TextIOWrapper, memoryview):
        del reducers[replaced]

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type stubs
        dispatch_table: ClassVar = ChainMap({CodeType: code_reducer(reducers[CodeType])}, reducers, registry.Reducers())

        def reducer_override(self, obj: Any) -> Any:
            if main_objects.is_of_main(obj):
                if not importable:
                    return _defined, (main_objects.key_of(obj), _definition(obj))
                if main_objects.is_in_main(obj):
                    return NotImplemented
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    Pickler(buffer, PROTOCOL, in_band).dump(value)
    return buffer.getvalue()


class ItemPickler(pickle.Pickler):
    """Pickles items of a program whose main module no worker can import: see `pickling.main_objects`.

    A definition is made once and is part of each pickle, since the process that loads it may not know it yet.
    """

    # Any: the arguments of a plain pickler.
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._definitions: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()

    def reducer_override(self, obj: Any) -> Any:
        """Pickle a function or class of the main module by value; see `pickle.Pickler.reducer_override`."""
        if not main_objects.is_of_main(obj):
            return NotImplemented
        definition = self._definitions.get(obj)
        if definition is None:
            definition = self._definitions[obj] = _definition(obj)
        return _defined, (main_objects.key_of(obj), definition)


def _definition(value: Any) -> bytes:
    """Pickle a function or class. Raises PicklingError if that fails, or if it is too large to send with items."""
    try:
        data = _dumps_with_main(value)
    except Exception as error:
        raise _Undefinable(value, unpicklable_part(value, _dumps_with_main, name=value.__qualname__)) from error
    if len(data) > MOST_DEFINITION:
        parts = {label: len(_dumps_with_main(part)) for label, part in _parts(value)}
        largest = max(parts, key=lambda label: parts[label], default="")
        size = f"has {len(data) / 1e6:.0f} MB with all that it mentions, which would go with each item"
        raise _Undefinable(value, f"{value.__qualname__}{largest} {size}")
    return data


_dumps_with_main = partial(dumps, main_by_value=True)


class _Undefinable(pickle.PicklingError):
    """A function or class of the main module cannot be sent with an item."""

    def __init__(self, value: object, why: str) -> None:
        super().__init__(f"{why}. Or define it in a module, which workers import")
        self.item = value


def _defined(key: str, definition: bytes) -> object:
    found = main_objects.known(key)
    if found is not None:
        return found
    value, mentioned = pickle.loads(definition)
    main_objects.adopt(mentioned)
    main_objects.take_names(mentioned, anew=False)
    return value


def plain(value: object) -> bytes:
    """Pickle an item by plain pickle. Raises what pickling raises."""
    if main_objects.is_importable():
        return pickle.dumps(value, PROTOCOL)
    buffer = io.BytesIO()
    ItemPickler(buffer, PROTOCOL).dump(value)
    return buffer.getvalue()


def travelling(value: object) -> bytes | None:
    """The plain pickle of a value, or None if it cannot be pickled and unpickled again."""
    # A user's __reduce__ or __init__ may raise anything.
    with suppress(Exception):
        data = plain(value)
        if type(pickle.loads(data)) is type(value):
            return data
    return None


def unpicklable_part(value: object, dump: Callable[[object], object], *, name: str = "") -> str:
    """Which part of a value `dump` refuses, and why: `Reader.handle: cannot pickle '_io.TextIOWrapper'`."""
    try:
        dump(value)
    except Exception as error:
        return _unpicklable_part(value, dump, name or type(value).__name__, error, (value,))
    return f"{name or type(value).__name__}: pickled on a second try"


def _unpicklable_part(
    value: object, dump: Callable[[object], object], path: str, error: Exception, within: tuple[object, ...]
) -> str:
    """within: the values that contain this one, and itself; functions and classes may refer to themselves."""
    item = getattr(error, "item", None) if isinstance(error, (EncodeError, _Undefinable)) else within
    if item is value or (isinstance(error, _Undefinable) and item is type(value)):
        return f"{path}: {error}"
    for label, part in _parts(value) if len(within) <= MAX_DEPTH else ():
        try:
            if not any(part is each for each in within):
                dump(part)
        except Exception as cause:
            return _unpicklable_part(part, dump, path + label, cause, (*within, part))
    return f"{path}: {error}"


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """The parts of a value that pickle would visit, each with the text of the step to it, such as `.name`."""
    yield from next((parts(value) for kind, parts in PARTS.items() if isinstance(value, kind)), ())
    yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items() if name not in OF_CLASSES)
    for cls in type(value).__mro__:
        for name in getattr(cls, "__slots__", ()):
            if hasattr(value, name) and not name.startswith("__"):
                yield f".{name}", getattr(value, name)
    if main_objects.is_of_main(type(value)):
        yield f" (class {type(value).__name__!r})", type(value)


def _parts_of_function(function: FunctionType) -> Iterator[tuple[str, object]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        # A cell may still be empty.
        with suppress(ValueError):
            yield f" (captured variable {name!r})", cell.cell_contents
    for name in dict.fromkeys(_names_in(code)):
        if name in function.__globals__:
            yield f" (global {name!r})", function.__globals__[name]
    yield " (defaults)", (function.__defaults__, function.__kwdefaults__)


def _names_in(code: CodeType) -> Iterator[str]:
    """The names by which the code, and functions within it, may refer to globals."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names_in(const)


# Any: each function takes values of the type that is its key.
PARTS: Mapping[type | tuple[type, ...], Callable[[Any], Iterable[tuple[str, object]]]] = {
    dict: lambda values: ((f"[{key!r}]", part) for key, part in values.items()),
    (list, tuple, set, frozenset): lambda values: ((f"[{index}]", part) for index, part in enumerate(values)),
    partial: lambda call: ((".func", call.func), (".args", call.args), (".keywords", call.keywords)),
    MethodType: lambda method: ((" (its object)", method.__self__), ("", method.__func__)),
    FunctionType: _parts_of_function,
    type: lambda cls: ((f" (base class {base.__name__!r})", base) for base in cls.__bases__),
}
