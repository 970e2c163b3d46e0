"""The stand-in for an exception that cannot be pickled, and the line by which an exception is told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..errors import RemoteError
from .names import text_of

__all__ = ["error_line", "stand_in"]


# Any: the attributes of a user's exception.
def stand_in(
    error: BaseException, traceback: str = "", attributes: Mapping[str, Any] = MappingProxyType({})
) -> RemoteError:
    """The stand-in for an exception; for a stand-in, itself."""
    if isinstance(error, RemoteError):
        return error
    kind = type(error)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return RemoteError(f"{prefix}{kind.__qualname__}", text_of(error), attributes, traceback)


def error_line(error: BaseException) -> str:
    """The type and the text of an exception: `ValueError: no date`. A stand-in is told as what it stands for."""
    return str(error) if isinstance(error, RemoteError) else f"{type(error).__name__}: {text_of(error)}"
