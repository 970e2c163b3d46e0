"""Whether one type hint fits another: assignability, with type variables bound on the way.

It follows mypy where both sides are known, and leans to acceptance where one is not: a false alarm stops
somebody's work, a miss leaves it to the run. One rule for each kind of hint, tried in the order of `RULES`.
"""

from __future__ import annotations

import collections
import inspect
import typing
from collections import abc
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from enum import Enum
from types import NoneType
from typing import Literal, NewType, TypeAlias, TypeVar, get_args

from .arrays import array_of, is_open_dtype, shapes_fit
from .hints import (
    UNKNOWN,
    Bindings,
    Hint,
    as_base,
    bases_of,
    is_subclass,
    is_union,
    limit_of,
    parameters_of,
    plain,
    split,
    substitute,
    union_of,
)
from .members import (
    Field,
    Member,
    answers_any,
    call_signature,
    is_protocol,
    member_of,
    members,
    protocol_members,
    sets,
    typed_fields,
)
from .signatures import parameter_pairs
from .tuples import Items

__all__ = ["argument_fits", "fits"]

Rule: TypeAlias = Callable[[Hint, Hint, Bindings], bool | None]  # None: not this rule's business

TOWER: Mapping[object, tuple[type, ...]] = {
    float: (int,),
    complex: (int, float),
}  # as in PEP 484

# What can be written to is invariant; every other built-in generic is covariant. Mapping's key is covariant
# here, unlike in typeshed: whoever only reads it is safe.
INVARIANT = frozenset(
    {
        list,
        dict,
        set,
        collections.deque,
        collections.OrderedDict,
        collections.defaultdict,
        collections.Counter,
        collections.ChainMap,
        abc.MutableSequence,
        abc.MutableSet,
        abc.MutableMapping,
    }
)
# A recursive Protocol or class is compared while it is being compared: then both are taken to fit.
ASSUMED: ContextVar[tuple[tuple[Hint, Hint], ...]] = ContextVar("ASSUMED", default=())
NOTHING = (typing.Never, typing.NoReturn)
SENT = frozenset({(abc.Generator, 1), (abc.AsyncGenerator, 1), (abc.Coroutine, 1)})  # contravariant arguments


def fits(given: Hint, expected: Hint, bindings: Bindings) -> bool:
    """Whether a value of one hint can be used where another is expected.

    Type variables of `expected` are bound as they are met; `bindings` means something only after True.

    >>> found = {}
    >>> fits(list[str], abc.Iterable[typing.AnyStr], found), found
    (True, {~AnyStr: <class 'str'>})
    """
    given, expected = plain(given), plain(expected)
    verdicts = (rule(given, expected, bindings) for rule in RULES)
    return next(verdict for verdict in verdicts if verdict is not None)


