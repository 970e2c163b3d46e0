"""Problems of a pipeline that is being built: they are collected, so that one error lists all of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from ..errors import PlanError
from ..lazy_dataclass import dataclass
from ..messages.source_files import user_line

__all__ = ["Found", "Problems", "collecting", "is_collecting"]


@dataclass(frozen=True, slots=True)
class Found:
    """A problem, and the line of the program that built the faulty part, as `file:line`."""

    error: PlanError
    where: str


_COLLECTED: ContextVar[list[Found] | None] = ContextVar("_COLLECTED", default=None)


class Problems:
    """The problems of one call. `with problems:` collects those of its block; `tell` raises them as one error."""

    def __init__(self) -> None:
        # Problems are compared by their texts: two checks may find the same one.
        self._found: dict[str, PlanError] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __enter__(self) -> None:
        """Collect what is found in the block, and go on after it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, PlanError):
            return False
        self._found.setdefault(str(error), error)
        return True

    def tell(self) -> None:
        """Raise the problems, if any, as an error of the class of the first one; under `collecting`, keep them."""
        if not self._found:
            return
        first, *others = self._found.values()
        collected = _COLLECTED.get()
        if collected is not None:
            # A problem of a stage may be found again at the stage after it.
            known = {str(each.error) for each in collected}
            collected += [Found(each, user_line()) for text, each in self._found.items() if text not in known]
        elif others:
            raise type(first)(*self._found) from first.__cause__
        else:
            raise first


@contextmanager
def collecting() -> Generator[list[Found]]:
    """Inside the block, pipelines are built whatever is wrong with them, and all problems are listed."""
    found: list[Found] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def is_collecting() -> bool:
    """Whether pipelines are built only to be checked: then none may start."""
    return _COLLECTED.get() is not None
