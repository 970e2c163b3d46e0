"""Whether an object with one signature can be called as another signature requires."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, ParamSpec, TypeVarTuple, get_args, get_origin

from .annotations import UNKNOWN, Hint
from .forms import Bindings, plain, unpacked, words_of

__all__ = ["parameter_pairs", "positional"]

Parameter = inspect.Parameter


def positional(takes: Hint) -> Iterator[Parameter]:
    """The parameters in the first argument of `Callable`: a list, `...`, a ParamSpec or Concatenate."""
    if words_of(get_origin(takes)) == "Concatenate":
        *first, rest = get_args(takes)
        yield from positional(first)
        yield from positional(rest)
    elif isinstance(takes, (list, tuple)):
        for index, hint in enumerate(_spread(takes)):
            rest = unpacked(hint)
            kind = Parameter.POSITIONAL_ONLY if rest is None else Parameter.VAR_POSITIONAL
            yield Parameter(f"_{index}", kind, annotation=plain(hint) if rest is None else _repeated(rest))
            # A parameter after it can only have its default.
            if rest is not None:
                return
    else:
        is_variable = isinstance(takes, ParamSpec)
        yield Parameter("args", Parameter.VAR_POSITIONAL, annotation=takes.args if is_variable else UNKNOWN)
        yield Parameter("kwargs", Parameter.VAR_KEYWORD, annotation=takes.kwargs if is_variable else UNKNOWN)


def _spread(takes: Sequence[Hint]) -> Iterator[Hint]:
    """The hints of a list of parameters, with the items of an unpacked tuple inserted."""
    for hint in takes:
        inner = unpacked(hint)
        args = get_args(inner)
        yield from args if get_origin(inner) is tuple and not any(each is ... for each in args) else (hint,)


def _repeated(hint: Hint) -> Hint:
    """The hint of each further argument for `*tuple[int, ...]`; anything for `*Ts`."""
    return UNKNOWN if isinstance(hint, TypeVarTuple) else plain((*get_args(hint), Any)[0])


def parameter_pairs(
    have: inspect.Signature, want: inspect.Signature, bindings: Bindings
) -> Sequence[tuple[Hint, Hint]] | None:
    """Pairs of a wanted and a given parameter that have to fit; None if the call is not possible.

    bindings: of the type variables of `want`; what its ParamSpec stands for is found here.
    """
    if not _takes_anything(have):
        have, want = _shortened(have, want, bindings)
    if _takes_anything(have) or _takes_anything(want):
        return ()
    given, wanted = _Parameters(have), _Parameters(want)
    pairs: list[tuple[inspect.Parameter, inspect.Parameter | None]] = []
    for index, each in enumerate(wanted.by_position):
        taker = given.by_position[index] if index < len(given.by_position) else given.rest
        pairs.append((each, taker if taker is not None and _takes_by_name(taker, each, given) else None))
    left = given.by_position[len(wanted.by_position) :]
    by_name = {each.name: each for each in (*given.by_name, *left)}
    pairs += [(each, by_name.pop(each.name, given.named_rest)) for each in wanted.by_name]
    pairs += [(each, rest) for each, rest in ((wanted.rest, given.rest), (wanted.named_rest, given.named_rest)) if each]
    if any(each.default is each.empty for each in by_name.values()):
        return None
    if any(taker is None or _is_optional(each) > _is_optional(taker) for each, taker in pairs):
        return None
    return [(each.annotation, taker.annotation) for each, taker in pairs if taker is not None]


def _takes_by_name(taker: Parameter, wanted: Parameter, given: _Parameters) -> bool:
    """Whether a parameter also accepts a keyword argument: it has the same name, or there is `**kwargs`."""
    if wanted.kind is not Parameter.POSITIONAL_OR_KEYWORD:
        return True
    is_named = taker.kind is Parameter.POSITIONAL_OR_KEYWORD and taker.name == wanted.name
    return is_named or bool(taker is given.rest and given.named_rest)


def _shortened(
    have: inspect.Signature, want: inspect.Signature, bindings: Bindings
) -> tuple[inspect.Signature, inspect.Signature]:
    """Both signatures without what a ParamSpec stands for: only the parameters before it are compared."""
    # 1. A ParamSpec of the given signature accepts any call. 2. A bound ParamSpec of the wanted one is compared.
    # 3. An unbound one is bound to the remaining parameters of the given signature.
    given, wanted = _Parameters(have), _Parameters(want)
    if given.variable is not None:
        first = [Parameter(each.name, each.kind, annotation=each.annotation) for each in given.by_position]
        return inspect.Signature(first), inspect.Signature(wanted.by_position[: len(first)])
    if wanted.variable is None:
        return have, want
    count = len(wanted.by_position)
    if wanted.variable in bindings:
        behind = [each.replace(name=f"rest{each.name}") for each in positional(bindings[wanted.variable])]
        first = [each.replace(kind=Parameter.POSITIONAL_ONLY) for each in wanted.by_position]
        return have, inspect.Signature([*first, *behind])
    behind = given.by_position[count:]
    is_plain = not (given.rest or given.named_rest or given.by_name)
    bindings[wanted.variable] = [each.annotation for each in behind] if is_plain else ...
    rest = [given.rest] if given.rest is not None else []
    return inspect.Signature([*given.by_position[:count], *rest]), inspect.Signature(wanted.by_position)


def _is_optional(parameter: inspect.Parameter) -> bool:
    rests = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.kind in rests or parameter.default is not parameter.empty


def _takes_anything(signature: inspect.Signature) -> bool:
    """Whether it is `(*args, **kwargs)` of unknown types, as for a function without hints or `Callable[..., X]`."""
    found = _Parameters(signature)
    unknown = all(plain(each.annotation) is UNKNOWN for each in signature.parameters.values())
    return unknown and bool(found.rest and found.named_rest) and not (found.by_position or found.by_name)


class _Parameters:
    """The parameters of a signature, by the way in which arguments are passed."""

    def __init__(self, signature: inspect.Signature) -> None:
        kinds: dict[object, list[inspect.Parameter]] = {}
        for each in signature.parameters.values():
            kinds.setdefault(each.kind, []).append(each)
        kind = inspect.Parameter
        self.by_position = [*kinds.get(kind.POSITIONAL_ONLY, ()), *kinds.get(kind.POSITIONAL_OR_KEYWORD, ())]
        self.by_name = kinds.get(kind.KEYWORD_ONLY, [])
        self.rest = next(iter(kinds.get(kind.VAR_POSITIONAL, ())), None)
        self.named_rest = next(iter(kinds.get(kind.VAR_KEYWORD, ())), None)
        variable = get_origin(self.rest.annotation) if self.rest is not None else None
        self.variable = variable if isinstance(variable, ParamSpec) else None