def _variables(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if given is expected:
        return True
    if isinstance(expected, TypeVar):
        return _bind(given, expected, bindings)
    return fits(limit_of(given), expected, bindings) if isinstance(given, TypeVar) else None


def _bind(given: Hint, variable: TypeVar, bindings: Bindings) -> bool:
    # 1. What is unknown once stays so. 2. Of several constraints one is chosen, and kept. 3. A bound holds
    # for every value. 4. A second value widens the first.
    known, limit = bindings.get(variable, given), limit_of(variable)
    if UNKNOWN in (given, known):
        bindings[variable] = UNKNOWN
        return True
    if limit is not UNKNOWN and variable.__constraints__:
        choices = (known,) if variable in bindings else variable.__constraints__
        chosen = [choice for choice in choices if fits(given, choice, {})][:1]
        bindings.update((variable, choice) for choice in chosen)
        return bool(chosen)
    if not fits(given, limit, {}):
        return False
    wider = [hint for hint, other in ((known, given), (given, known)) if fits(other, hint, {})]
    bindings[variable] = wider[0] if wider else union_of((known, given))
    return True


def _unknowns(given: Hint, expected: Hint, _: Bindings) -> bool | None:
    if UNKNOWN in (given, expected) or expected is object or given in NOTHING:
        return True
    return False if expected in NOTHING else None


def _unions(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    is_choice = split(given)[0] is Literal and len(get_args(given)) > 1
    if is_union(given) or is_choice:
        members = [Literal[each] if is_choice else each for each in get_args(given)]
        return all(fits(member, expected, bindings) for member in members)
    if is_union(expected):
        # Variables last: in `T | None` a None is the None.
        members = sorted(get_args(expected), key=lambda member: isinstance(member, TypeVar))
        return any(_tries(given, member, bindings) for member in members)
    return None


def _tries(given: Hint, expected: Hint, bindings: Bindings) -> bool:
    trial = dict(bindings)
    if fits(given, expected, trial):
        bindings.update(trial)
        return True
    return False


def _literals(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if split(expected)[0] is Literal:
        wanted = [(type(value), value) for value in get_args(expected)]  # 1 == True, but not here
        values = _values_of(given)
        return bool(values) and all((type(value), value) in wanted for value in values)
    if split(given)[0] is Literal:
        return all(fits(type(value), expected, bindings) for value in get_args(given))
    return None


def _values_of(hint: Hint) -> tuple[object, ...]:
    """All values of a hint that has only a few."""
    if split(hint)[0] is Literal:
        return get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(hint)
    return (False, True) if hint is bool else (None,) if hint is NoneType else ()


def _new_types(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if isinstance(given, NewType):
        return fits(given.__supertype__, expected, bindings)
    return False if isinstance(expected, NewType) else None


def _callables(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if split(expected)[0] is not abc.Callable or expected is abc.Callable:
        return None
    have, want = call_signature(given), call_signature(expected)
    return None if have is None or want is None else _signature_fits(have, want, bindings)


def _signature_fits(have: inspect.Signature, want: inspect.Signature, bindings: Bindings) -> bool:
    """Whether what can be called so can be called as it is wanted."""
    own: Bindings = {}  # what the given function's type variables stand for, by what it is called with
    pairs = parameter_pairs(have, want)
    if pairs is None or not all(fits(substitute(sent, bindings), takes, own) for sent, takes in pairs):
        return False
    return fits(substitute(plain(have.return_annotation), own), want.return_annotation, bindings)


def _tuples(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if split(expected)[0] is not tuple or expected is tuple:
        return None
    view = as_base(given, tuple)
    if view is None or view is tuple:
        return view is tuple
    have, want = Items.of(get_args(view)), Items.of(get_args(expected))
    if UNKNOWN in map(plain, have.middle):
        return True
    if not have.middle:  # then its last items are among the first
        at = max(len(have.first) - len(want.last), 0)
        have = Items(have.first[:at], (), have.first[at:])
    first, last = len(want.first), len(have.last) - len(want.last)
    between = have.first[first:] + have.middle + have.last[: max(last, 0)]
    if len(have.first) < first or last < 0 or (between and not want.middle):
        return False
    ends = (*zip(have.first, want.first, strict=False), *zip(have.last[last:], want.last, strict=True))
    return _all_fit(ends, bindings) and _all_fit(zip(between, want.middle * len(between), strict=True), bindings)


def _all_fit(pairs: Iterable[tuple[Hint, Hint]], bindings: Bindings) -> bool:
    return all(fits(have, want, bindings) for have, want in pairs)


def _typed_dicts(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    origin, base = split(given)[0], split(expected)[0]
    if not typing.is_typeddict(base):
        return None
    if not typing.is_typeddict(origin):
        return False
    have, want = typed_fields(given), typed_fields(expected)
    return all(key in have and _field_fits(have[key], field, bindings) for key, field in want.items())


def _field_fits(have: Field, want: Field, bindings: Bindings) -> bool:
    # What may be written has to be the same, and so has what may be deleted.
    if want.read_only:
        return have.required >= want.required and fits(have.hint, want.hint, bindings)
    is_same = have.required == want.required and not have.read_only
    return is_same and _is_same(have.hint, want.hint, bindings)


def _arrays(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if is_open_dtype(given, expected):
        return True
    have, want = array_of(given), array_of(expected)
    if have is None and want is None:
        return None
    if not fits(have or given, want or expected, bindings):
        return False
    return have is None or want is None or shapes_fit(given, expected)


def _protocols(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    origin, base = split(given)[0], split(expected)[0]
    if not (is_protocol(base) and isinstance(origin, type)) or as_base(given, base) is not None:
        return None
    return _has_members(given, expected, protocol_members(base), bindings)


def _has_members(given: Hint, expected: Hint, names: Iterable[str], bindings: Bindings) -> bool:
    pairs = ASSUMED.get()
    if any(given == one and expected == other for one, other in pairs):
        return True
    token = ASSUMED.set((*pairs, (given, expected)))
    try:
        return all(_has_member(given, expected, name, bindings) for name in names)
    finally:
        ASSUMED.reset(token)


def _has_member(given: Hint, expected: Hint, name: str, bindings: Bindings) -> bool:
    have, want = member_of(given, name), member_of(expected, name)
    if name == "__call__" and (signature := call_signature(given)) is not None:
        have = Member(signature)
    if want is None:
        return True
    if have is None:
        cls = split(given)[0]
        return answers_any(cls) or (not isinstance(want.hint, inspect.Signature) and sets(cls, name))
    if isinstance(want.hint, inspect.Signature):
        called = have.hint if isinstance(have.hint, inspect.Signature) else call_signature(have.hint)
        if called is None:
            return have.hint is UNKNOWN
        return _signature_fits(called, want.hint, bindings)
    if isinstance(have.hint, inspect.Signature) or want.settable > have.settable:
        return not want.settable and fits(abc.Callable, want.hint, bindings)
    return (_is_same if want.settable else fits)(have.hint, want.hint, bindings)


def _classes(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    origin, (base, wanted) = split(given)[0], split(expected)
    if not isinstance(origin, type) or not isinstance(base, type):
        return True  # a special form that no rule knows
    if any(is_subclass(origin, each) for each in TOWER.get(base, ())):
        return True
    view = as_base(given, base)
    if view is None:
        return False
    pairs = enumerate(zip(get_args(view), wanted, strict=False))
    return all(argument_fits(base, index, *pair, bindings) for index, pair in pairs)


def argument_fits(base: type, index: int, have: Hint, want: Hint, bindings: Bindings) -> bool:
    """Whether one argument of a generic class can stand for another, by the variance of the class."""
    declared = dict(enumerate(parameters_of(base))).get(index)
    covariant, contravariant = _variance(base, index, declared)
    if contravariant and not covariant:
        return fits(substitute(want, bindings), have, {})
    return (fits if covariant else _is_same)(have, want, bindings)


def _variance(base: type, index: int, declared: TypeVar | None) -> tuple[bool, bool]:
    """Whether a class is covariant, and whether it is contravariant, in one of its type variables."""
    if (base, index) in SENT:
        return False, True
    if getattr(declared, "__infer_variance__", False):
        return _inferred_variance(base, index)
    if isinstance(declared, TypeVar):
        return declared.__covariant__, declared.__contravariant__
    return base not in INVARIANT, False


class _Upper:
    """Stands for a wider type."""


class _Lower(_Upper):
    """Stands for a narrower one."""


def _inferred_variance(base: type, index: int) -> tuple[bool, bool]:
    """By PEP 695: whether the class of a narrower type could stand for that of a wider one, and the other way round."""

    def of(hint: Hint) -> Hint:
        given: Hint = base
        return given[tuple(hint if place == index else typing.Any for place in range(len(parameters_of(base))))]

    def stands(one: Hint, other: Hint) -> bool:
        views = ((as_base(one, each), as_base(other, each)) for each in parents)
        return _has_members(one, other, members(base), {}) and _all_fit(views, {})

    narrow, wide, parents = of(_Lower), of(_Upper), [split(each)[0] for each in bases_of(base)]
    return stands(narrow, wide), stands(wide, narrow)


def _is_same(given: Hint, expected: Hint, bindings: Bindings) -> bool:
    return fits(given, expected, bindings) and fits(substitute(expected, bindings), given, {})


RULES: tuple[Rule, ...] = (
    _variables,
    _unknowns,
    _unions,
    _literals,
    _new_types,
    _arrays,
    _callables,
    _tuples,
    _typed_dicts,
    _protocols,
    _classes,
)
