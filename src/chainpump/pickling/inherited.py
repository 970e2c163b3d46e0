"""Objects of `multiprocessing` that a process can only receive as it starts: locks, events, shared values, queues.

Their own pickles are refused at any other time, and refer to descriptors that are passed on with each new process. So
a pickle of functions contains a number in place of such an object, and the objects are pickled with each process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

__all__ = ["arrived", "inherited_classes", "is_inherited", "reference"]

CLASSES = {
    "multiprocessing.connection": ("Connection",),
    "multiprocessing.heap": ("BufferWrapper",),
    "multiprocessing.queues": ("Queue", "SimpleQueue"),
    "multiprocessing.sharedctypes": ("SynchronizedBase",),
    "multiprocessing.synchronize": ("SemLock", "Condition"),
    # Shared values without a lock are objects of it that have a `_wrapper`.
    "_ctypes": ("_SimpleCData", "Array", "Structure"),
}
# The objects of the functions that this thread loads at this moment.
arrived: ContextVar[Sequence[object]] = ContextVar("arrived", default=())


def inherited_classes() -> tuple[type, ...]:
    """The classes of such objects. A module that the program has not imported has no objects."""
    imported = [(sys.modules[module], names) for module, names in CLASSES.items() if module in sys.modules]
    return tuple(getattr(module, name) for module, names in imported for name in names)


def is_inherited(value: Any) -> bool:
    """Whether an object of one of these classes can only be received by a process that starts."""
    is_own = any(base.__module__.startswith("multiprocessing.") for base in type(value).__mro__)
    return is_own or hasattr(value, "_wrapper")


def reference(number: int) -> tuple[Callable[[int], object], tuple[int]]:
    """What a pickle contains in place of an object; see `object.__reduce__`."""
    return _object, (number,)


def _object(number: int) -> object:
    return arrived.get()[number]
