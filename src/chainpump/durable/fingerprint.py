"""What a chain of stages is made of, and how it differs from the chain that a journal belongs to."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from types import CodeType
from typing import Any

from ..errors import JournalError
from ..hints.objects import underlying
from ..lazy_dataclass import dataclass
from ..plan.planned_stage import PlannedStage
from .digest import digest_of

__all__ = ["Difference", "Fingerprint", "StageMark", "check_same", "fingerprint_of"]

# How many parts of the arguments of a stage are looked at: a list of a million items is an argument, too.
PARTS = 2_000
OWN = __name__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class StageMark:
    """What counts of one stage. Where it runs, and on how many workers, does not count.

    verb: which kind of stage it is, such as `map`. function: its module and name. code, arguments: digests.
    numbers: whether it numbers its own items, as the source and each generator stage do.
    """

    name: str
    verb: str
    function: str
    code: str
    arguments: str
    ordered: bool
    numbers: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """How a chain differs from an earlier one.

    shape: why the numbers of the earlier chain say nothing about this one; None if they do.
    changes: what has changed in the stages, a text each.
    """

    shape: str | None
    changes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What counts of a chain, stage by stage. python: the version that has compiled the functions."""

    stages: Sequence[StageMark]
    python: str = "{}.{}".format(*sys.version_info)

    @property
    def last_origin(self) -> int:
        """The place of the last stage that numbers its own items."""
        return max((place for place, stage in enumerate(self.stages) if stage.numbers), default=0)

    @property
    def shape(self) -> str:
        """A short text that is the same for all chains whose numbers mean the same."""
        return digest_of([_shape_of(stage) for stage in self.stages[: self.last_origin + 1]]).hex()

    def difference(self, earlier: Fingerprint) -> Difference:
        """How this chain differs from an earlier one."""
        changes = []
        numbering, numbered = self.stages[: self.last_origin + 1], earlier.stages[: earlier.last_origin + 1]
        if [_shape_of(stage) for stage in numbering] != [_shape_of(stage) for stage in numbered]:
            return Difference(f"its items are numbered by {_listed(numbering)}, and were by {_listed(numbered)}", ())
        if len(self.stages) != len(earlier.stages):
            changes.append(f"its stages are {_listed(self.stages)}, and were {_listed(earlier.stages)}")
        else:
            same_python = self.python == earlier.python
            for now, before in zip(self.stages, earlier.stages, strict=True):
                changes += _changes(now, before, same_python)
        return Difference(None, changes)

    def to_json(self) -> str:
        """The fingerprint as text, for `from_json`."""
        names = StageMark.__match_args__
        stages = [{name: getattr(stage, name) for name in names} for stage in self.stages]
        return json.dumps({"python": self.python, "stages": stages})

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Read the text of `to_json`. Raises ValueError, KeyError or TypeError."""
        found = json.loads(text)
        return cls([StageMark(**stage) for stage in found["stages"]], found["python"])


def fingerprint_of(stages: Sequence[PlannedStage]) -> Fingerprint:
    """The fingerprint of a chain of planned stages."""
    return Fingerprint([_mark_of(stage) for stage in stages])


def check_same(path: object, now: Fingerprint, earlier: Fingerprint, *, strict: bool) -> Sequence[str]:
    """What has changed since a journal was begun. Raises JournalError if it cannot be gone on with."""
    difference = now.difference(earlier)
    if difference.shape is not None:
        raise JournalError(
            f"journal {path}: it belongs to another pipeline: {difference.shape}.\n"
            "  So its numbers of done items do not fit. Run the pipeline as it was, or begin again with another file "
            "or after `chainpump journal reset`."
        )
    if strict and difference.changes:
        listed = "".join(f"\n  - {change}" for change in difference.changes)
        raise JournalError(
            f"journal {path}: the pipeline has changed since its last attempt, and strict=True was given:{listed}\n"
            "  Items that are done were done by the pipeline as it was. Leave out strict=True to go on, or begin again "
            "after `chainpump journal reset`."
        )
    return difference.changes


def _mark_of(stage: PlannedStage) -> StageMark:
    call, operator = stage.call, stage.operator
    written: Any = call.written
    function = underlying(written)
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    verb = stage.role.value if operator is None else operator.verb
    # A function of the library, such as `batch`, has its arguments in the chain: they decide what its items are.
    return StageMark(
        name=stage.name,
        verb=verb,
        function=name,
        code=digest_of(_code_of(written), PARTS).hex(),
        arguments=digest_of([call.args, call.kwargs], PARTS).hex(),
        ordered=stage.keeps_order,
        numbers=stage.numbers_items,
    )


def _code_of(function: Any) -> object:
    """What a function does, as plain data. Any: a function may be any callable object."""
    if isinstance(function, functools.partial):
        return ["partial", _code_of(function.func), function.args, function.keywords]
    code = getattr(underlying(function), "__code__", None)
    if not isinstance(code, CodeType):
        return function
    inner: Any = underlying(function)
    cells = [_content(cell) for cell in inner.__closure__ or ()]
    # A method or a callable object counts with its state.
    owner = None if inner is function else getattr(function, "__self__", function)
    return [_plain(code), inner.__defaults__, inner.__kwdefaults__, cells, owner]


def _plain(code: CodeType) -> list[object]:
    """What a code object does; not in which file and line."""
    consts = [_plain(const) if isinstance(const, CodeType) else const for const in code.co_consts]
    return [code.co_code, consts, code.co_names, code.co_varnames]


# Any: `CellType` has no type for its content.
def _content(cell: Any) -> object:
    try:
        content = cell.cell_contents
    except ValueError:
        return "empty"
    return _code_of(content) if callable(content) else content


def _shape_of(stage: StageMark) -> tuple[object, ...]:
    """What decides the numbers behind a stage: its kind; for a stage of the library also its arguments."""
    is_own = stage.numbers and stage.function.startswith(f"{OWN}.")
    return (stage.verb, stage.numbers, *((stage.function, stage.arguments) if is_own else ()))


def _listed(stages: Sequence[StageMark]) -> str:
    return " -> ".join(f"{stage.verb} '{stage.name}'" for stage in stages)


def _changes(now: StageMark, before: StageMark, same_python: bool) -> list[str]:
    where = f"{now.verb} '{now.name}'"
    if (now.verb, now.function) != (before.verb, before.function):
        return [f"{where} calls {now.function}, and was {before.verb} '{before.name}' with {before.function}"]
    changes = []
    if now.code != before.code and same_python:
        changes.append(f"{where}: the function {now.function} has changed")
    if now.arguments != before.arguments:
        changes.append(f"{where}: the arguments of {now.function} have changed")
    if now.ordered != before.ordered:
        changes.append(f"{where}: its results are {'in order now' if now.ordered else 'no longer in order'}")
    return changes
