"""Problems of a pipeline that is being built: gathered first, so that one error tells all that is known by then."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from ..errors import PlanError
from ..lazy_dataclass import dataclass
from ..messages.source_files import PACKAGE, file_of

__all__ = ["Found", "Problems", "collecting", "is_collecting"]


@dataclass(frozen=True, slots=True)
class Found:
    """A problem, and the line of the program that built what it is about: `file:line`."""

    error: PlanError
    where: str


_COLLECTED: ContextVar[list[Found] | None] = ContextVar("_COLLECTED", default=None)


class Problems:
    """Those of one call. `with problems:` gathers what its block finds, and goes on; `tell` raises all of it as one."""

    def __init__(self) -> None:
        self._found: dict[str, PlanError] = {}  # by its text: two checks may come to the same

    def __bool__(self) -> bool:
        return bool(self._found)

    def __enter__(self) -> None:
        """Gather what is found in the block, and go on behind it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, PlanError):
            return False
        self._found.setdefault(str(error), error)
        return True

    def tell(self) -> None:
        """Raise what was found, if anything was, as an error of the first one's class; under `collecting`, keep it."""
        if not self._found:
            return
        first, *others = self._found.values()
        collected = _COLLECTED.get()
        if collected is not None:
            known = {str(each.error) for each in collected}  # what is wrong with a stage may be found again behind it
            collected += [Found(each, _user_line()) for text, each in self._found.items() if text not in known]
        elif others:
            raise type(first)(*self._found) from first.__cause__
        else:
            raise first


@contextmanager
def collecting() -> Generator[list[Found]]:
    """Meanwhile, pipelines are built whatever is wrong with them, and all of that is listed."""
    found: list[Found] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def is_collecting() -> bool:
    """Whether pipelines are built only to be looked at: then none may start."""
    return _COLLECTED.get() is not None


def _user_line() -> str:
    """The line of the program that is being executed: the innermost frame outside this package."""
    frame = sys._getframe()  # noqa: SLF001  # what `inspect.currentframe` calls
    while frame.f_back is not None and frame.f_code.co_filename.startswith((PACKAGE, "<")):
        frame = frame.f_back
    return f"{file_of(frame.f_code)}:{frame.f_lineno}"
