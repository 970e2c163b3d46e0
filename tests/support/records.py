"""Items of several classes that an item may be of, and parts of items that can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass
class Record:
    id: Any
    name: Any = "item"


@dataclass(frozen=True)
class Frozen:
    id: Any
    name: Any = "item"


@dataclass(slots=True)
class Slots:
    id: Any
    name: Any = "item"


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    id: Any
    name: Any = "item"


class Plain:
    def __init__(self, id: Any, name: Any = "item") -> None:  # noqa: A002
        self.id, self.name = id, name


class Mangled:
    __slots__ = ("__hidden", "seen")

    def __init__(self, hidden: Any, seen: Any = "item") -> None:
        self.__hidden, self.seen = hidden, seen


class Point(NamedTuple):
    x: Any
    y: Any = "item"


class Text(str):  # noqa: SLOT000  # it has a state on purpose
    """A str that can change."""


class Number(int):
    """An int that can change."""
