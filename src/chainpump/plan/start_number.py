"""The number of the first item that a source has to make: the type of a parameter of a source that can seek."""

from __future__ import annotations

from typing import Self

from .placement import check_whole

__all__ = ["Start"]


class Start(int):
    """The number of the first item that a source has to make. `Start(0)` is the default of a parameter of it.

    >>> from collections.abc import Iterator
    >>> from chainpump import Pipeline, Start, source
    >>> def numbers(start: Start = Start(0)) -> Iterator[int]:
    ...     yield from range(start, 1_000_000)
    >>> with Pipeline(source(numbers)).open(start="") as run:
    ...     first, position = next(iter(run)), run.position
    >>> with Pipeline(source(numbers)).open(start=position) as run:
    ...     next(iter(run))
    1

    A durable run gives such a source the number of the first item that is not done. The source yields its items from
    that one on. Without such a parameter it yields all of them, and those that are done are dropped.
    Raises StageOptionError if the number is below 0.
    """

    __slots__ = ()

    def __new__(cls, number: int = 0) -> Self:
        """Make it of a number."""
        check_whole(number, "Start", least=0)
        return super().__new__(cls, number)

    def __repr__(self) -> str:
        return f"Start({int(self)})"
