"""Draws how items move between two processes, for docs/transport.md: `python docs/transport_picture.py`."""

from __future__ import annotations

from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent / "pictures" / "transport.svg"
STYLE = (
    "<style>.wire text{font:13px system-ui,sans-serif;fill:var(--color-foreground-primary,#777)}"
    ".wire .quiet{fill:var(--color-foreground-muted,#888);font-size:12px}"
    ".wire .room{fill:none;stroke:var(--color-foreground-border,#999);stroke-dasharray:5 4}"
    ".wire .box{fill:var(--color-background-secondary,none);stroke:var(--color-foreground-border,#999)}"
    ".wire .way{fill:none;stroke:var(--color-brand-primary,#0b6e69);stroke-width:2}"
    ".wire .back{fill:none;stroke:var(--color-foreground-muted,#888);stroke-dasharray:4 3}"
    ".wire .head{fill:var(--color-brand-primary,#0b6e69)}.wire .tail{fill:var(--color-foreground-muted,#888)}</style>"
)


def box(left: int, top: int, wide: int, high: int, *lines: str) -> list[str]:
    """Draw a box with centred lines, of which all but the first are quiet."""
    parts = [f'<rect class="box" x="{left}" y="{top}" width="{wide}" height="{high}" rx="6"/>']
    begin = top + high / 2 + 4 - 8 * (len(lines) - 1)
    for number, line in enumerate(lines):
        kind = ' class="quiet"' if number else ""
        place = f'x="{left + wide / 2}" y="{begin + 16 * number}" text-anchor="middle"'
        parts.append(f"<text{kind} {place}>{escape(line)}</text>")
    return parts


def arrow(left: int, right: int, height: int, text: str, back: bool = False) -> list[str]:
    """Draw an arrow with a text above it; one that goes back is quiet."""
    line, head, sign = ("back", "tail", -1) if back else ("way", "head", 1)
    begin, end = (right, left) if back else (left, right)
    return [
        f'<path class="{line}" d="M{begin} {height}H{end - sign * 8}"/>',
        f'<path class="{head}" d="M{end} {height}l{-sign * 9} -5v10z"/>',
        f'<text class="quiet" x="{(left + right) / 2}" y="{height - 7}" text-anchor="middle">{escape(text)}</text>',
    ]


def room(left: int, name: str) -> list[str]:
    """Draw the outline of a process."""
    return [
        f'<rect class="room" x="{left}" y="30" width="230" height="240" rx="10"/>',
        f'<text x="{left + 12}" y="22">{escape(name)}</text>',
    ]


def picture() -> str:
    """Return the picture."""
    parts = [
        *room(10, "worker of stage A"),
        *room(490, "worker of stage B"),
        *box(30, 50, 190, 44, "your function", "yields items"),
        *box(30, 118, 190, 44, "Output", "collects a frame of items"),
        *box(30, 202, 190, 48, "slabs", "shared memory of this worker"),
        *box(510, 50, 190, 44, "your function", "iterates"),
        *box(510, 118, 190, 44, "Input", "opens frames, counts"),
        *box(510, 202, 190, 48, "views", "writable, without a copy"),
        '<path class="way" d="M125 94V110"/><path class="head" d="M125 118l-5 -9h10z"/>',
        '<path class="way" d="M605 118V102"/><path class="head" d="M605 94l-5 9h10z"/>',
        *arrow(220, 510, 130, "frames: packets of one socket"),
        *arrow(220, 510, 152, "items that take 1 ms: the board", back=True),
        *arrow(220, 510, 216, "large buffers: the same pages in both"),
        *arrow(220, 510, 240, "8 bytes: this slab is free again", back=True),
    ]
    size = 'viewBox="0 0 730 280" width="730" height="280"'
    label = "A worker sends frames through a socket, and large buffers in shared memory, to a worker of the next stage"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="wire" {size} role="img" aria-label="{label}">'
    return "\n".join([opening, STYLE, *parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
