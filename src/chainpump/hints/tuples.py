"""The items of a tuple's hint, also of one of unknown length."""

from __future__ import annotations

from typing import NamedTuple, TypeVarTuple, get_args, get_origin

from .forms import UNKNOWN, Hint, unpacked

__all__ = ["Items", "is_unpacked"]


class Items(NamedTuple):
    """The first items, what any number of further ones are, if there may be any, and the last ones.

    >>> Items.of((int, ...))
    Items(first=(), middle=(<class 'int'>,), last=())
    """

    first: tuple[Hint, ...]
    # One or none: None is a hint.
    middle: tuple[Hint, ...] = ()
    last: tuple[Hint, ...] = ()

    @classmethod
    def of(cls, args: tuple[Hint, ...]) -> Items:
        """From the arguments of `tuple[...]`, in which there may be another one, unpacked."""
        if any(each is ... for each in args):
            return cls((), args[:1])
        items = cls(())
        for each in args:
            inner = _unpacked(each) if is_unpacked(each) else cls((each,))
            if inner.middle:
                items = cls(items.first + inner.first, inner.middle, inner.last)
            elif items.middle:
                items = items._replace(last=items.last + inner.first)
            else:
                items = cls(items.first + inner.first)
        return items

    @property
    def kinds(self) -> tuple[Hint, ...]:
        """Whatever an item can be."""
        middle = tuple(UNKNOWN if isinstance(each, TypeVarTuple) else each for each in self.middle)
        return self.first + middle + self.last


def is_unpacked(hint: Hint) -> bool:
    """Whether this is `*tuple[...]` or `*Ts`."""
    return unpacked(hint) is not None


def _unpacked(hint: Hint) -> Items:
    """What `*tuple[...]` adds; for `*Ts`, any number of what it stands for."""
    inner = unpacked(hint)
    return Items.of(get_args(inner)) if get_origin(inner) is tuple else Items((), (inner,))
