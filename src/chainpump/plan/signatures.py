"""Whether what is called in one way can be called in another: which parameter takes what."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from .annotations import UNKNOWN, Hint
from .hints import plain

__all__ = ["parameter_pairs"]


def parameter_pairs(have: inspect.Signature, want: inspect.Signature) -> Sequence[tuple[Hint, Hint]] | None:
    """What each wanted parameter is sent as, and what takes it; None if it cannot be called so."""
    if _takes_anything(have) or _takes_anything(want):
        return ()
    given, wanted = _Parameters(have), _Parameters(want)
    pairs: list[tuple[inspect.Parameter, inspect.Parameter | None]] = []
    for place, each in enumerate(wanted.by_place):
        taker = given.by_place[place] if place < len(given.by_place) else given.rest
        named = taker is not None and inspect.Parameter.POSITIONAL_OR_KEYWORD is each.kind is taker.kind
        pairs.append((each, None if named and taker is not None and taker.name != each.name else taker))
    left = given.by_place[len(wanted.by_place) :]
    by_name = {each.name: each for each in (*given.by_name, *left)}
    pairs += [(each, by_name.pop(each.name, given.named_rest)) for each in wanted.by_name]
    pairs += [(each, rest) for each, rest in ((wanted.rest, given.rest), (wanted.named_rest, given.named_rest)) if each]
    if any(each.default is each.empty for each in by_name.values()):
        return None
    if any(taker is None or _is_optional(each) > _is_optional(taker) for each, taker in pairs):
        return None
    return [(each.annotation, taker.annotation) for each, taker in pairs if taker is not None]


def _is_optional(parameter: inspect.Parameter) -> bool:
    rests = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.kind in rests or parameter.default is not parameter.empty


def _takes_anything(signature: inspect.Signature) -> bool:
    """Whether it is `(*args, **kwargs)` of unknown types: what nobody has told, or `Callable[..., X]`."""
    found = _Parameters(signature)
    unknown = all(plain(each.annotation) is UNKNOWN for each in signature.parameters.values())
    return unknown and bool(found.rest and found.named_rest) and not (found.by_place or found.by_name)


class _Parameters:
    """The parameters of a signature, by how they are given."""

    def __init__(self, signature: inspect.Signature) -> None:
        kinds: dict[object, list[inspect.Parameter]] = {}
        for each in signature.parameters.values():
            kinds.setdefault(each.kind, []).append(each)
        kind = inspect.Parameter
        self.by_place = [*kinds.get(kind.POSITIONAL_ONLY, ()), *kinds.get(kind.POSITIONAL_OR_KEYWORD, ())]
        self.by_name = kinds.get(kind.KEYWORD_ONLY, [])
        self.rest = next(iter(kinds.get(kind.VAR_POSITIONAL, ())), None)
        self.named_rest = next(iter(kinds.get(kind.VAR_KEYWORD, ())), None)
