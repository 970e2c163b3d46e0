"""Whether one type hint fits another: assignability, with type variables bound on the way.

It follows mypy where both sides are known, and leans to acceptance where one is not: a false alarm stops
somebody's work, a miss leaves it to the run. One rule for each kind of hint, tried in the order of `RULES`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import GenericAlias, NoneType
from typing import Literal, TypeAlias, TypeVar, TypeVarTuple, get_args

from .arrays import array_of, is_open_dtype, shapes_fit
from .classes import as_base, is_subclass
from .comparison import Asking, Comparison, Question, Verdict, all_of, value_key
from .forms import UNKNOWN, Bindings, Hint, is_new_type, is_union, limit_of, plain, split, union_of
from .structure import callables, protocols, typed_dicts
from .tuples import Items
from .unions import unions
from .variance import argument_questions

__all__ = ["compared", "fits"]

Rule: TypeAlias = Callable[[Hint, Hint, Bindings], Verdict]

# The numeric tower of PEP 484.
TOWER: Mapping[int, tuple[type, ...]] = {id(float): (int,), id(complex): (int, float)}
NOTHING = (typing.Never, typing.NoReturn)


def fits(given: Hint, expected: Hint, bindings: Bindings, comparison: Comparison | None = None) -> bool:
    """Whether a value of one hint can be used where another is expected.

    Type variables of `expected` are bound as they are met; `bindings` means something only after True.
    comparison: what is known from questions before.

    >>> from collections.abc import Iterable
    >>> from typing import AnyStr
    >>> found = {}
    >>> fits(list[str], Iterable[AnyStr], found), found
    (True, {~AnyStr: <class 'str'>})
    """
    return (comparison or compared()).answer(Question(given, expected, bindings))


def compared() -> Comparison:
    """Begin a comparison of two hints."""
    return Comparison(_judge)


def _judge(_: Comparison, question: Question) -> Asking:
    given, expected = plain(question.given), plain(question.expected)
    for rule in RULES:
        verdict = yield from rule(given, expected, question.bindings)
        if verdict is not None:
            return verdict
    # No rule knows this special form.
    return True


def _variables(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    if given is expected:
        return True
    if isinstance(expected, TypeVar):
        return (yield from _bind(given, expected, bindings))
    return (yield Question(limit_of(given), expected, bindings)) if isinstance(given, TypeVar) else None


def _bind(given: Hint, variable: TypeVar, bindings: Bindings) -> Asking:
    # 1. What is unknown once stays so. 2. Of several constraints one is chosen, and kept. 3. A bound holds
    # for every value. 4. A second value widens the first.
    known, limit = bindings.get(variable, given), limit_of(variable)
    if given is UNKNOWN or known is UNKNOWN:
        bindings[variable] = UNKNOWN
        return True
    if limit is not UNKNOWN and variable.__constraints__:
        for choice in (known,) if variable in bindings else variable.__constraints__:
            if (yield Question(given, choice, {})):
                bindings[variable] = choice
                return True
        return False
    if not (yield Question(given, limit, {})):
        return False
    if (yield Question(given, known, {})):
        bindings[variable] = known
    else:
        is_wider = yield Question(known, given, {})
        bindings[variable] = given if is_wider else union_of((known, given))
    return True


def _unknowns(given: Hint, expected: Hint, _: Bindings) -> Verdict:
    yield from ()
    if given is UNKNOWN or expected is UNKNOWN or expected is object or _is_one(given, NOTHING):
        return True
    return False if _is_one(expected, NOTHING) else None


def _is_one(hint: Hint, hints: Iterable[Hint]) -> bool:
    return any(hint is each for each in hints)


def _literals(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    if split(expected)[0] is Literal:
        # The literals 1 and True are equal in Python, but not the same.
        wanted = set(map(value_key, get_args(expected)))
        values = _values_of(given)
        return bool(values) and all(value_key(value) in wanted for value in values)
    if split(given)[0] is Literal:
        kinds = {id(type(value)): type(value) for value in get_args(given)}
        return (yield from all_of(Question(kind, expected, bindings) for kind in kinds.values()))
    return None


def _values_of(hint: Hint) -> tuple[object, ...]:
    """All values of a hint that has a few values: Literal, bool, enums."""
    if split(hint)[0] is Literal:
        return get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(hint)
    return (False, True) if hint is bool else (None,) if hint is NoneType else ()


def _new_types(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    if is_new_type(given):
        return (yield Question(given.__supertype__, expected, bindings))
    return False if is_new_type(expected) else None


def _classes_of_unions(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    """Rewrite `type[A | B]` as `type[A] | type[B]`."""
    wider = [_spread_class(each) for each in (given, expected)]
    if wider[0] is given and wider[1] is expected:
        return None
    return (yield Question(wider[0], wider[1], bindings))


def _spread_class(hint: Hint) -> Hint:
    origin, args = split(hint)
    if origin is not type or not args:
        return hint
    inner = plain(args[0])
    if isinstance(inner, TypeVar) or not is_union(inner):
        return hint
    return union_of(GenericAlias(type, (each,)) for each in get_args(inner))


def _tuples(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:  # noqa: PLR0911  # a case for each kind of hint
    if split(expected)[0] is not tuple or expected is tuple:
        return None
    view = as_base(given, tuple)
    if view is None or view is tuple:
        return view is tuple
    have, want = Items.of(get_args(view)), Items.of(get_args(expected))
    if any(plain(each) is UNKNOWN or isinstance(each, TypeVarTuple) for each in have.middle):
        return True
    # Without a middle, the last items are part of the first ones.
    if not have.middle:
        at = max(len(have.first) - len(want.last), 0)
        have = Items(have.first[:at], (), have.first[at:])
    first, last = len(want.first), len(have.last) - len(want.last)
    between = have.first[first:] + have.middle + have.last[: max(last, 0)]
    if len(have.first) < first or last < 0 or (between and not want.middle):
        return False
    ends = (*zip(have.first, want.first, strict=False), *zip(have.last[last:], want.last, strict=True))
    if not (yield from all_of(Question(one, other, bindings) for one, other in ends)):
        return False
    middle = want.middle[0] if want.middle else None
    if isinstance(middle, TypeVarTuple):
        return (yield from _bind_many(between, middle, bindings))
    return (yield from all_of(Question(each, middle, bindings) for each in between))


def _bind_many(items: tuple[Hint, ...], variable: TypeVarTuple, bindings: Bindings) -> Asking:
    """Bind a TypeVarTuple: it means the same items everywhere."""
    found = GenericAlias(tuple, items)
    if variable in bindings:
        return (yield Question(found, bindings[variable], {}))
    bindings[variable] = found
    return True


def _arrays(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    if is_open_dtype(given, expected):
        return True
    have, want = array_of(given), array_of(expected)
    if have is None and want is None:
        return None
    if not (yield Question(have or given, want or expected, bindings)):
        return False
    return have is None or want is None or shapes_fit(given, expected)


def _classes(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    origin, base = split(given)[0], split(expected)[0]
    if not isinstance(origin, type) or not isinstance(base, type):
        return None
    if any(is_subclass(origin, each) for each in TOWER.get(id(base), ())):
        return True
    view = as_base(given, base)
    if view is None:
        return False
    return (yield from all_of(question for _, question in (yield from argument_questions(view, expected, bindings))))


RULES: tuple[Rule, ...] = (
    _variables,
    _unknowns,
    _classes_of_unions,
    unions,
    _literals,
    _new_types,
    _arrays,
    callables,
    _tuples,
    typed_dicts,
    protocols,
    _classes,
)
