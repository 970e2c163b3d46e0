"""Results that are forgotten: a stage without `yield`, and `map` of a function that returns nothing."""

from __future__ import annotations

import inspect
import warnings
from types import NoneType

from ..hints.annotations import UNKNOWN, Hint
from ..messages.source_files import file_of, user_frame
from ..pickling.loading import is_in_worker
from ..plan.operators import Map
from ..plan.planned_stage import PlannedStage
from .checked_function import CheckedFunction, is_any
from .control_flow import returns_nothing
from .problems import is_collecting

__all__ = ["check_yields", "warn_of_none"]


def check_yields(function: CheckedFunction) -> None:
    """Check that what makes items is no function without `yield` that returns nothing."""
    if not returns_nothing(function.bound.function) or is_any(function.code, inspect.iscoroutinefunction):
        return
    short = function.short
    end = {"stage": f" At the end of a pipeline, write .into({short}).", "source": ""}
    effect = f" For its effect alone, write .tap({short}) or .each({short})."
    function.refuse(
        "makes no items: it has no `yield`, and returns nothing",
        f"Let it yield each item that it makes.{end.get(function.role, effect)}",
    )


def warn_of_none(last: PlannedStage, name: str, takes: Hint) -> None:
    """Warn once, at the line of the program, if a function gets the results of one that always returns None.

    name: of the later function. takes: the hint of its items; if both are known, they have been compared.
    """
    call = last.call
    if not isinstance(call, Map) or (last.yields is not UNKNOWN and takes is not UNKNOWN):
        return
    is_declared = last.yields is None or last.yields is NoneType
    if not (is_declared or returns_nothing(call.function)):
        return
    # A worker that imports the program builds the pipeline, too.
    if is_in_worker() or is_collecting():
        return
    short, frame = call.name, user_frame()
    warnings.warn_explicit(
        f"'{name}' gets only None: '{last.name}' before it returns nothing. Let it return its result, or pass the item "
        f"on: .tap({short}). At the end of a pipeline: .each({short}).",
        UserWarning,
        file_of(frame.f_code),
        frame.f_lineno,
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
