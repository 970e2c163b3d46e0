"""A plan as a Mermaid flowchart: text that many web pages show as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .diagram import Card, Link, Part, sketch
from .planned_stage import PlannedStage

__all__ = ["mermaid"]

# The characters that are safe besides letters and digits. Any other character could have a meaning in Mermaid or its
# Markdown.
PLAIN = frozenset(" _,·")
# These characters have a meaning even as entities, together with the next character. A zero-width space separates the
# two.
SPLIT = frozenset("\\$:")


def mermaid(stages: Sequence[PlannedStage]) -> str:
    """Return a plan as the text of a flowchart, which ends in a line break."""
    return "".join(f"{line}\n" for line in ("flowchart TD", *_chain(sketch(stages), "s", "    ")))


def _chain(cards: Part, prefix: str, indent: str) -> Iterator[str]:
    """Return the lines of a chain; its nodes are named by prefix and number."""
    for index, card in enumerate(cards):
        node = f"{prefix}{index}"
        yield from _parts(card, node, indent)
        yield f"{indent}{node}[{_quoted(card.name, *card.facts)}]"
        if index:
            yield _arrow(cards[index - 1].link, f"{prefix}{index - 1}", node, indent)


def _parts(card: Card, node: str, indent: str) -> Iterator[str]:
    for number, part in enumerate(card.parts, 1):
        prefix = f"{node}p{number}s"
        yield f"{indent}subgraph {node}p{number}[{_quoted(f'part {number}')}]"
        yield from _chain(part, prefix, f"{indent}    ")
        yield f"{indent}end"
        yield _arrow(part[-1].link, f"{prefix}{len(part) - 1}", node, indent)


def _arrow(link: Link | None, start: str, stop: str, indent: str) -> str:
    # Only a sink has no link, and no card follows it.
    assert link is not None
    return f"{indent}{start} -->|{_quoted(link.items, link.notes)}| {stop}"


def _quoted(*lines: str) -> str:
    return f'"{"<br/>".join(map(_escaped, lines))}"'


def _escaped(text: str) -> str:
    """Return a text in which each unsafe character is a Mermaid entity.

    >>> _escaped("list[int]")
    'list#91;int#93;'
    """
    return "".join(map(_entity, text))


def _entity(sign: str) -> str:
    if sign.isalnum() or sign in PLAIN:
        return sign
    return f"#{ord(sign)};{'#8203;' * (sign in SPLIT)}"
