"""Items as messages show them: short, whatever their own `__repr__` does."""

from __future__ import annotations

import reprlib
from typing import Any

__all__ = ["short_repr"]


def short_repr(item: Any) -> str:
    """A short text of an item, whatever its own `__repr__` does."""
    try:
        return reprlib.repr(item)
    except Exception as error:
        # An error of the item's repr must not hide the failure that the text describes.
        return f"<its repr raised {type(error).__name__}>"
