"""A plan as a Mermaid flowchart: text that many pages turn into a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .diagram import Card, Link, Part, sketch
from .planned_stage import PlannedStage

__all__ = ["mermaid"]

# Besides letters and digits; any other sign could mean something to Mermaid or its Markdown.
PLAIN = frozenset(" _,·")
# Mean something even as entities, with what follows: a space of no width keeps them apart.
SPLIT = frozenset("\\$:")


def mermaid(stages: Sequence[PlannedStage]) -> str:
    """A plan as the text of a flowchart, which ends in a line break."""
    return "".join(f"{line}\n" for line in ("flowchart TD", *_chain(sketch(stages), "s", "    ")))


def _chain(cards: Part, prefix: str, indent: str) -> Iterator[str]:
    """The lines of a chain; its nodes are called by prefix and number."""
    for place, card in enumerate(cards):
        node = f"{prefix}{place}"
        yield from _parts(card, node, indent)
        yield f"{indent}{node}[{_quoted(card.name, *card.facts)}]"
        if place:
            yield _arrow(cards[place - 1].link, f"{prefix}{place - 1}", node, indent)


def _parts(card: Card, node: str, indent: str) -> Iterator[str]:
    for number, part in enumerate(card.parts, 1):
        prefix = f"{node}p{number}s"
        yield f"{indent}subgraph {node}p{number}[{_quoted(f'part {number}')}]"
        yield from _chain(part, prefix, f"{indent}    ")
        yield f"{indent}end"
        yield _arrow(part[-1].link, f"{prefix}{len(part) - 1}", node, indent)


def _arrow(link: Link | None, start: str, stop: str, indent: str) -> str:
    # Only sinks have none, and nothing follows them.
    assert link is not None
    return f"{indent}{start} -->|{_quoted(link.items, link.notes)}| {stop}"


def _quoted(*lines: str) -> str:
    return f'"{"<br/>".join(map(_escaped, lines))}"'


def _escaped(text: str) -> str:
    """A text in which whatever is not plain is a Mermaid entity.

    >>> _escaped("list[int]")
    'list#91;int#93;'
    """
    return "".join(map(_entity, text))


def _entity(sign: str) -> str:
    if sign.isalnum() or sign in PLAIN:
        return sign
    return f"#{ord(sign)};{'#8203;' * (sign in SPLIT)}"
