"""A function of one item that is checked. It may have no hints: what is unknown is not checked."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from functools import cached_property
from typing import NoReturn

from ..hints.annotations import UNKNOWN, Hint, is_unknown
from ..hints.assignability import fits
from ..hints.classes import Bindings, as_base, is_type, plain, split
from ..hints.display import show
from ..hints.objects import attribute
from ..hints.overloads import bound_to
from ..hints.reading import EMPTY
from ..lazy_dataclass import dataclass
from .checked_function import CheckedFunction, argument_of, is_any

__all__ = ["CheckedItemFunction", "CheckedPart"]


@dataclass(frozen=True)
class CheckedItemFunction(CheckedFunction):
    """A function of one item that is checked. It needs no hints: what is unknown is not checked."""

    # `returns=`: it overrides the annotation.
    returns: Hint = None

    @cached_property
    def result(self) -> Hint:
        """The hint of its result; on Tasks, of the awaited result. `returns=` overrides it."""
        if self.returns is None:
            declared = self._resolve(self.signature.return_annotation, "its result")
            is_awaited = self.awaits and not self.reading.is_async and as_base(declared, Awaitable) is not None
            return argument_of(declared, Awaitable) if is_awaited else declared
        if not is_type(self.returns):
            self.refuse(f"must have a type as returns= but got: {self.returns!r}", "For example returns=int.")
        return plain(self.returns)

    @property
    def narrowed(self) -> Hint:
        """The items that a filter keeps: those of the type that `TypeGuard` or `TypeIs` names, if that is narrower."""
        origin, args = split(self.result)
        if getattr(origin, "_name", None) not in ("TypeGuard", "TypeIs") or self.awaits:
            return self.after
        kept = bound_to(plain(args[0]), self.bindings() or {})
        return self.after if self.after is not UNKNOWN and fits(self.after, kept, {}) else kept

    def _resolve(self, annotation: object, what: str) -> Hint:
        return self.reading.known(annotation)

    def check_known(self, yields: Hint) -> None:
        """Check that the type of its result is known, and that its items fit."""
        takes, gives = (self.parameter.annotation, f"parameter '{self.parameter.name}'"), self._of_result
        for annotation, what in (takes, *gives):
            # This refuses hints that cannot be evaluated.
            super()._resolve(annotation, what)
        if takes[0] is EMPTY and self.is_own and not self._is_self and self.short != "<lambda>":
            self.refuse(
                "has no type hint for its item, and the pipeline is strict",
                f"Annotate it: its items are {show(self.after)}.",
            )
        super().check_known(yields)

    @property
    def _of_result(self) -> Sequence[tuple[object, str]]:
        return () if self.returns is not None else ((self.signature.return_annotation, "its result"),)

    @property
    def _is_self(self) -> bool:
        """Whether the item is the object of a method, which needs no hint: `.map(Page.text)`."""
        outer, _, _ = str(attribute(self.bound.function, "__qualname__")).rpartition(".")
        return self.parameter.name == "self" and bool(outer) and not outer.endswith("<locals>")

    def _to_know(self) -> str:
        naming = self._call(f"{self.short}, returns=...")
        return f"{super()._to_know()}, or name it: {naming}" if self.is_own else f"Name it: {naming}"

    def check_runs(self) -> None:
        """Check that it is no generator function: it would never run, since nothing iterates its result."""
        if is_any(self.code, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            self.refuse(
                "is a generator function, which would never run: nobody iterates what it returns",
                f"Use .flat_map({self.short}) for what it yields.",
            )

    @property
    def _label(self) -> str:
        return self._call(self.name)

    @property
    def _how(self) -> str:
        return f"itself: {self._call('function')}"

    def _call(self, argument: str) -> str:
        """The call that adds it, as text."""
        return f".{self.role}({argument})"

    def _accepts(self, after: Hint, takes: Hint, bindings: Bindings) -> bool:
        return is_unknown(after, takes) or fits(after, takes, bindings)

    @property
    def _takes_of_one(self) -> Hint:
        return self.takes

    def _to_take(self, have: str) -> str:
        return have

    def _refuse_parameters(self) -> NoReturn:
        self.refuse("has no parameter for an item", f"It is defined as {self._text()}.")

    def _refuse_arguments(self, problem: str) -> NoReturn:
        self.refuse(
            f"cannot be called with one item: {problem}",
            f"Bind the rest of its arguments: {self._call(f'functools.partial({self.short}, ...)')}.",
            f"It is defined as {self._text()}.",
        )


@dataclass(frozen=True)
class CheckedPart(CheckedItemFunction):
    """A function of one item that a generator stage of the library calls. option: `key=` if it is passed like that."""

    option: str = ""

    def _call(self, argument: str) -> str:
        return super()._call(f"{self.option}{argument}")

    def _refuse_async(self) -> NoReturn:
        self.refuse(
            "is async", "A stage of all items calls plain functions; on Tasks, .map() and the like run async ones."
        )
