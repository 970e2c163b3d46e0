"""Values beside their declared types, while a program is developed: `check_items=True`.

Typeguard looks at them: it looks at every element, and knows typed dictionaries, protocols and the numeric tower.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from ..errors import StageOptionError

if TYPE_CHECKING:
    # Reading hints needs `inspect`, and workers, which import this module, read none.
    from ..hints.annotations import Hint

__all__ = ["CheckedItems", "CheckedResult", "WrongItemError", "check_available"]


class WrongItemError(BaseException):
    """An item that is not what its stage says. No Exception: it is the stage's defect, and no policy's business.

    args: the declared type, and what is wrong, as texts; and the item's number among those that this worker yielded, if
    it is counted.
    """


def check_available() -> None:
    """Raise StageOptionError where typeguard is not installed."""
    try:
        import typeguard  # noqa: F401  # 80 ms, for those who ask for it
    except ImportError:
        raise StageOptionError(
            "check_items=True needs typeguard, which is not installed.\n  Run: pip install 'chainpump[check]'"
        ) from None


class _Checked(ABC):
    """A function whose results are looked at; it has the name and place of the function. text: of the hint."""

    def __init__(self, function: Callable[..., Any], hint: Hint, text: str) -> None:
        update_wrapper(self, function, updated=())
        self._function = function
        self._hint = hint
        self._text = text

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and look at what it makes."""
        return self._looked_at(self._function(*args, **kwargs))

    @abstractmethod
    def _looked_at(self, made: Any) -> Any: ...

    def check(self, value: object, number: int | None = None) -> None:
        """Raise WrongItemError unless the value is of the type."""
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
    """Looks at what the function returns."""

    def _looked_at(self, made: Any) -> Any:
        if isinstance(made, Awaitable):
            return self._awaited(made)
        self.check(made)
        return made

    async def _awaited(self, made: Awaitable[Any]) -> Any:
        value = await made
        self.check(value)
        return value


class CheckedItems(_Checked):
    """Looks at each item of what the function returns or yields."""

    def _looked_at(self, made: Any) -> Any:
        if isinstance(made, AsyncIterable):
            return self._from_async(made)
        return self._awaited(made) if isinstance(made, Awaitable) else self._from(made)

    def _from(self, made: Iterable[Any]) -> Iterator[Any]:
        try:
            for number, item in enumerate(made):
                self.check(item, number)
                yield item
                # A stage that waits holds nothing of the item before.
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
