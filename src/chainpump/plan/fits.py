"""Whether one type hint fits another: assignability, with type variables bound on the way.

It follows mypy where both sides are known, and leans to acceptance where one is not: a false alarm stops
somebody's work, a miss leaves it to the run. One rule for each kind of hint, tried in the order of `RULES`.
"""

from __future__ import annotations

import collections
import typing
from collections import abc
from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType
from typing import Literal, NewType, TypeAlias, TypeVar, get_args

from .hints import (
    UNKNOWN,
    Bindings,
    Hint,
    as_base,
    fields_of,
    is_subclass,
    is_union,
    limit_of,
    parameters_of,
    plain,
    split,
    substitute,
    union_of,
)

__all__ = ["fits"]

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
    (form, have), (wanted_form, want) = split(given), split(expected)
    if not (form is wanted_form is abc.Callable and have and want):
        return None
    (takes, returns), (sent, wanted) = have, want
    if not fits(returns, wanted, bindings):
        return False
    if not (isinstance(takes, list) and isinstance(sent, list)):  # `...`, ParamSpec, Concatenate
        return True
    pairs = zip(sent, takes, strict=False)
    return len(sent) == len(takes) and all(fits(substitute(one, bindings), other, {}) for one, other in pairs)


def _tuples(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    if split(expected)[0] is not tuple or expected is tuple:
        return None
    view = as_base(given, tuple)
    if view is None or view is tuple:
        return view is tuple
    have, want = get_args(view), get_args(expected)
    if any(split(each)[0] is typing.Unpack for each in (*have, *want)):  # not followed yet
        return True
    if Ellipsis in have and plain(have[0]) is UNKNOWN:
        return True
    if Ellipsis in want:
        return all(fits(each, want[0], bindings) for each in have if each is not Ellipsis)
    pairs = zip(have, want, strict=False)
    return Ellipsis not in have and len(have) == len(want) and all(fits(*pair, bindings) for pair in pairs)


def _typed_dicts(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    origin, base = split(given)[0], split(expected)[0]
    if not typing.is_typeddict(base):
        return None
    if origin is base or not typing.is_typeddict(origin):
        return origin is base
    have, want = fields_of(origin), fields_of(base)
    return all(key in have and _is_same(have[key], want[key], bindings) for key in want)


def _classes(given: Hint, expected: Hint, bindings: Bindings) -> bool | None:
    origin, (base, wanted) = split(given)[0], split(expected)
    if not isinstance(origin, type) or not isinstance(base, type):
        return True  # a special form that no rule knows
    if any(is_subclass(origin, each) for each in TOWER.get(base, ())):
        return True
    view = as_base(given, base)
    if view is None:
        return _has_methods_of(origin, base)
    pairs = enumerate(zip(get_args(view), wanted, strict=False))
    return all(_argument_fits(base, index, *pair, bindings) for index, pair in pairs)


def _argument_fits(base: type, index: int, have: Hint, want: Hint, bindings: Bindings) -> bool:
    declared = dict(enumerate(parameters_of(base))).get(index)
    if getattr(declared, "__contravariant__", False) or (base, index) in SENT:
        return fits(substitute(want, bindings), have, {})
    if getattr(declared, "__infer_variance__", False):  # by how the class uses it: either way may be right
        return _tries(have, want, bindings) or fits(substitute(want, bindings), have, {})
    if base in INVARIANT or (isinstance(declared, TypeVar) and not declared.__covariant__):
        return _is_same(have, want, bindings)
    return fits(have, want, bindings)


def _is_same(given: Hint, expected: Hint, bindings: Bindings) -> bool:
    return fits(given, expected, bindings) and fits(substitute(expected, bindings), given, {})


def _has_methods_of(cls: type, protocol: type) -> bool:
    """Whether a class has a Protocol's methods; data may be set in `__init__`, where nobody can see it."""
    if not getattr(protocol, "_is_protocol", False):
        return False
    bases = [base for base in protocol.__mro__ if getattr(base, "_is_protocol", False)]
    methods = [name for base in bases[:-1] for name, value in vars(base).items() if callable(value)]
    answers_any = any("__getattr__" in vars(base) for base in cls.__mro__)
    return answers_any or all(hasattr(cls, name) for name in methods)


RULES: tuple[Rule, ...] = (
    _variables,
    _unknowns,
    _unions,
    _literals,
    _new_types,
    _callables,
    _tuples,
    _typed_dicts,
    _classes,
)
