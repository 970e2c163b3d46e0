"""A plan as an SVG: a chain of cards from top to bottom, narrow enough for a phone.

The font is monospaced, so that widths are known without the font. In a page, the picture uses the text colour of the
page. As a separate file, it contains a light and a dark colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..messages.printable import columns
from .diagram import Card, Link, Part, sketch
from .planned_stage import PlannedStage

__all__ = ["COLUMNS", "LETTER", "svg"]

# The unit of these sizes is a pixel. This is the space around the picture.
MARGIN = 8
# The space inside a card.
PADDING = 12
# The height of a line of text.
LINE = 18
# The space between two cards, for two lines of text beside the arrow.
ARROW = 2 * LINE + 14
# The distance from the left edge of a card to its arrow.
STEM = 20
# The width of a letter: 0.6 of 14 and 12 pixels, as in monospaced fonts.
LETTER = {"name": 8.4, "text": 7.2}
# The minimum width of a card.
LEAST = 190
# The maximum number of letters in a line. A longer text is cut; a tooltip shows the whole text.
COLUMNS = 44

STYLE = """\
.chainpump { max-width: 100%; height: auto; font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.chainpump text { fill: currentColor; white-space: pre; }
.chainpump .name { font-size: 14px; font-weight: 600; }
.chainpump .items { fill: color-mix(in srgb, currentColor 45%, #2f81f7); }
.chainpump .notes { fill-opacity: 0.72; }
.chainpump rect, .chainpump path { stroke: currentColor; stroke-opacity: 0.45; fill: none; }
.chainpump .card { fill: currentColor; fill-opacity: 0.05; }
.chainpump .frame { stroke-dasharray: 4 3; }
svg.chainpump:root { color: #1f2328; background: #ffffff; }
@media (prefers-color-scheme: dark) { svg.chainpump:root { color: #e6edf3; background: #0d1117; } }
"""


def svg(stages: Sequence[PlannedStage]) -> str:
    """Return a plan as the text of an SVG file."""
    cards = sketch(stages)
    width = _width(cards)
    drawing = _Drawing()
    bottom = drawing.chain(cards, MARGIN, MARGIN, width)
    across, down = f"{width + 2 * MARGIN:g}", f"{bottom + MARGIN:g}"
    size = f'width="{across}" height="{down}" viewBox="0 0 {across} {down}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chainpump" role="img" {size}>',
        f"<title>{escape(' → '.join(card.name for card in cards))}</title>",
        f"<desc>{escape(' '.join(_description(cards)))}</desc>",
        f"<style>\n{STYLE}</style>",
    )
    return "\n".join((*head, *drawing.marks, "</svg>\n"))


def _description(cards: Part) -> Iterator[str]:
    """Return a description with one sentence for each stage, for screen readers."""
    for card in cards:
        for number, part in enumerate(card.parts, 1):
            yield f"Part {number} of {card.name}:"
            yield from _description(part)
        sent = f", sends {card.link.items}, {card.link.notes}" if card.link else ""
        yield f"{card.name}: {', '.join(card.facts)}{sent}."


def _width(cards: Part) -> float:
    """Return the width of the widest card of a chain."""
    return max(LEAST, *map(_width_of, cards))


def _width_of(card: Card) -> float:
    lines = [_length(card.name, "name"), *map(_length, card.facts), *map(_width, card.parts)]
    if card.link is not None:
        lines += [STEM + _length(card.link.items), STEM + _length(card.link.notes)]
    return 2 * PADDING + max(lines)


def _length(text: str, kind: str = "text") -> float:
    return columns(_cut(text)) * LETTER[kind]


class _Drawing:
    """The elements of a picture. Each method draws downwards from the top and returns the bottom's coordinate."""

    def __init__(self) -> None:
        self.marks: list[str] = []

    def chain(self, cards: Part, x: float, y: float, width: float) -> float:
        """Draw cards with arrows between them. The last link has a text and no arrow."""
        for card in cards:
            y = self._card(card, x, y, width)
            if card.link is not None:
                y = self._arrow(card.link, x, y, with_head=card is not cards[-1])
        return y

    def _card(self, card: Card, x: float, y: float, width: float) -> float:
        # The frame comes before its content in the file, so that the content is drawn over it.
        frame = len(self.marks)
        bottom = self._text(x + PADDING, y + PADDING - 2, "name", card.name)
        for fact in card.facts:
            bottom = self._text(x + PADDING, bottom, "fact", fact)
        for part in card.parts:
            bottom = self.chain(part, x + PADDING, bottom + PADDING, width - 2 * PADDING)
        bottom += PADDING - 2
        kind = "frame" if card.parts else "card"
        self.marks.insert(frame, _rectangle(kind, x, y, width, bottom - y))
        # A stack of cards shows several workers.
        for edge in range(1, min(card.workers, 3)):
            inset = 4 * edge
            self.marks.append(f'<path d="M{x + inset:g} {bottom + 3 * edge:g}h{width - 2 * inset:g}"/>')
        return bottom

    def _arrow(self, link: Link, x: float, y: float, *, with_head: bool) -> float:
        if with_head:
            stem, bottom = x + STEM, y + ARROW
            self.marks.append(f'<path d="M{stem:g} {y + 8:g}V{bottom - 2:g}m-4 -5l4 5l4 -5"/>')
        below = self._text(x + STEM + PADDING, y + 9, "items", link.items)
        self._text(x + STEM + PADDING, below, "notes", link.notes)
        return y + ARROW

    def _text(self, x: float, y: float, kind: str, text: str) -> float:
        shown = _cut(text)
        whole = "" if shown == text else f"<title>{escape(text)}</title>"
        self.marks.append(f'<text class="{kind}" x="{x:g}" y="{y + 13:g}">{escape(shown)}{whole}</text>')
        return y + LINE


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'


def _cut(text: str) -> str:
    """Return the beginning of a text that fits."""
    # Text after this limit never fits.
    start = text[: COLUMNS + 1]
    if columns(start) <= COLUMNS and start == text:
        return text
    while columns(start) >= COLUMNS:
        start = start[:-1]
    return f"{start}…"
