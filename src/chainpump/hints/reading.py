"""One signature with which an object can be called: its parameters and its result, and what their hints mean."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Mapping
from typing import Any, Self

from ..lazy_dataclass import dataclass, field
from .annotations import UNKNOWN, Hint, UnresolvedHintError, resolve
from .classes import is_union, plain, split, substitute, union_of

__all__ = ["ANYTHING", "EMPTY", "POSITIONAL", "REST", "Reading", "Signed", "callable_hint", "parameter_of_items"]

Parameter = inspect.Parameter
EMPTY = Parameter.empty
POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.VAR_POSITIONAL)
REST = inspect.Signature(
    [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)],
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One signature with which an object can be called.

    signature: its annotations as written, where `scope` is defined. given: what type variables stand for already.
    is_async: whether its result has to be awaited for what it is annotated with. owner: what `Self` stands for.
    wrong: the first of its arguments that is not what is expected: its name, its hint, and what is expected.
    is_partly_known: whether it may be called in other ways, too.
    """

    signature: inspect.Signature
    scope: object
    given: Mapping[Any, Hint] = field(default_factory=dict)
    is_async: bool = False
    owner: Hint = UNKNOWN
    wrong: tuple[str, Hint, Hint] | None = None
    is_partly_known: bool = False

    def hint(self, annotation: object) -> Hint:
        """The meaning of one annotation. Raises UnresolvedHintError."""
        hint = resolve(annotation, self.scope)
        try:
            return plain(substitute(plain(self._with_owner(hint)), self.given))
        except Exception as error:
            # A hint is an object of the user, which may raise anything when it is inspected.
            raise UnresolvedHintError(f"It is no type hint: {error}") from error

    def _with_owner(self, hint: Hint) -> Hint:
        if hint is Self:
            return self.owner
        origin, args = split(hint)
        if Self not in args or self.owner is UNKNOWN:
            return hint
        known = tuple(self.owner if each is Self else each for each in args)
        return union_of(known) if is_union(hint) else origin[known]

    def known(self, annotation: object) -> Hint:
        """The same; unknown if it cannot be evaluated."""
        try:
            return self.hint(annotation)
        except UnresolvedHintError:
            return UNKNOWN

    @property
    def called(self) -> Hint:
        """The hint of the result of a call; for an async function, a coroutine."""
        result = self.known(self.signature.return_annotation)
        if not self.is_async:
            return result
        coroutine: Hint = Coroutine
        return coroutine[Any, Any, Any if result is UNKNOWN else result]

    def without_hints(self) -> Reading:
        """The same parameters without hints."""
        takes = [each.replace(annotation=UNKNOWN) for each in self.signature.parameters.values()]
        return Reading(self.signature.replace(parameters=takes, return_annotation=UNKNOWN), self.scope)


ANYTHING = Reading(REST, None).without_hints()


class Signed:
    """A signature in the place of a function, as `inspect` and the rules for hints expect one."""

    def __init__(self, signature: inspect.Signature) -> None:
        self.__signature__ = signature

    def __call__(self) -> None:
        """Is never called."""


def parameter_of_items(signature: inspect.Signature) -> Parameter | None:
    """The parameter that takes the items: the first positional one."""
    return next((each for each in signature.parameters.values() if each.kind in POSITIONAL), None)


def callable_hint(reading: Reading, name: str) -> Hint:
    """The hint of an object with this signature: a class with such a `__call__`."""
    takes = [each.replace(annotation=reading.known(each.annotation)) for each in reading.signature.parameters.values()]
    signed = Signed(reading.signature.replace(parameters=takes, return_annotation=reading.called))
    return type(name, (), {"__call__": staticmethod(signed), "__module__": "builtins"})
