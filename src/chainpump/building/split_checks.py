"""Checks of a policy that splits batches: whether the items are batches, and whether their results can be joined."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import Any

from ..errors import StageTypeError
from ..hints.annotations import UNKNOWN, Hint
from ..hints.classes import as_base, item_of
from ..hints.display import show
from ..plan.operators import Map, Operator
from ..policies import splits
from .checked_function import text_unit

__all__ = ["check_split"]


def check_split(operator: Operator[Any, Any], name: str, after: Hint, after_name: str, result: Hint) -> None:
    """Raise StageTypeError if a policy is to split what is no batch, or results that cannot become one."""
    if not splits(operator.policy):
        return
    if not _is_batch(after):
        raise StageTypeError(
            f"stage {name!r}: split=True splits batches, but '{after_name}' yields {show(after)}.\n"
            "  Make batches before it, .batch(n), or leave out split=True."
        )
    if isinstance(operator, Map) and not (_is_batch(result) or result in (None, NoneType) or _is_of(result, Mapping)):
        raise StageTypeError(
            f"stage {name!r}: split=True joins the results for single items to one batch, but each is {show(result)}.\n"
            "  Let it return a list with one result for each item, or leave out split=True."
        )


def _is_batch(hint: Hint) -> bool:
    """Whether it may be a list, tuple or array."""
    if hint is UNKNOWN:
        return True
    if item_of(hint) is None or text_unit(hint) is not None:
        return False
    return not (_is_of(hint, Mapping) or _is_of(hint, AbstractSet))


def _is_of(hint: Hint, base: type) -> bool:
    return as_base(hint, base) is not None
