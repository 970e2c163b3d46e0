"""The variance of generic classes: which type arguments may be narrower than expected, and which wider."""

from __future__ import annotations

import collections
import queue
import re
import typing
from collections import abc
from collections.abc import Callable, Generator, Sequence
from types import GenericAlias
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, get_args, get_origin

from .classes import as_base, bases_of, parameters_of, split
from .comparison import Question, exactly
from .forms import Bindings, Hint, bindings_of, by_identity, substitute
from .structure import structurally
from .tuples import Items
from .typeshed import declared

__all__ = ["argument_questions"]

# Mutable types are invariant; every other built-in generic is covariant. The key of Mapping is covariant here,
# unlike in typeshed: reading is safe.
INVARIANT = by_identity(
    list,
    dict,
    set,
    collections.deque,
    collections.OrderedDict,
    collections.defaultdict,
    collections.Counter,
    collections.ChainMap,
    collections.UserDict,
    collections.UserList,
    abc.MutableSequence,
    abc.MutableSet,
    abc.MutableMapping,
    queue.Queue,
    re.Pattern,
    re.Match,
    typing.IO,
)
# These classes are contravariant in the second argument.
SENT = by_identity(abc.Generator, abc.AsyncGenerator, abc.Coroutine)


def argument_questions(
    view: Hint, expected: Hint, bindings: Bindings
) -> Generator[Question, bool, Sequence[tuple[int, Question]]]:
    """The questions about the arguments of two hints of one generic class, by variance, with the index of each."""
    base, wanted = split(expected)
    have = split(view)[1]
    parameters = parameters_of(base)
    # `Array[()]` has no arguments either.
    is_given = [get_origin(each) is not None for each in (view, expected)]
    if any(isinstance(each, TypeVarTuple) for each in parameters) and all(is_given):
        given, sought = bindings_of(parameters, have), bindings_of(parameters, wanted)
        have, wanted = (tuple(map(found.__getitem__, parameters)) for found in (given, sought))
    questions: list[tuple[int, Question]] = []
    for place, (one, other) in enumerate(zip(have, wanted, strict=False)):
        variable = parameters[place] if place < len(parameters) else None
        if isinstance(variable, ParamSpec):
            one, other = _callable_of(one), _callable_of(other)  # noqa: PLW2901  # what can be called with it
        covariant, contravariant = yield from _variance_of(base, place)
        is_covariant = covariant or (isinstance(variable, TypeVarTuple) and bool(Items.of(get_args(other)).middle))
        if contravariant and not covariant:
            question = Question(substitute(other, bindings), one, {})
        else:
            question = Question(one, other, bindings, None if is_covariant else exactly)
        questions.append((place, question))
    return questions


def _callable_of(takes: Hint) -> Hint:
    """A Callable with the parameters that are the argument of a ParamSpec."""
    return Callable[list(takes) if isinstance(takes, (list, tuple)) else ... if takes is Any else takes, Any]  # pyright: ignore[reportInvalidTypeForm]


def _variance_of(base: type, index: int) -> Generator[Question, bool, tuple[bool, bool]]:
    """Whether a class is covariant, and whether it is contravariant, in one of its type variables."""
    variable = dict(enumerate(parameters_of(base))).get(index)
    if index == 1 and id(base) in SENT:
        return False, True
    if getattr(variable, "__infer_variance__", False) is True:
        return (yield from _inferred(base, index))
    if isinstance(variable, TypeVar) and declared(base) is None:
        return variable.__covariant__, variable.__contravariant__
    return variable is None and id(base) not in INVARIANT, False


class _Upper:
    """The wider type of the two that test the variance."""


class _Lower(_Upper):
    """The narrower type of the two that test the variance."""


def _inferred(base: type, index: int) -> Generator[Question, bool, tuple[bool, bool]]:
    """The variance by PEP 695: whether the class of the narrower type fits that of the wider one, and the reverse."""
    count = len(parameters_of(base))

    def of(hint: Hint) -> Hint:
        return GenericAlias(base, tuple(hint if place == index else Any for place in range(count)))

    narrow, wide = of(_Lower), of(_Upper)
    covariant = yield from _stands(narrow, wide, base)
    contravariant = yield from _stands(wide, narrow, base)
    return covariant, contravariant


def _stands(one: Hint, other: Hint, base: type) -> Generator[Question, bool, bool]:
    if not (yield Question(one, other, {}, structurally, grows=True)):
        return False
    for each in bases_of(base):
        parent = split(each)[0]
        if not (yield Question(as_base(one, parent), as_base(other, parent), {})):
            return False
    return True
