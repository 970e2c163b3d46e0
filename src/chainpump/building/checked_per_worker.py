"""A factory that is checked, and the function of one item that it makes, as far as hints tell of it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import cached_property
from typing import NoReturn

from ..hints.annotations import UNKNOWN, Hint, is_unknown
from ..hints.class_members import call_ways
from ..hints.classes import Bindings, annotations_of, as_base, is_union, split, substitute
from ..hints.display import show
from ..hints.objects import attribute
from ..hints.reading import Reading
from ..lazy_dataclass import dataclass
from .checked_function import CheckedFunction, argument_of, is_any
from .checked_item_function import CheckedItemFunction

__all__ = ["CheckedPerWorker"]

# The decorators that make context managers of generator functions.
DECORATORS: Mapping[Callable[[object], bool], str] = {
    inspect.isgeneratorfunction: "contextmanager",
    inspect.isasyncgenfunction: "asynccontextmanager",
}


@dataclass(frozen=True)
class CheckedFactory(CheckedFunction):
    """A factory that is checked. verb: the method that it is passed to."""

    verb: str = "map"

    def check_callable(self) -> None:
        """Check that this executor can call it with its arguments."""
        if not callable(self.bound.function):
            self.refuse(f"must be a function but got: {self.bound.function!r}", f"Give the function {self._how}.")
        for test, decorator in DECORATORS.items():
            if is_any(self.bound.function, test):
                self.refuse("is a generator function", f"Decorate it with contextlib.{decorator}.")
        if is_any(self.bound.function, inspect.iscoroutinefunction) and not self.awaits:
            self.refuse("is async", "Async factories run on Tasks: on=Tasks(100).")
        self.check_arguments()

    @cached_property
    def makes(self) -> Hint:
        """The hint of the function that it makes. Raises StageTypeError if it cannot be called, or makes none."""
        self.check_callable()
        bindings: Bindings = {}
        self.check_functions(bindings)
        made = substitute(self.result, bindings)
        entered = self._entered(made)
        if _cannot_be_called(entered):
            through = "" if entered is made else f", which gives {show(entered)}"
            self.refuse(
                f"returns {show(made)}{through}, which cannot be called with an item",
                f"It makes the function of one item, once in each worker; {self._if_it_is_the_function}",
            )
        return entered

    def _entered(self, made: Hint) -> Hint:
        """The hint of what a worker uses, in the order in which it awaits and enters what the factory returns."""
        # Members of a union may be entered in different ways.
        if is_unknown(made) or is_union(made):
            return UNKNOWN
        is_async_manager = as_base(made, AbstractAsyncContextManager) is not None
        if as_base(made, Awaitable) is not None and not is_async_manager and not self.reading.is_async:
            made = self._of_loop(made, argument_of(made, Awaitable))
        for manager in (AbstractAsyncContextManager, AbstractContextManager):
            if not is_unknown(made) and as_base(made, manager) is not None:
                entered = argument_of(made, manager)
                return self._of_loop(made, entered) if manager is AbstractAsyncContextManager else entered
        return made

    def _of_loop(self, made: Hint, result: Hint) -> Hint:
        if not self.awaits:
            self.refuse(f"returns {show(made)}, which only an event loop can await or enter", "Run it on Tasks.")
        return result

    @property
    def _if_it_is_the_function(self) -> str:
        return f"if '{self.short}' is that function, pass it as it is: .{self.verb}({self.short})."

    def _refuse_arguments(self, problem: str) -> NoReturn:
        if "missing" in problem and not (self.bound.args or self.bound.kwargs):
            self.refuse(
                f"cannot be called without arguments: {problem}",
                f"Arguments of the factory come after it: per_worker({self.short}, ...).",
                f"The factory makes the function of one item; {self._if_it_is_the_function}",
            )
        super()._refuse_arguments(problem)

    @property
    def _inputs(self) -> Sequence[object]:
        return ()

    @property
    def _label(self) -> str:
        return f"per_worker({self.short})"


def _cannot_be_called(hint: Hint) -> bool:
    """Whether it is known that objects of a hint cannot be called."""
    cls = split(hint)[0]
    if is_unknown(hint) or call_ways(hint) or not (hint is None or isinstance(cls, type)):
        return False
    return hint is None or not any("__call__" in (*vars(base), *annotations_of(base)) for base in cls.__mro__)


@dataclass(frozen=True)
class CheckedPerWorker(CheckedItemFunction):
    """The function of one item that a factory makes in each worker."""

    @cached_property
    def factory(self) -> CheckedFactory:
        """The factory."""
        return CheckedFactory(self.bound.function, self.name, "per_worker", awaits=self.awaits, verb=self.role)

    @cached_property
    def _ways(self) -> Sequence[Reading]:
        makes = self.factory.makes
        return () if is_unknown(makes) else [Reading(each, None) for each in call_ways(makes)]

    @property
    def code(self) -> object:
        """The method that runs when an object of the class that it makes is called."""
        return attribute(split(self.factory.makes)[0], "__call__")

    @cached_property
    def is_own(self) -> bool:
        """Whether the author of the program can change the factory."""
        return self.factory.is_own

    def check_callable(self) -> None:
        """Check the factory, and that what it makes takes an item and is async where it has to be."""
        result = self.reading.called
        if not is_unknown(result):
            is_async = any(as_base(result, kind) is not None for kind in (Awaitable, AsyncIterable))
            if is_async and not self.awaits:
                self.refuse("makes an async function", "Async functions run on Tasks: on=Tasks(100).")
            if self.awaits and not is_async:
                self.refuse(
                    "makes a function that is not async, and Tasks runs async functions",
                    "Run it on Threads, or let it make an async function.",
                )
        _ = self.parameter

    @property
    def _taking(self) -> str:
        # The parameters of a Callable have no names.
        return super()._taking if self.parameter.name.isidentifier() and self.parameter.name[0] != "_" else "its item"

    def _refuse_parameters(self) -> NoReturn:
        self.refuse("makes a function that has no parameter for an item", f"Its signature is {self.signature}.")

    def _refuse_arguments(self, problem: str) -> NoReturn:
        self.refuse(
            f"makes a function that cannot be called with one item: {problem}", f"Its signature is {self.signature}."
        )
