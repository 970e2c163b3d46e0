"""Whether the members of one union fit those of another."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Literal, TypeVar, get_args

from .comparison import Asking, Question, Verdict
from .forms import Bindings, Hint, is_union, plain, split, union_of

__all__ = ["unfit_members", "unions"]

# The most levels of a hint in which its innermost class is looked for.
MARK_DEPTH = 5


def unions(given: Hint, expected: Hint, bindings: Bindings) -> Verdict:
    """A rule: each member of a union fits some member of the other one."""
    is_choice = split(given)[0] is Literal and len(get_args(given)) > 1 and split(expected)[0] is not Literal
    if not (is_union(given) or is_choice or is_union(expected)):
        return None
    return not (yield from unfit_members(given, expected, bindings))


def unfit_members(given: Hint, expected: Hint, bindings: Bindings) -> Generator[Question, bool, Sequence[Hint]]:
    """The members of a union that do not fit; if there are several, the first."""
    members = _members(given)
    choices = _Choices(_members(expected) if is_union(expected) else (expected,))
    # Members left for the type variables: in `T | None`, None matches None first.
    left: list[Hint] = []
    for member in members:
        is_fit = yield from _any_fits(member, choices.likely_first(member), bindings)
        if not is_fit:
            left.append(member)
            if not choices.variables:
                return left
    rest = union_of(left) if len(left) > 1 else (*left, None)[0]
    return [] if not left or (yield from _any_fits(rest, choices.variables, bindings)) else left[:1]


def _members(hint: Hint) -> Sequence[Hint]:
    if split(hint)[0] is Literal:
        return [Literal[each] for each in get_args(hint)]
    return get_args(hint) if is_union(hint) else (hint,)


def _any_fits(given: Hint, choices: Iterable[Hint], bindings: Bindings) -> Asking:
    for choice in choices:
        trial = dict(bindings)
        if (yield Question(given, choice, trial)):
            bindings.update(trial)
            return True
    return False


class _Choices:
    """The members of a union, perhaps many: those that probably fit are tried first."""

    def __init__(self, members: Sequence[Hint]) -> None:
        self._members = [each for each in members if not isinstance(each, TypeVar)]
        self.variables = [each for each in members if isinstance(each, TypeVar)]
        self._by_mark: dict[int, list[Hint]] = {}
        for each in self._members:
            self._by_mark.setdefault(id(_mark(each)), []).append(each)

    def likely_first(self, given: Hint) -> Iterator[Hint]:
        mark = _mark(given)
        for cls in mark.__mro__ if isinstance(mark, type) else (mark,):
            yield from self._by_mark.get(id(cls), ())
        yield from self._members


def _mark(hint: Hint) -> Hint:
    """The innermost class of a hint, by its last arguments: int for `list[int]` and `dict[str, int]`."""
    hint = plain(hint)
    for _ in range(MARK_DEPTH):
        args = [each for each in get_args(hint) if each is not ...]
        if not args or split(hint)[0] is Literal:
            break
        hint = plain(args[-1])
    return split(hint)[0]
