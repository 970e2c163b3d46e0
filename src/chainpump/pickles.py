"""How functions and their arguments travel to another process, and which part of an object cannot.

Items are pickled by plain `pickle` (`transport.codec`). Functions go through cloudpickle, which takes lambdas
and closures by value; but whatever a worker can import goes by reference, so that both sides mean one object.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import attrgetter
from types import CodeType
from typing import Any, ClassVar

from .codec_registry import EncodeError
from .source_files import code_reducer

__all__ = ["dumps", "fault", "loads", "travelling"]

MAX_DEPTH = 6  # levels that `fault` descends; deeper parts are reported as the whole they belong to


def dumps(value: object) -> bytes:
    """Pickle functions and their arguments for a worker process."""
    import cloudpickle  # 15 ms; only runs that pickle functions pay for it

    importable = _main_is_importable()

    reducers = cloudpickle.Pickler.dispatch_table

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type stubs
        dispatch_table: ClassVar = ChainMap({CodeType: code_reducer(reducers[CodeType])}, reducers)

        # A worker imports the program's main script itself, as `multiprocessing` has it do. What is found
        # there goes by reference: a copy by value would be a second class, which plain pickle refuses.
        def reducer_override(self, obj: Any) -> Any:
            if importable and getattr(obj, "__module__", None) == "__main__" and _is_in_main(obj):
                return NotImplemented
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    main_classes = {} if importable else _main_classes()
    Pickler(buffer, protocol=5).dump((main_classes, value))
    return buffer.getvalue()


def loads(data: bytes) -> Any:
    """Rebuild what `dumps` made."""
    main_classes, value = pickle.loads(data)
    # In a notebook or a REPL there is no file to import: the classes came by value and take their place in
    # `__main__` here, so that items made of them can be pickled by reference in both directions.
    vars(sys.modules["__main__"]).update(main_classes)
    return value


def travelling(value: object) -> bytes | None:
    """A plain pickle of a value that was seen to load again, or None."""
    with suppress(Exception):  # whatever a user's __reduce__ or __init__ raises
        data = pickle.dumps(value, 5)
        if type(pickle.loads(data)) is type(value):
            return data
    return None


def _main_is_importable() -> bool:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return not spec.name.endswith("__main__")
    return getattr(main, "__file__", None) is not None


def _is_in_main(obj: Any) -> bool:
    try:
        return attrgetter(obj.__qualname__)(sys.modules["__main__"]) is obj
    except AttributeError:
        return False


def _main_classes() -> dict[str, type]:
    return {
        name: value
        for name, value in vars(sys.modules["__main__"]).items()
        if isinstance(value, type) and value.__module__ == "__main__"
    }


def fault(value: object, dump: Callable[[object], object], *, name: str = "") -> str:
    """Say which part of a value `dump` refuses, and why: `Reader.handle: cannot pickle '_io.TextIOWrapper'`."""
    try:
        dump(value)
    except Exception as error:
        return _fault(value, dump, name or type(value).__name__, error, MAX_DEPTH)
    return f"{name or type(value).__name__}: pickled on a second try"


def _fault(value: object, dump: Callable[[object], object], path: str, error: Exception, depth: int) -> str:
    has_codec = isinstance(error, EncodeError) and error.item is value
    for label, part in () if has_codec or not depth else _parts(value):
        try:
            dump(part)
        except Exception as cause:
            return _fault(part, dump, path + label, cause, depth - 1)
    return f"{path}: {error}"


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """The parts of a value that pickle would visit, each with the text that leads to it."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    closure = getattr(value, "__closure__", None) or ()
    names = getattr(getattr(value, "__code__", None), "co_freevars", ())
    yield from (
        (f" (captured variable {name!r})", cell.cell_contents) for name, cell in zip(names, closure, strict=False)
    )
    yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())
    for cls in type(value).__mro__:
        for name in getattr(cls, "__slots__", ()):
            if hasattr(value, name) and not name.startswith("__"):
                yield f".{name}", getattr(value, name)
