"""Functions and classes of a main module that no worker can import: of `python -c`, a REPL, a notebook, a package.

They cross to another process by value, under a key that their own process has given them. Who knows that key already
takes the object that it has: so a class is one class in each process, also once it comes back.

    defined here ──key, definition──► worker: known from now on ──key, definition──► here: the very object
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


class _Table:
    """What this process knows, and under which keys. Any thread may ask; what several of them do is atomic.

    Weak: who redefines a class, or makes a function for each item, is to have the old ones go. But what has come from
    another process and has a name of the main module stays: nothing else here may hold it between two items.
    """

    def __init__(self) -> None:
        self.keys: WeakKeyDictionary[object, str] = WeakKeyDictionary()
        self.objects: WeakValueDictionary[str, object] = WeakValueDictionary()
        self.kept: dict[str, object] = {}


# A fact of the process, as `sys.modules` is.
_TABLE = _Table()


def is_importable() -> bool:
    """Whether worker processes import the main module of this one, as `multiprocessing` has them do."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return not spec.name.endswith("__main__")
    return getattr(main, "__file__", None) is not None


def is_of_main(value: object) -> bool:
    """Whether it is a function or class that was defined in the main module."""
    return isinstance(value, NAMED) and value.__module__ == "__main__"


def is_in_main(value: Any) -> bool:
    """Whether its name in the main module leads to it."""
    try:
        return attrgetter(value.__qualname__)(sys.modules["__main__"]) is value
    except AttributeError:
        return False


def key_of(value: object) -> str:
    """The key of a function or class."""
    key = _TABLE.keys.get(value) or _TABLE.keys.setdefault(value, os.urandom(8).hex())
    _TABLE.objects.setdefault(key, value)
    return key


def known(key: str) -> object | None:
    """What has this key in this process."""
    return _TABLE.objects.get(key)


def adopt(found: Mapping[str, object]) -> None:
    """Know these by the keys that another process gave them."""
    for key, value in found.items():
        _TABLE.keys.setdefault(value, key)
        _TABLE.objects.setdefault(key, value)
        if has_name(value):
            _TABLE.kept.setdefault(key, value)


def take_names(found: Mapping[str, object], *, anew: bool = True) -> None:
    """Give these their names in the main module of a worker, where its own code may look for them.

    anew: also where another object has the name, as some of `multiprocessing` have in a process that it has started.
    """
    names = vars(sys.modules["__main__"])
    named = {value.__name__: value for value in found.values() if isinstance(value, NAMED) and has_name(value)}
    names.update(named if anew else {name: value for name, value in named.items() if name not in names})


def has_name(value: Any) -> bool:
    """Whether it was defined at the top level."""
    return bool(value.__qualname__.isidentifier())
