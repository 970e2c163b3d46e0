"""The items of a tuple hint, also of one of unknown length."""

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
    # A tuple of one hint or none, since None is a hint.
    middle: tuple[Hint, ...] = ()
    last: tuple[Hint, ...] = ()

    @classmethod
    def of(cls, args: tuple[Hint, ...]) -> Items:
        """Read the arguments of `tuple[...]`, which may contain an unpacked tuple."""
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
        """The hints of all items."""
        middle = tuple(UNKNOWN if isinstance(each, TypeVarTuple) else each for each in self.middle)
        return self.first + middle + self.last


def is_unpacked(hint: Hint) -> bool:
    """Whether this is `*tuple[...]` or `*Ts`."""
    return unpacked(hint) is not None


def _unpacked(hint: Hint) -> Items:
    """The items that `*tuple[...]` adds; for `*Ts`, any number of its binding."""
    inner = unpacked(hint)
    return Items.of(get_args(inner)) if get_origin(inner) is tuple else Items((), (inner,))
