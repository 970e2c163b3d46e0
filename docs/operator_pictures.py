"""Makes the pictures of docs/operators.md by running each operator: `python docs/operator_pictures.py`.

Items are circles. A result has the colour of the item that it comes from, whatever was done to it on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from chainpump import Pipeline, Runnable

PICTURES = Path(__file__).parent / "pictures"
COLOURS = ("#2a78b8", "#c2571a", "#2f8f4e", "#8a4fb0", "#b8860b", "#c23a5e")
RADIUS, GAP = 15, 8  # pixels
STYLE = (
    "<style>.items text{font:13px system-ui,sans-serif;text-anchor:middle;fill:#fff}"
    ".items .code{font:13px ui-monospace,monospace;text-anchor:start;fill:var(--color-foreground-primary,#777)}"
    ".items .plain{fill:var(--color-foreground-primary,#777)}"
    ".items .line,.items .box{fill:none;stroke:var(--color-foreground-border,#999)}"
    ".items .box{fill:var(--color-background-primary,none)}"
    ".items .head{fill:var(--color-foreground-border,#999)}</style>"
)


@dataclass(frozen=True)
class Item:
    """An item: its text, and the colour of the item that it comes from."""

    text: str
    colour: str

    def __repr__(self) -> str:
        return self.text


def items(texts: str, first: int = 0) -> Pipeline[Item]:
    """Return a pipeline of one item for each word."""
    made = [Item(text, COLOURS[(first + place) % len(COLOURS)]) for place, text in enumerate(texts.split())]
    return Pipeline(made)


def upper(item: Item) -> Item:
    """Return it in capitals."""
    return replace(item, text=item.text.upper())


def letters(item: Item) -> list[Item]:
    """Return its letters."""
    return [replace(item, text=letter) for letter in item.text]


def is_short(item: Item) -> bool:
    """Return whether it has two letters."""
    return len(item.text) == 2


def length(item: Item) -> int:
    """Return the number of its letters."""
    return len(item.text)


def text_of(item: Item) -> str:
    """Return its text."""
    return item.text


def nothing(item: Item) -> None:
    """Do nothing."""


def in_pairs(all_items: Iterable[Item]) -> Iterator[tuple[Item, Item]]:
    """Yield pairs, the second item first."""
    rest = iter(all_items)
    yield from ((second, first) for first, second in zip(rest, rest, strict=False))


def joined(all_items: Iterable[Item]) -> list[Item]:
    """Return all items: a sink."""
    return list(all_items)


WORDS, OTHERS = "to be or not to be", "a b"
# For each operator: how it is written, and how it is made.
OPERATORS: dict[str, tuple[str, Callable[[Pipeline[Item]], Any]]] = {
    "map": (".map(str.upper)", lambda words: words.map(upper)),
    "filter": (".filter(lambda word: len(word) == 2)", lambda words: words.filter(is_short)),
    "flat_map": (".flat_map(list)", lambda words: words.take(3).flat_map(letters)),
    "tap": (".tap(log): calls log for each", lambda words: words.tap(nothing)),
    "each": (".each(store): calls store for each, and ends the pipeline", lambda words: words.each(nothing)),
    "batch": (".batch(4)", lambda words: words.batch(4)),
    "batch_by": (".batch(by=len, most=5)", lambda words: words.batch(by=length, most=5)),
    "group_by": (".group_by(len)", lambda words: words.group_by(length)),
    "window": (".window(3)", lambda words: words.window(3)),
    "unbatch": (".unbatch()", lambda words: words.batch(4).unbatch()),
    "take": (".take(2)", lambda words: words.take(2)),
    "take_while": (".take_while(lambda word: len(word) == 2)", lambda words: words.take_while(is_short)),
    "skip": (".skip(4)", lambda words: words.skip(4)),
    "skip_while": (".skip_while(lambda word: len(word) == 2)", lambda words: words.skip_while(is_short)),
    "distinct": (".distinct()", lambda words: words.distinct(key=text_of)),
    "enumerate": (".enumerate()", lambda words: words.take(4).enumerate()),
    "shuffle": (".shuffle(6, seed=3)", lambda words: words.shuffle(6, seed=3)),
    "then": (".then(in_pairs): a generator function of all items", lambda words: words.then(in_pairs)),
    "into": (".into(list): one value of all items", lambda words: words.into(joined)),
    "concat": ("Pipeline.concat(words, letters)", lambda words: Pipeline.concat(words, items(OTHERS, 4))),
    "interleave": ("Pipeline.interleave(words, letters)", lambda words: Pipeline.interleave(words, items(OTHERS, 4))),
    "merge": ("Pipeline.merge(words, letters): as they come", lambda words: Pipeline.merge(words, items(OTHERS, 4))),
}
# Others than six words in six colours: what goes in.
BEFORE: dict[str, Callable[[Pipeline[Item]], list[Any]]] = {
    "flat_map": lambda words: list(words.inline())[:3],
    "enumerate": lambda words: list(words.inline())[:4],
    "unbatch": lambda words: list(words.batch(4).inline()),
}
TWO = {"concat", "interleave", "merge"}


def element(value: Any, left: float, middle: float, around: int = 6) -> tuple[float, list[str]]:
    """Draw a value from this place on; return the place behind it, and the parts."""
    if isinstance(value, Item):
        wide = max(2 * RADIUS, 9 * len(value.text) + 12)
        shape = f'<rect x="{left}" y="{middle - RADIUS}" width="{wide}" height="{2 * RADIUS}" rx="{RADIUS}"'
        text = f'<text x="{left + wide / 2}" y="{middle + 4.5}">{escape(value.text)}</text>'
        return left + wide, [f'{shape} fill="{value.colour}"/>', text]
    if isinstance(value, list | tuple):
        parts: list[str] = []
        place = left + GAP
        for number, each in enumerate(value):
            place, drawn = element(each, place + (GAP if number else 0), middle, around - 3)
            parts += drawn
        wide, high = place + GAP - left, RADIUS + around
        box = f'<rect class="box" x="{left}" y="{middle - high}" width="{wide}" height="{2 * high}" rx="{high}"/>'
        return left + wide, [box, *parts]
    return left + 12, [f'<text class="plain" x="{left + 6}" y="{middle + 4.5}">{escape(str(value))}</text>']


def row(values: Iterable[Any], middle: float) -> tuple[float, list[str]]:
    """Draw values on a line with an arrow at its end."""
    place, parts = 10.0, []
    for value in values:
        place, drawn = element(value, place + 2 * GAP, middle)
        parts += drawn
    end = place + 3 * GAP
    line = f'<path class="line" d="M10 {middle}H{end}"/>'
    # A line behind the items, and boxes that hide it.
    head = f'<path class="head" d="M{end} {middle - 4}l8 4l-8 4z"/>'
    return end + 10, [line, head, *parts]


def picture(name: str) -> str:
    """Return the picture of an operator."""
    code, make = OPERATORS[name]
    words = items("to be or not to be") if name not in TWO else items("to be or")
    if name in TWO:
        words = Pipeline([replace(each, colour=COLOURS[0]) for each in words.inline()])
    before = [BEFORE[name](words) if name in BEFORE else list(words.inline())]
    if name in TWO:
        before.append(list(items(OTHERS, 4).inline()))
    made = make(words).inline()
    after = made.run().value if isinstance(made, Runnable) else list(made)
    middle, parts, widest = 24.0, [], 0.0
    for values in before:
        wide, drawn = row(values, middle)
        parts, widest, middle = parts + drawn, max(widest, wide), middle + 44
    parts.append(f'<text class="code" x="26" y="{middle + 4}">{escape(code)}</text>')
    middle += 44
    if name == "into":
        wide, drawn = element(after, 26, middle)
    else:
        wide, drawn = row(after or [], middle) if name != "each" else (0, [])
    parts, widest = parts + drawn, max(widest, wide, 60 + 8 * len(code))
    high = middle + 26 if drawn else middle - 18
    size = f'viewBox="0 0 {widest + 4:.0f} {high:.0f}" width="{widest + 4:.0f}" height="{high:.0f}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="items" {size} role="img" aria-label="{escape(code)}">'
    return "\n".join([opening, STYLE, *parts, "</svg>", ""])


def main() -> None:
    """Write all pictures."""
    for name in OPERATORS:
        (PICTURES / f"operator_{name}.svg").write_text(picture(name), encoding="utf-8")


if __name__ == "__main__":
    main()
