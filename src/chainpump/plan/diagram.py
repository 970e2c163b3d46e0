"""What a picture of a plan says, before anybody draws it: cards for its stages, and what moves between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..hints.annotations import UNKNOWN
from ..lazy_dataclass import dataclass, replace
from ..messages.names import Role
from ..messages.printable import printable
from .planned_stage import PlannedStage
from .sections import orders_of

__all__ = ["Card", "Link", "Part", "sketch"]

# Workers that are drawn of a stage that has as many as are of use.
SOME = 3
IN_ORDER = {"kept": "in order", "undefined": "as they come"}


@dataclass(frozen=True, slots=True)
class Link:
    """What leaves a stage. items: their type. notes: their order, and what bounds how many are on their way."""

    items: str
    notes: str


@dataclass(frozen=True, slots=True)
class Card:
    """A stage, in short lines. workers: how many are drawn. parts: the chains that run within it, of a joined source.

    link: what leaves it; None at the end of a chain.
    """

    name: str
    facts: Sequence[str]
    workers: int = 1
    parts: Sequence[Part] = ()
    link: Link | None = None


Part = Sequence[Card]


def sketch(stages: Sequence[PlannedStage]) -> list[Card]:
    """The cards of a pipeline, from its source on; without a sink, the last is the loop that takes its items."""
    *cards, last = _cards(stages)
    if last.link is None:
        return [*cards, last]
    bound = "one at a time" if stages[-1].on.capabilities.shares_thread else "bounded by bytes"
    link = replace(last.link, notes=f"{last.link.notes} · {bound}")
    return [*cards, replace(last, link=link), Card("iteration", ("the loop that takes the items",))]


def _cards(stages: Sequence[PlannedStage]) -> list[Card]:
    followers = (*stages[1:], None)
    return [_card(*each) for each in zip(stages, followers, orders_of(stages), strict=True)]


def _card(stage: PlannedStage, follower: PlannedStage | None, order: str) -> Card:
    parts = [_cards(part) for part in stage.call.within]
    runs = f"{stage.call.name} of {_count(len(parts), 'pipeline')}" if parts else _place(stage)
    facts = [f"{stage.role.value} · {runs}"]
    if stage.restarts:
        facts.append(f"each replaced up to {_count(stage.restarts, 'time')}")
    if stage.may_stop:
        facts.append("may stop before its input ends")
    if stage.role is Role.SINK:
        facts.append(f"returns {_items(stage)}")
    link = Link(_items(stage), " · ".join((IN_ORDER[order], *_bounds(stage, follower))))
    workers = SOME if stage.is_auto else stage.copies
    return Card(printable(stage.name), facts, workers, parts, None if stage.role is Role.SINK else link)


def _items(stage: PlannedStage) -> str:
    return "an unknown type" if stage.yields is UNKNOWN else printable(stage.yields_text)


def _place(stage: PlannedStage) -> str:
    """An executor and how much of it there is: `Processes · 4 workers`."""
    name = type(stage.on).__name__
    if stage.is_auto:
        return f"{name} · auto"
    if stage.on.capabilities.shares_thread:
        return name
    at_once = f", {_count(stage.at_once, 'item')} at once" * (stage.at_once != stage.copies)
    return f"{name} · {_count(stage.copies, 'worker')}{at_once}"


def _bounds(stage: PlannedStage, follower: PlannedStage | None) -> Iterator[str]:
    """What bounds the items between two stages."""
    if follower is None:
        return
    if stage.shares_worker_with(follower):
        yield "one at a time"
    else:
        yield "bounded by bytes" if follower.in_flight is None else f"at most {follower.in_flight} in flight"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
