"""Checks of values against their declared types, during development: `check_items=True`.

The checks use typeguard. It checks every element, and supports typed dictionaries, protocols and the numeric tower.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from ..errors import StageOptionError
from ..messages.extras import install, too_old

if TYPE_CHECKING:
    # The hints package needs `inspect`. Workers import this module and do not read hints.
    from ..hints.annotations import Hint

__all__ = ["CheckedItems", "CheckedResult", "WrongItemError", "check_available"]


class WrongItemError(BaseException):
    """An item has not the declared type of its stage. It is no Exception: no policy may handle it.

    args: the declared type and the problem, as texts, and the item's number among the items that this worker has
    yielded, if it is counted.
    """


def check_available() -> None:
    """Raise StageOptionError if typeguard is not installed, or too old."""
    needs = "check_items=True needs"
    try:
        import typeguard  # noqa: F401  # 80 ms, for those who ask for it
    except ImportError:
        raise StageOptionError(install("check", needs)) from None
    if too_old("check"):
        raise StageOptionError(install("check", needs))


class _Checked(ABC):
    """A function whose results are checked. It has the name and location of the function. text: the hint as text."""

    def __init__(self, function: Callable[..., Any], hint: Hint, text: str) -> None:
        update_wrapper(self, function, updated=())
        self._function = function
        self._hint = hint
        self._text = text

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and check its results."""
        return self._with_checks(self._function(*args, **kwargs))

    @abstractmethod
    def _with_checks(self, made: Any) -> Any: ...

    def check(self, value: object, number: int | None = None) -> None:
        """Raise WrongItemError unless the value has the type."""
        from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

        try:
            check_type(
                value,
                self._hint,
                forward_ref_policy=ForwardRefPolicy.IGNORE,
                collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
            )
        except TypeCheckError as error:
            raise WrongItemError(self._text, str(error), number) from None


class CheckedResult(_Checked):
    """Checks the result of the function."""

    def _with_checks(self, made: Any) -> Any:
        if isinstance(made, Awaitable):
            return self._awaited(made)
        self.check(made)
        return made

    async def _awaited(self, made: Awaitable[Any]) -> Any:
        value = await made
        self.check(value)
        return value


class CheckedItems(_Checked):
    """Checks each item that the function returns or yields."""

    def _with_checks(self, made: Any) -> Any:
        if isinstance(made, AsyncIterable):
            return self._from_async(made)
        return self._awaited(made) if isinstance(made, Awaitable) else self._from(made)

    def _from(self, made: Iterable[Any]) -> Iterator[Any]:
        try:
            for number, item in enumerate(made):
                self.check(item, number)
                yield item
                # A stage that waits holds no earlier items alive.
                del item
        finally:
            if isinstance(made, Generator):
                made.close()

    async def _awaited(self, made: Awaitable[Iterable[Any]]) -> Iterable[Any]:
        return list(self._from(await made))

    async def _from_async(self, made: AsyncIterable[Any]) -> AsyncIterator[Any]:
        number = 0
        async for item in made:
            self.check(item, number)
            number += 1
            yield item
