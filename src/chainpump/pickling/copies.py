"""Snapshots without pickling: a copy of an item whose parts cannot change is as good, and costs a fifth.

The copy is pickled later, together with its whole frame. Only small items are copied: pickling a large one costs less
than looking at each of its parts.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from gc import is_tracked
from operator import attrgetter
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeAlias

from . import registry
from .sizes import SCALARS, STRINGS

__all__ = ["COPY_BYTES", "MAX_PARTS", "MAX_TEXT", "Copies"]

# The approximate size of such an item in a pickle, until one has been weighed.
COPY_BYTES = 32
# Parts of an item. A pickle of more parts than this costs less per part than a look at each.
MAX_PARTS = 16
# Length of a str or bytes in an item. So the items between two measurements of their size cannot take much memory.
MAX_TEXT = 2048

# Makes a snapshot of an item. None if the item has a part that can change, or is large.
Copy: TypeAlias = Callable[[Any], Any]


class Copies(dict[type, Copy]):
    """For each type of which an item has been pickled: how to copy others. For one thread at a time.

    >>> copies = Copies()
    >>> copies.learn(dict)
    >>> item = {"id": 1}
    >>> copies[dict](item), copies[dict](item) is item, copies[dict]({"ids": [1]})
    ({'id': 1}, False, None)
    """

    def learn(self, kind: type) -> None:
        """An item of this exact type has been pickled: find out how others are copied."""
        self[kind] = _NATIVE.get(kind) or _copy_of(kind)


def _dict(item: dict[Any, Any]) -> Any:
    if len(item) > MAX_PARTS:
        return None
    for value in item.values():
        kind = type(value)
        if kind not in SCALARS and (kind not in STRINGS or len(value) > MAX_TEXT):
            return None
    # The garbage collector does not track a dict that refers to nothing but such objects as it does not track either: a
    # key of this sort has no state that can change. Another one may, beside what makes it equal.
    if is_tracked(item):
        for key in item:
            if type(key) is not str:
                return None
    return item.copy()


def _tuple(item: tuple[Any, ...]) -> Any:
    """The tuple itself if it has a few small parts, none of which can change."""
    if len(item) > MAX_PARTS:
        return None
    for part in item:
        kind = type(part)
        if kind not in SCALARS and (kind not in STRINGS or len(part) > MAX_TEXT):
            return None
    return item


def _list(item: list[Any]) -> Any:
    if len(item) > MAX_PARTS:
        return None
    for part in item:
        kind = type(part)
        if kind not in SCALARS and (kind not in STRINGS or len(part) > MAX_TEXT):
            return None
    return item.copy()


def _never(_: Any) -> Any:
    return None


_NATIVE: dict[type, Copy] = {dict: _dict, list: _list, tuple: _tuple}


def _copy_of(kind: type) -> Copy:
    """How to copy the objects of a class. Only what pickle takes apart in the usual way consists of its attributes."""
    is_usual = _inherits(kind, object, "__reduce_ex__", "__reduce__") and _has_usual_state(kind)
    if not is_usual or registry.has_reducer(kind):
        return _never
    # A named tuple, without a dictionary of attributes.
    if issubclass(kind, tuple):
        is_usual = _inherits(kind, tuple, "__iter__", "__len__", "__getattribute__")
        return _tuple if is_usual and not kind.__dictoffset__ else _never
    # `__del__` would be called for the copy, too.
    special = ("__getnewargs_ex__", "__getnewargs__", "__del__")
    if not _inherits(kind, object, "__new__", "__getattribute__") or any(hasattr(kind, name) for name in special):
        return _never
    # Private, but pickle of the standard library calls it for each such object.
    slots: list[str] = copyreg._slotnames(kind)  # type: ignore[attr-defined]  # noqa: SLF001
    if not kind.__dictoffset__:
        return _slots_copy(kind, slots)
    return _attributes_copy(kind) if not slots and _has_usual_dict(kind) else _never


def _inherits(kind: type, base: type, *names: str) -> bool:
    return all(getattr(kind, name, None) is getattr(base, name, None) for name in names)


def _has_usual_state(kind: type) -> bool:
    """Whether pickle saves all attributes. A frozen dataclass with slots has a method that returns just these."""
    if _inherits(kind, object, "__getstate__"):
        return True
    return getattr(getattr(kind, "__getstate__", None), "__module__", "") == "dataclasses"


def _has_usual_dict(kind: type) -> bool:
    places = [vars(base)["__dict__"] for base in kind.__mro__ if "__dict__" in vars(base)]
    return all(isinstance(each, GetSetDescriptorType) for each in places)


def _attributes_copy(kind: type) -> Copy:
    make: Callable[[type], Any] = object.__new__
    put = object.__setattr__

    def copy(item: Any) -> Any:
        attributes = item.__dict__
        if type(attributes) is not dict or (attributes := _dict(attributes)) is None:
            return None
        made = make(kind)
        # A frozen dataclass refuses the ordinary assignment.
        put(made, "__dict__", attributes)
        return made

    return copy


def _slots_copy(kind: type, slots: list[str]) -> Copy:
    members = [getattr(kind, name, None) for name in slots]
    # With a single slot, an attrgetter returns no tuple. A subclass may have another attribute in place of a slot.
    if not 1 < len(slots) <= MAX_PARTS or not all(isinstance(each, MemberDescriptorType) for each in members):
        return _never
    make: Callable[[type], Any] = object.__new__
    values_of = attrgetter(*slots)
    setters = [member.__set__ for member in members if member is not None]

    def copy(item: Any) -> Any:
        try:
            values = values_of(item)
        except AttributeError:
            # A slot is empty.
            return None
        if _tuple(values) is None:
            return None
        made = make(kind)
        for put, value in zip(setters, values, strict=True):
            put(made, value)
        return made

    return copy
