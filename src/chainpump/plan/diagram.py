"""The content of a picture of a plan: cards for its stages, and links for the items between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..hints.annotations import UNKNOWN
from ..lazy_dataclass import dataclass, replace
from ..messages.names import Role
from ..messages.printable import printable
from .planned_stage import PlannedStage
from .sections import orders_of, sharing_worker

__all__ = ["Card", "Link", "Part", "sketch"]

# How many workers are drawn for an auto stage.
SOME = 3
IN_ORDER = {"kept": "in order", "undefined": "as they come"}


@dataclass(frozen=True, slots=True)
class Link:
    """The items between two stages. items: their type. notes: their order, and what bounds their number."""

    items: str
    notes: str


@dataclass(frozen=True, slots=True)
class Card:
    """A stage, as short lines. workers: how many are drawn. parts: the chains inside a nested source.

    link: the items that leave it; None at the end of a chain.
    """

    name: str
    facts: Sequence[str]
    workers: int = 1
    parts: Sequence[Part] = ()
    link: Link | None = None


Part = Sequence[Card]


def sketch(stages: Sequence[PlannedStage]) -> list[Card]:
    """Return the cards of a pipeline, from its source on. Without a sink, the last card is the caller's loop."""
    *cards, last = _cards(stages)
    if last.link is None:
        return [*cards, last]
    bound = "one at a time" if sharing_worker(stages, iterated=True)[-1] else "bounded by bytes"
    link = replace(last.link, notes=f"{last.link.notes} · {bound}")
    return [*cards, replace(last, link=link), Card("iteration", ("the loop that takes the items",))]


def _cards(stages: Sequence[PlannedStage]) -> list[Card]:
    groups = sharing_worker(stages, iterated=stages[-1].role is not Role.SINK)
    placed = [(stage, stage is group[-1]) for group in groups for stage in group]
    followers = (*stages[1:], None)
    return [
        _card(stage, follower, is_last, order)
        for (stage, is_last), follower, order in zip(placed, followers, orders_of(stages), strict=True)
    ]


def _card(stage: PlannedStage, follower: PlannedStage | None, is_last: bool, order: str) -> Card:
    """Return the card of a stage. is_last: the stage behind it has workers of its own."""
    parts = [_cards(part) for part in stage.call.within]
    runs = f"{stage.call.name} of {_count(len(parts), 'pipeline')}" if parts else _location(stage)
    facts = [f"{stage.role.value} · {runs}"]
    if stage.restarts:
        facts.append(f"each replaced up to {_count(stage.restarts, 'time')}")
    if stage.may_stop:
        facts.append("may stop before its input ends")
    if stage.role is Role.SINK:
        facts.append(f"returns {_items(stage)}")
    link = Link(_items(stage), " · ".join((IN_ORDER[order], *_bounds(follower, is_last))))
    workers = SOME if stage.is_auto else stage.copies
    return Card(printable(stage.name), facts, workers, parts, None if stage.role is Role.SINK else link)


def _items(stage: PlannedStage) -> str:
    return "an unknown type" if stage.yields is UNKNOWN else printable(stage.yields_text)


def _location(stage: PlannedStage) -> str:
    """Return the executor and its size as text: `Processes · 4 workers`."""
    if stage.home is not None:
        return f"with {stage.home}"
    name = type(stage.on).__name__
    if stage.is_auto:
        return f"{name} · auto"
    if stage.on.capabilities.shares_thread:
        return name
    at_once = f", {_count(stage.at_once, 'item')} at once" * (stage.at_once != stage.copies)
    return f"{name} · {_count(stage.copies, 'worker')}{at_once}"


def _bounds(follower: PlannedStage | None, is_last: bool) -> Iterator[str]:
    """Return what bounds the number of items between two stages."""
    if follower is None:
        return
    if not is_last:
        yield "one at a time"
    else:
        yield "bounded by bytes" if follower.in_flight is None else f"at most {follower.in_flight} in flight"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
