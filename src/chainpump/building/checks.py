"""The checks of a pipeline that is being built: each takes a bound function and returns the hint of its results.

They run nothing of the user's. What does not fit is a StageTypeError or StageOptionError, with a text that says what,
where both functions are, and what to do next.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import AsyncIterable

from ..errors import StageOptionError, StageTypeError
from ..hints.annotations import UNKNOWN, Hint, signature_of
from ..hints.classes import Bindings, item_of
from ..hints.objects import attribute, is_a, name_of
from ..hints.overloads import bound_to
from ..hints.reading import EMPTY
from ..pickling import functions
from ..plan.bound import Bound, Sink, Source
from ..plan.per_worker import PerWorker
from .checked_function import CheckedFunction, is_any, text_unit
from .checked_item_function import CheckedItemFunction
from .forgotten_results import check_yields
from .problems import Problems

__all__ = [
    "check_count",
    "check_each",
    "check_filter",
    "check_flag",
    "check_flat_map",
    "check_iterable",
    "check_map",
    "check_name",
    "check_sink",
    "check_source",
    "check_stage",
    "check_tap",
    "check_travels",
    "check_weight",
]


def check_source(bound: Bound, name: str, problems: Problems, awaits: bool = False) -> Hint:
    """The hint of the items of a source. awaits: it has to be an async generator function, as in all checks.

    What is wrong is noted; the hint is then what is known nevertheless, as in all checks.
    """
    function = CheckedFunction(bound, name, "source", awaits=awaits)
    if _is_callable(function, problems):
        with problems:
            check_yields(function)
            function.check_annotated()
            function.check_start()
            return bound_to(function.items(), _argument_bindings(function, {}, problems))
    return UNKNOWN


def check_stage(
    bound: Bound, name: str, after: Hint, after_name: str, after_where: str | None, problems: Problems
) -> Hint:
    """The hint of the items of a stage that follows items of the hint `after`."""
    if isinstance(bound, Sink):
        with problems:
            raise StageTypeError(f".then(...) takes a stage but got: {bound!r}.\n  A sink goes last: .into({bound!r}).")
        return UNKNOWN
    if not _is_of_items(bound, ".then", "a generator stage", problems):
        return UNKNOWN
    function = CheckedFunction(bound, name, "stage", after)
    if not _is_callable(function, problems):
        return UNKNOWN
    with problems:
        check_yields(function)
        function.check_annotated()
        bindings = _stream_bindings(function, after_name, after_where, problems)
        return bound_to(function.items(), bindings)
    return UNKNOWN


def check_sink(
    bound: Bound, name: str, after: Hint, after_name: str, after_where: str | None, problems: Problems
) -> Hint:
    """The hint of the value of a sink that follows items of the hint `after`."""
    if not _is_of_items(bound, ".into", "a sink", problems):
        return UNKNOWN
    function = CheckedFunction(bound, name, "sink", after)
    if not _is_callable(function, problems):
        return UNKNOWN
    with problems:
        if is_any(bound.function, inspect.isgeneratorfunction):
            function.refuse(
                "is a generator function, which would never run: nobody iterates what a sink returns",
                f"Make it a stage, .then({function.short}), or let it loop over its items and return a value.",
            )
        # A lambda cannot have hints. As a sink it is allowed, since no stage follows.
        if function.short != "<lambda>":
            function.check_annotated()
        bindings = _stream_bindings(function, after_name, after_where, problems)
        return bound_to(function.result, bindings)
    return UNKNOWN


def check_map(function: CheckedItemFunction, after_name: str, after_where: str | None, problems: Problems) -> Hint:
    """The hint of what a function of one item returns."""
    bindings = _bindings_of(function, after_name, after_where, problems)
    with problems:
        if is_any(function.code, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            function.refuse(
                "is a generator function, which returns a generator for each item",
                f"Use .flat_map({function.short}) for what it yields, "
                f"or .then({function.short}) if it takes all items.",
            )
        return bound_to(function.result, bindings)
    return UNKNOWN


def check_filter(function: CheckedItemFunction, after_name: str, after_where: str | None, problems: Problems) -> Hint:
    """The hint of the items that a filter keeps: the same, unless it declares that it narrows them."""
    _bindings_of(function, after_name, after_where, problems)
    with problems:
        function.check_runs()
        return function.narrowed
    return function.after


def check_flat_map(function: CheckedItemFunction, after_name: str, after_where: str | None, problems: Problems) -> Hint:
    """The hint of the items that a function of one item returns or yields."""
    bindings = _bindings_of(function, after_name, after_where, problems)
    with problems:
        check_yields(function)
        return UNKNOWN if function.result is UNKNOWN else bound_to(function.items(), bindings)
    return UNKNOWN


def check_tap(function: CheckedItemFunction, after_name: str, after_where: str | None, problems: Problems) -> Hint:
    """The hint of the items, which stay as they are."""
    _bindings_of(function, after_name, after_where, problems)
    with problems:
        function.check_runs()
    return function.after


def check_each(function: CheckedItemFunction, after_name: str, after_where: str | None, problems: Problems) -> Hint:
    """None: an `each` stage has no results."""
    check_tap(function, after_name, after_where, problems)
    return None


def _is_of_items(bound: Bound, method: str, what: str, problems: Problems) -> bool:
    """Whether this is a function of all items, and not a factory of a function of one."""
    with problems:
        if isinstance(bound, PerWorker):
            raise StageTypeError(
                f"{method}(...) takes {what} but got: {bound!r}.\n"
                f"  {what[0].upper()}{what[1:]} needs no factory: code before its loop runs once in each worker.\n"
                "  A function of one item, and a factory of it, go into"
                " .map(), .filter(), .flat_map(), .tap() or .each()."
            )
        return True
    return False


def _is_callable(function: CheckedFunction, problems: Problems) -> bool:
    """Whether it is a function that can take items. Its arguments are checked elsewhere."""
    with problems:
        function.check_callable()
        with problems:
            function.check_arguments()
        return True
    return False


def _stream_bindings(
    function: CheckedFunction, after_name: str, after_where: str | None, problems: Problems
) -> Bindings:
    """The bindings of type variables for a function of all items; raises if it does not take an iterator."""
    bindings = function.bindings()
    if bindings is None:
        function.check_takes_stream()
        with problems:
            function.refuse_junction(after_name, after_where)
    return _argument_bindings(function, bindings or {}, problems)


def _argument_bindings(function: CheckedFunction, bindings: Bindings, problems: Problems) -> Bindings:
    """The same with what the arguments say; problems of functions among them are collected."""
    with problems:
        function.check_functions(bindings)
    return bindings


def _bindings_of(
    function: CheckedItemFunction, after_name: str, after_where: str | None, problems: Problems
) -> Bindings:
    """The bindings of type variables for a function of one item that follows this stage."""
    bindings: Bindings | None = None
    if _is_callable(function, problems):
        with problems:
            bindings = function.bindings()
            if bindings is None:
                function.refuse_junction(after_name, after_where)
            function.check_functions(bindings)
    return bindings or {}


def check_iterable(value: object) -> Hint:
    """The hint of the items of `Pipeline(iterable)`; it does not look at any item.

    A str or bytes is refused: read item by item it is characters, which is nearly always a forgotten list.
    """
    kind = type(value)
    if isinstance(value, Bound):
        raise StageTypeError(
            f"Pipeline(...) begins with a source but got: {value!r}.\n  Write Pipeline(source({value.name}, ...))."
        )
    if (unit := text_unit(kind)) is not None:
        raise StageTypeError(
            f"Pipeline(...) would read this {kind.__name__} one {unit} at a time.\n"
            "  If it is one item, write Pipeline([value]); if that is meant, Pipeline(list(value))."
        )
    item = item_of(attribute(value, "__orig_class__") or kind)
    # The old protocol of iteration: `__getitem__` with indices from 0.
    if item is None and hasattr(kind, "__getitem__"):
        return UNKNOWN
    if item is None:
        name = name_of(value) if callable(value) else repr(value)
        raise StageTypeError(f"Pipeline(...) must be given an iterable but got: {name}.{_instead_of(value)}")
    return item


def _instead_of(value: object) -> str:
    if callable(value):
        return f"\n  A function that makes the items is a source: Pipeline(source({name_of(value)}, ...))."
    if isinstance(value, AsyncIterable):
        return "\n  An async generator function is a source: Pipeline(source(function, ...), on=Tasks())."
    return ""


def check_travels(bound: Bound, name: str) -> None:
    """Check that a function and its arguments can be pickled, as a worker process needs them."""
    bound = bound.for_workers
    if not (callable(bound.function) or isinstance(bound.function, Bound)):
        # It is no function, which is another problem.
        return
    try:
        functions.dumps(bound)
    except Exception as error:
        # Pickling calls `__reduce__` of any object, which may raise anything.
        place = f" ({bound.where})" if bound.where else ""
        raise StageTypeError(
            f"{type(bound).__name__.lower()} '{name}' cannot be sent to another process{place}:\n"
            f"  {_fault_of(bound)}.\n"
            "  Open it inside the function, so that each worker has its own, or run this on Threads."
        ) from error


def _fault_of(bound: Bound) -> str:
    if is_a(bound.function, PerWorker):
        return _fault_of(bound.function)
    inputs = () if isinstance(bound, (Source, PerWorker)) else (EMPTY,)
    call = signature_of(bound.function).bind_partial(*inputs, *bound.args, **bound.kwargs)
    for label, part in (("function", bound.function), *call.arguments.items()):
        try:
            functions.dumps(part)
        except Exception:
            # It may raise anything; `unpicklable_part` says which part it was.
            path = bound.name if part is bound.function else label
            text = functions.unpicklable_part(part, functions.dumps, name=path)
            return f"{'function' if part is bound.function else 'argument'} {text}"
    return functions.unpicklable_part(bound, functions.dumps)


def check_count(value: object, name: str, option: str, least: int | None = 1, advice: str = "") -> int:
    """Check an option that is an integer: returns the int or raises StageOptionError.

    least: the smallest one that is allowed; None if any is. advice: what else to do.
    """
    try:
        count = operator.index(value)  # type: ignore[arg-type]  # whether it has an index is the question
    except TypeError:
        count = None
    if count is None or isinstance(value, bool):
        need = "must be an int"
    elif least is not None and count < least:
        need = f"must be at least {least}"
    else:
        return count
    raise StageOptionError(f"stage {name!r}: {option} {need} but got: {value!r}." + (advice and f"\n  {advice}"))


def check_flag(value: object, what: str) -> None:
    """Check an option that is a bool: raises StageOptionError unless it is True or False."""
    if not isinstance(value, bool):
        raise StageOptionError(f"{what} must be True or False but got: {value!r}.")


def check_name(value: object) -> None:
    """Check the name of a stage: raises StageOptionError unless it is None or a text that is not empty."""
    if value is not None and not (isinstance(value, str) and value):
        raise StageOptionError(f"name must be a text but got: {value!r}.\n  Leave it out for the function's own name.")


def check_weight(value: object, name: str, option: str) -> None:
    """Check an option that is a weight: raises StageOptionError unless it is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise StageOptionError(f"stage {name!r}: {option} must be a number above 0 but got: {value!r}.")
