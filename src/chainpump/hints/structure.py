"""Whether one hint fits another by structure: calls, keys, members."""

from __future__ import annotations

import inspect
from collections import abc
from collections.abc import Iterable, Sequence
from typing import get_args

from .class_members import (
    Field,
    Member,
    answers_any,
    call_signature,
    call_ways,
    is_protocol,
    member_of,
    members,
    protocol_members,
    sets,
    typed_fields,
)
from .classes import as_base, is_typed_dict
from .comparison import Asking, Comparison, Question, Verdict, exactly
from .forms import UNKNOWN, Bindings, Hint, plain, split, substitute
from .signatures import parameter_pairs

__all__ = ["callables", "has_member", "may_stand_for", "protocols", "structurally", "typed_dicts"]


def callables(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    """A rule: an object fits a callable hint if it can be called in that way."""
    if split(expected)[0] is not abc.Callable or not get_args(expected):
        return None
    have, want = call_ways(given), call_signature(expected)
    return None if not have or want is None else (yield from _any_way_fits(have, [want], bindings))


def _any_way_fits(have: Sequence[inspect.Signature], wanted: Iterable[inspect.Signature], bindings: Bindings) -> Asking:
    """Whether for each wanted signature there is a given one that fits."""
    for want in wanted:
        for each in have:
            trial = dict(bindings)
            if (yield from _signature_fits(each, want, trial)):
                bindings.update(trial)
                break
        else:
            return False
    return True


def _signature_fits(have: inspect.Signature, want: inspect.Signature, bindings: Bindings) -> Asking:
    """Whether one signature can be called as the other one is."""
    # The type variables of the given function, bound by the arguments of the call.
    own: Bindings = {}
    pairs = parameter_pairs(have, want, bindings)
    if pairs is None:
        return False
    for sent, takes in pairs:
        if not (yield Question(substitute(sent, bindings), takes, own)):
            return False
    return (yield Question(substitute(plain(have.return_annotation), own), want.return_annotation, bindings))


def typed_dicts(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    """A rule: TypedDicts are compared key by key, and fit nothing else."""
    origin, base = split(given)[0], split(expected)[0]
    if not is_typed_dict(base):
        return None
    if not is_typed_dict(origin):
        return False
    have, want = typed_fields(given), typed_fields(expected)
    for key, field in want.items():
        if key not in have or not may_stand_for(have[key], field):
            return False
        judge = None if field.read_only else exactly
        if not (yield Question(have[key].hint, field.hint, bindings, judge)):
            return False
    return True


def may_stand_for(have: Field, want: Field) -> bool:
    """Whether a key has the required qualifiers: one that may be written or deleted must allow that here, too."""
    if want.read_only:
        return have.required >= want.required
    return have.required == want.required and not have.read_only


def protocols(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    """A rule: a class that does not derive from a protocol is compared with it member by member."""
    origin, base = split(given)[0], split(expected)[0]
    if not (is_protocol(base) and isinstance(origin, type)) or as_base(given, base) is not None:
        return None
    return (yield Question(given, expected, bindings, as_protocol, grows=True))


def as_protocol(_: Comparison, question: Question) -> Asking:
    """Whether a hint has all members that a protocol requires."""
    names = protocol_members(split(question.expected)[0])
    return (yield from _has_members(question.given, question.expected, names, question.bindings))


def structurally(_: Comparison, question: Question) -> Asking:
    """Whether one class fits another by its members."""
    names = members(split(question.expected)[0])
    return (yield from _has_members(question.given, question.expected, names, question.bindings))


def _has_members(given: Hint, expected: Hint, names: Iterable[str], bindings: Bindings) -> Asking:
    for name in names:
        if not (yield from has_member(given, expected, name, bindings)):
            return False
    return True


def has_member(given: Hint, expected: Hint, name: str, bindings: Bindings) -> Asking:
    """Whether one hint has a member that fits the member of the other."""
    have, want = member_of(given, name), member_of(expected, name, given)
    if name == "__call__" and (ways := call_ways(given)):
        have = Member(ways[0], overloads=ways)
    if want is None:
        return True
    if have is None:
        cls = split(given)[0]
        return answers_any(cls) or (not isinstance(want.hint, inspect.Signature) and sets(cls, name))
    if isinstance(want.hint, inspect.Signature):
        called = have.ways or call_ways(have.hint)
        return (yield from _any_way_fits(called, want.ways, bindings)) if called else have.hint is UNKNOWN
    if isinstance(have.hint, inspect.Signature) or want.settable > have.settable:
        return not want.settable and (yield Question(abc.Callable, want.hint, bindings))
    return (yield Question(have.hint, want.hint, bindings, exactly if want.settable else None))
