"""Functions and classes of a main module that a worker cannot import: that of `python -c`, a REPL, a notebook, a
package, and any main module if the worker runs on another machine.

They are sent by value, under a key. A process that knows the key uses the object that it has. So a class is one class
in each process, also when it comes back. What workers of this machine find by its name in the main module has this name
as its key: each of them sends it under the same key. The process that defines any other object chooses its key.

    defined here ──key, definition──► worker: known from now on ──key, definition──► here: the same object
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from operator import attrgetter
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

__all__ = ["adopt", "has_name", "is_importable", "is_in_main", "is_of_main", "key_of", "known", "take_names"]

NAMED = (type, FunctionType)
# The name of the main module in a worker process of `multiprocessing` that has imported it.
IN_WORKER = "__mp_main__"
MAIN = ("__main__", IN_WORKER)
# Begins the key of an object that has this name in the main module.
BY_NAME = "__main__."


class _Table:
    """The objects that this process knows, and their keys. All operations are atomic, so any thread may use it.

    References are weak, so that classes that were redefined, and functions made for one item, are freed. Objects of
    another process that have a name in its main module are kept: nothing else may refer to them between two items.
    """

    def __init__(self) -> None:
        self.keys: WeakKeyDictionary[object, str] = WeakKeyDictionary()
        self.objects: WeakValueDictionary[str, object] = WeakValueDictionary()
        self.kept: dict[str, object] = {}


# One table for the process, as with `sys.modules`.
_TABLE = _Table()


def is_importable() -> bool:
    """Whether worker processes can import the main module of this process, as `multiprocessing` makes them do."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return not spec.name.endswith("__main__")
    return getattr(main, "__file__", None) is not None


def is_of_main(value: object) -> bool:
    """Whether it is a function or class that was defined in the main module."""
    return isinstance(value, NAMED) and value.__module__ in MAIN


def is_in_main(value: Any) -> bool:
    """Whether the main module has this object under its name."""
    return _in_main(value.__qualname__) is value


def _in_main(name: str) -> object | None:
    try:
        found: object = attrgetter(name)(sys.modules["__main__"])
    except AttributeError:
        return None
    return found


def key_of(value: Any) -> str:
    """The key of a function or class."""
    key = _TABLE.keys.get(value)
    if key is None:
        new = BY_NAME + value.__qualname__ if is_importable() and is_in_main(value) else os.urandom(8).hex()
        key = _TABLE.keys.setdefault(value, new)
    _TABLE.objects.setdefault(key, value)
    return key


def known(key: str) -> object | None:
    """The object with this key; None if this process knows none."""
    found: object | None = _TABLE.objects.get(key)
    if found is None and key.startswith(BY_NAME) and is_importable():
        return _in_main(key.removeprefix(BY_NAME))
    return found


def adopt(found: Mapping[str, object]) -> None:
    """Add objects under the keys that another process gave them."""
    for key, value in found.items():
        _TABLE.keys.setdefault(value, key)
        _TABLE.objects.setdefault(key, value)
        if has_name(value):
            _TABLE.kept.setdefault(key, value)


def take_names(found: Mapping[str, object], *, anew: bool = True) -> None:
    """Put objects into the main module of a worker under their names, where their own code may look for them.

    anew: also replace objects of the same name: `multiprocessing` has put some there in a process that it started.
    """
    names = vars(sys.modules["__main__"])
    named = {value.__name__: value for value in found.values() if isinstance(value, NAMED) and has_name(value)}
    names.update(named if anew else {name: value for name, value in named.items() if name not in names})


def has_name(value: Any) -> bool:
    """Whether it was defined at the top level of its module."""
    return bool(value.__qualname__.isidentifier())
