"""A bound function that is checked: what it takes and returns, and the errors that refuse it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NoReturn, get_args

from ..errors import StageTypeError
from ..hints.annotations import UNKNOWN, Hint, UnresolvedHintError
from ..hints.assignability import fits
from ..hints.callables import readings_of
from ..hints.classes import Bindings, as_base, item_of, plain
from ..hints.display import difference, show
from ..hints.forms import without_none
from ..hints.objects import attribute, is_a, underlying
from ..hints.overloads import chosen
from ..hints.ownership import is_own, is_own_file
from ..hints.reading import ANYTHING, EMPTY, POSITIONAL, Reading, parameter_of_items
from ..lazy_dataclass import dataclass
from ..plan.bound import Bound
from ..plan.start_number import Start
from .bound_arguments import bind_arguments

__all__ = ["CheckedFunction", "argument_of", "is_any", "show_annotation", "text_unit"]

# What iterating a text gives: probably not what the user means.
TEXTS: Mapping[type, str] = {str: "character", bytes: "byte", bytearray: "byte"}


def text_unit(hint: Hint) -> str | None:
    """What iterating a text type gives; None for other hints, which may not be hashable."""
    return next((unit for kind, unit in TEXTS.items() if kind is hint), None)


def is_any(function: object, *tests: Callable[[object], bool]) -> bool:
    """Whether a function, or the method that runs when an object is called, is of one of some kinds.

    It does not look into a decorated function, whose decorator may have made another kind of it.
    """
    candidates = (function, attribute(type(function), "__call__"))
    try:
        return any(test(each) for test in tests for each in candidates)
    except Exception:
        # The `__class__` of an object may raise anything.
        return False


class _Text(str):
    """An annotation that `str(signature)` prints as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class CheckedFunction:
    """One bound function that is checked, with the hint of the items that it receives."""

    bound: Bound
    name: str
    role: str
    after: Hint = UNKNOWN
    awaits: bool = False

    @property
    def short(self) -> str:
        """The name of the function itself."""
        return self.bound.name

    @property
    def place(self) -> str:
        """Where it is defined, in brackets; empty if that is not known."""
        return f" ({self.bound.where})" if self.bound.where else ""

    @cached_property
    def reading(self) -> Reading:
        """The signature that is used; if there are several, the overload that fits."""
        ways = self._ways or (ANYTHING,)
        return chosen([each for each in ways if self._problem_of(each) is None] or ways[:1], self.after, self._accepts)

    @cached_property
    def _ways(self) -> Sequence[Reading]:
        """All signatures of the function."""
        return readings_of(self.bound.function)

    @property
    def code(self) -> object:
        """What is called: a generator function is told by it."""
        return self.bound.function

    @property
    def signature(self) -> inspect.Signature:
        """Its signature, annotations as written."""
        return self.reading.signature

    @cached_property
    def is_own(self) -> bool:
        """Whether the author of the program can change it."""
        return is_own(self.bound.function)

    @cached_property
    def parameter(self) -> inspect.Parameter:
        """The parameter that takes the items."""
        found = parameter_of_items(self.signature)
        if found is None:
            self._refuse_parameters()
        return found

    def _refuse_parameters(self) -> NoReturn:
        self.refuse("has no parameter for its items", f"Its first parameter takes them all: {self._text(first=True)}")

    @cached_property
    def takes(self) -> Hint:
        """The hint of the parameter that takes the items."""
        return self._resolve(self.parameter.annotation, f"parameter '{self.parameter.name}'")

    @cached_property
    def result(self) -> Hint:
        """The hint of what it returns."""
        return self._resolve(self.signature.return_annotation, "its result")

    def refuse(self, what: str, *advice: str) -> NoReturn:
        """Raise StageTypeError: what is wrong with the function, where it is, and what to do."""
        raise StageTypeError("\n  ".join((f"{self._label} {what}{self.place}.", *advice))) from None

    def _resolve(self, annotation: object, what: str) -> Hint:
        try:
            return self.reading.hint(annotation)
        except UnresolvedHintError as error:
            # The user cannot change a function of a library.
            if not self.is_own:
                return UNKNOWN
            self.refuse(f"has a hint that cannot be read: {show_annotation(annotation)} of {what}", str(error))

    def check_callable(self) -> None:
        """Check that it is a function that takes items, and that it is async where it has to be."""
        function, role = self.bound.function, self.role
        if not callable(function):
            self.refuse(
                f"must be a function but got: {function!r}",
                f"Give the function {self._how}.",
            )
        is_async = is_any(function, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if is_async and not self.awaits:
            self._refuse_async()
        if self.awaits and not is_async and not self._may_be_awaited():
            self.refuse("is not async, and Tasks runs async functions", "Run it on Threads, or make it an `async def`.")
        if role != "source":
            _ = self.parameter

    def _may_be_awaited(self) -> bool:
        """Whether the result of a function that is not async itself may be awaitable."""
        function, inner = self.bound.function, underlying(self.bound.function)
        is_known = inspect.isfunction(inner) or inspect.isbuiltin(function)
        if not is_known or self.short == "<lambda>" or is_any(inner, inspect.iscoroutinefunction):
            return True
        result = self.reading.called
        return any(as_base(result, kind) is not None for kind in (Awaitable, AsyncIterable))

    def check_arguments(self) -> None:
        """Check that it can be called with its arguments."""
        problem = self._problem_of(self.reading)
        if problem is not None:
            self._refuse_arguments(problem)

    def _problem_of(self, way: Reading) -> str | None:
        """Why it cannot be called with its arguments, in the words of Python."""
        try:
            way.signature.bind(*self._inputs, *self.bound.args, **self.bound.kwargs)
        except TypeError as error:
            return str(error)
        return None

    @property
    def _inputs(self) -> Sequence[object]:
        return () if self.role == "source" else (EMPTY,)

    def _refuse_async(self) -> NoReturn:
        if self.role in ("stage", "sink"):
            self.refuse(
                "is async",
                f"A {self.role} of all items is a plain function; on Tasks, .map() and the like run async ones.",
            )
        if self.role == "source":
            self.refuse("is async", f"It runs in an event loop: Pipeline(source({self.short}, ...), on=Tasks()).")
        self.refuse("is async", "Async functions run on Tasks: on=Tasks(100).")

    def _refuse_arguments(self, problem: str) -> NoReturn:
        names = list(self.signature.parameters)
        strange = [key for key in self.bound.kwargs if key not in names]
        shape = f"It is defined as {self._text()}."
        if strange and ("unexpected" in problem or "missing" in problem):
            close = get_close_matches(strange[0], names, 1)
            self.refuse(f"has no parameter '{strange[0]}'", *(f"Did you mean '{each}'?" for each in close), shape)
        given = "its items and its arguments" if self._inputs else "its arguments"
        self.refuse(
            f"cannot be called with {given}: {problem}",
            f"Arguments are bound next to the function: {self.role}({self.short}, ...).",
            shape,
        )

    def check_known(self, yields: Hint) -> None:
        """Check that the type of its result is known, as strict pipelines require."""
        if yields is UNKNOWN:
            self.refuse("yields what nobody knows, and the pipeline is strict", f"{self._to_know()}.")

    def _to_know(self) -> str:
        """What the user can do so that the type of the result is known."""
        if not self.is_own:
            return f"Call it in a {self.role} of your own, which is annotated"
        wrapper = self.bound.function
        is_decorated = attribute(wrapper, "__wrapped__") is not None and self.signature.return_annotation is UNKNOWN
        return "Annotate its decorator, which hides its hints" if is_decorated else "Annotate its result"

    def check_annotated(self) -> None:
        """Check that the function declares what it takes and returns; functions of libraries need not."""
        if not self.is_own:
            return
        takes = self.role != "source" and self.parameter.annotation is EMPTY
        gives = self.role != "sink" and self.signature.return_annotation is EMPTY
        if takes or gives:
            what = " and ".join(["what it takes"] * takes + ["what it yields"] * gives)
            self.refuse(
                f"has no type hint for {what}",
                "Annotate it, so that its neighbours can be checked (from collections.abc):",
                f"  def {self._text(first=takes, result=gives)}:",
            )

    def check_start(self) -> None:
        """Check that a parameter for the number of the first item begins at 0, if nothing is given."""
        try:
            given = self.signature.bind_partial(*self.bound.args, **self.bound.kwargs).arguments
        except TypeError:
            # `check_arguments` reports that.
            return
        for name, parameter in self.signature.parameters.items():
            if name in given:
                continue
            starts = self.reading.known(parameter.annotation) is Start or is_a(parameter.default, Start)
            if starts and not (is_a(parameter.default, Start) and parameter.default == 0):
                self.refuse(
                    f"takes the number of its first item by '{name}', and does not begin at item 0 without it",
                    f"Write the default: def {self.short}(..., {name}: Start = Start(0)).",
                )

    def items(self) -> Hint:
        """The hint of the items of the function's result."""
        result = self.result
        if self.awaits and as_base(result, AsyncIterable):
            return argument_of(result, AsyncIterable)
        if as_base(result, AsyncIterable) or as_base(result, Awaitable):
            self._refuse_async()
        item = item_of(result)
        if item is None and is_any(self.code, inspect.isgeneratorfunction):
            self.refuse(
                f"yields, but says that it returns {show(result)}",
                f"A generator is annotated with what iterating it gives: -> Iterator[{show(result)}].",
            )
        stream = without_none(result)
        if item is None and stream is not result and item_of(stream) is not None:
            self.refuse(
                f"returns an optional stream, {show(result)}, and None cannot be iterated",
                f"Let it yield nothing instead of returning None: def {self.short}(...) -> {show(stream)}.",
            )
        if item is None or text_unit(result) is not None:
            how = "cannot be iterated" if item is None else f"would be sent one {text_unit(result)} at a time"
            self.refuse(f"returns {show(result)}, which {how}", *self._to_yield_instead())
        return item

    def check_takes_stream(self) -> None:
        """Check that the first parameter takes the items as an iterator: not one item, and not a list of them."""
        if fits(Iterator[Any], self.takes, {}):
            return
        item, shown = item_of(self.takes), show(self.takes)
        what = f"takes {shown} (parameter '{self.parameter.name}'), but is given an iterator over all items"
        if item is None or text_unit(self.takes) is not None or self._fits_one_item():
            self.refuse(what, *self._loop_to_write())
        self.refuse(what, f"Annotate it as Iterable[{show(item)}]; if it needs all items at once, list(...) them.")

    def _fits_one_item(self) -> bool:
        return self.after is not UNKNOWN and fits(self.after, self.takes, {})

    def _to_yield_instead(self) -> tuple[str, ...]:
        if self.role == "stage" and self._fits_one_item():
            return self._loop_to_write()
        return (f"Let it yield what it makes: def {self.short}(...) -> Iterator[{show(self.result)}].",)

    def _loop_to_write(self) -> tuple[str, ...]:
        is_sink = self.role == "sink"
        returns = "None" if is_sink else f"Iterator[{show(self.result)}]"
        return (
            f"A {self.role} takes all items; around a function of one item, write a loop:",
            f"  def {self.short}_all(items: Iterable[{show(self.takes)}]) -> {returns}:",
            "      for item in items:",
            f"          {'' if is_sink else 'yield '}{self.short}(item)",
        )

    def bindings(self) -> Bindings | None:
        """The bindings of type variables if the items of the stage before fit."""
        bindings: Bindings = {}
        return bindings if self._accepts(self.after, self.takes, bindings) else None

    def check_functions(self, bindings: Bindings) -> None:
        """Check the functions among its arguments; `bindings` gets what arguments say of type variables."""
        wrong = bind_arguments(self.reading, self._inputs, self.bound, bindings)
        if wrong is not None:
            name, have, want = wrong
            differ = filter(None, [difference(have, want)])
            self.refuse(f"is given {show(have)} as '{name}', and expects {show(want)}", *differ)

    def refuse_junction(self, after_name: str, after_where: str | None) -> NoReturn:
        """Raise StageTypeError: the function cannot follow the stage before."""
        expected = self._takes_of_one
        full = show(self.after) == show(expected)
        have, want = show(self.after, full=full), show(expected, full=full)
        here = ", ".join(filter(None, (self._taking, self.bound.where)))
        rows = (
            (f"'{after_name}' yields", have, f"({after_where})" if after_where else ""),
            (f"'{self.name}' expects", want, f"({here})"),
        )
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines = (f"{what:{first}}   {hint:{second}}  {where}".rstrip() for what, hint, where in rows)
        can_change = after_where is not None and is_own_file(after_where)
        ways = [f"let '{self.name}' take {self._to_take(have)}"] * self.is_own
        ways += [f"let '{after_name}' yield {want}"] * can_change
        advice = ", ".join((*ways, "or put a stage between them." if ways else "put a stage between them."))
        advice = advice[0].upper() + advice[1:]
        differ = filter(None, [difference(self.after, expected)])
        raise StageTypeError("\n  ".join((f"{self._label} cannot follow '{after_name}':", *lines, *differ, advice)))

    @property
    def _label(self) -> str:
        return f"{self.role} '{self.name}'"

    @property
    def _taking(self) -> str:
        return f"parameter '{self.parameter.name}'"

    @property
    def _how(self) -> str:
        function = self.bound.function
        name = self.short if inspect.isgenerator(function) or inspect.isasyncgen(function) else "function"
        return f"and its arguments, without calling it: {self.role}({name}, argument)"

    def _accepts(self, after: Hint, takes: Hint, bindings: Bindings) -> bool:
        """Whether a function with this parameter may follow items of this hint."""
        given: Hint = Iterator
        return self.role == "source" or fits(given[Any if after is UNKNOWN else after], takes, bindings)

    @property
    def _takes_of_one(self) -> Hint:
        return item_of(self.takes)

    def _to_take(self, have: str) -> str:
        return f"Iterable[{have}]"

    def _text(self, *, first: bool = False, result: bool = False) -> str:
        """The signature as text, with a suggested hint for its items, or its result, where one is missing."""
        signature = self.signature
        parameters = [
            each.replace(annotation=show_annotation(each.annotation)) for each in signature.parameters.values()
        ]
        if first:
            items = inspect.Parameter("items", POSITIONAL[1])
            known = "..." if self.after is UNKNOWN else show(self.after)
            at = next((n for n, each in enumerate(parameters) if each.kind in POSITIONAL), None)
            taking = (items if at is None else parameters[at]).replace(annotation=_Text(f"Iterable[{known}]"))
            parameters[slice(0, 0) if at is None else slice(at, at + 1)] = [taking]
        returns = (
            _Text("AsyncIterator[...]" if self.awaits else "Iterator[...]")
            if result
            else show_annotation(signature.return_annotation)
        )
        name = "stage" if self.short == "<lambda>" else self.short
        return f"{name}{signature.replace(parameters=parameters, return_annotation=returns)}"


# A text, or `inspect.Parameter.empty` for a missing annotation.
def show_annotation(annotation: object) -> Any:
    """An annotation as it was written."""
    if annotation is UNKNOWN or annotation is EMPTY:
        return EMPTY
    return _Text(annotation if isinstance(annotation, str) else show(annotation))


def argument_of(hint: Hint, base: type) -> Hint:
    """The type argument of a generic class in a hint; unknown if there is none."""
    return plain((*get_args(as_base(hint, base)), UNKNOWN)[0])
