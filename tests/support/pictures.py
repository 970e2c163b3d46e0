"""What an SVG shows, as its reader finds it: texts, the boxes that marks cover, and which of them collide."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from chainpump.messages.printable import columns
from chainpump.plan.svg import LETTER

SVG = "{http://www.w3.org/2000/svg}"


class Box(NamedTuple):
    """What one mark covers."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether they have more than an edge in common."""
        return max(self.left, other.left) < min(self.right, other.right) and max(self.top, other.top) < min(
            self.bottom, other.bottom
        )

    def is_within(self, other: Box) -> bool:
        """Whether nothing of it is outside the other one."""
        return other.meets(self) and all(
            (other.left <= self.left, self.right <= other.right, other.top <= self.top, self.bottom <= other.bottom)
        )


class Picture:
    """An SVG that was read again."""

    def __init__(self, text: str) -> None:
        self.root = ET.fromstring(text)

    def lines(self) -> list[str]:
        """Its texts from top to bottom, whole, also where there was no room for all of it."""
        return [each.findtext(f"{SVG}title") or each.text or "" for each in self._sorted_texts()]

    def shown(self) -> list[str]:
        """Its texts from top to bottom, as they are seen."""
        return [each.text or "" for each in self._sorted_texts()]

    def kinds(self) -> list[str]:
        """What its texts are, from top to bottom: of each its class."""
        return [each.attrib["class"] for each in self._sorted_texts()]

    def _sorted_texts(self) -> list[ET.Element]:
        return sorted(self.root.iter(f"{SVG}text"), key=lambda text: float(text.attrib["y"]))

    def texts(self) -> list[Box]:
        """What its texts cover."""
        return [_box_of_text(each) for each in self._sorted_texts()]

    def rectangles(self) -> list[Box]:
        """What its cards and frames cover."""
        return [_box_of(each) for each in self.root.iter(f"{SVG}rect")]

    def ground(self) -> Box:
        """All of it."""
        return Box(0, 0, float(self.root.attrib["width"]), float(self.root.attrib["height"]))

    def collisions(self) -> Iterator[tuple[Box, Box]]:
        """Marks that cross: rectangles may hold others, or texts; texts meet no text."""
        rectangles, texts = self.rectangles(), self.texts()
        for one, other in combinations(rectangles, 2):
            if one.meets(other) and not (one.is_within(other) or other.is_within(one)):
                yield one, other
        yield from ((text, each) for text in texts for each in rectangles if text.meets(each) ^ text.is_within(each))
        yield from (pair for pair in combinations(texts, 2) if pair[0].meets(pair[1]))
        yield from ((each, self.ground()) for each in (*rectangles, *texts) if not each.is_within(self.ground()))


def _box_of_text(text: ET.Element) -> Box:
    width = LETTER["name" if text.get("class") == "name" else "text"] * columns(text.text or "")
    left, line = float(text.attrib["x"]), float(text.attrib["y"])
    # From the top of its letters to below the line.
    return Box(left, line - 12, left + width, line + 4)


def _box_of(mark: ET.Element) -> Box:
    left, top, width, height = (float(mark.attrib[each]) for each in ("x", "y", "width", "height"))
    return Box(left, top, left + width, top + height)
