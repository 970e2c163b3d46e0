"""A table that prints aligned or as Markdown, and how figures are written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """rows: cells as text, one per column; the first `labels` columns are aligned left, the others right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    labels: int = 2

    def text(self) -> str:
        """The table for a terminal."""
        header, *lines = self._aligned()
        notes = [f"* {note}" for note in self.notes]
        return "\n".join([self.title, "", header, "-" * len(header), *lines, *notes])

    def markdown(self) -> str:
        """The same as GitHub Markdown."""
        rule = ["---"] * self.labels + ["---:"] * (len(self.columns) - self.labels)
        rows = (f"| {' | '.join(cells)} |" for cells in (self.columns, rule, *self.rows))
        return "\n".join([f"## {self.title}", "", *rows, "", *(f"* {note}" for note in self.notes), ""])

    def _aligned(self) -> Iterator[str]:
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        for cells in (self.columns, *self.rows):
            yield "  ".join(
                cell.ljust(width) if column < self.labels else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()


def rate(per_second: float) -> str:
    """Items per second with three digits: 1.53M, 27.1k, 161, 3.20."""
    return _scaled(per_second, ((1e6, "M"), (1e3, "k"), (1, "")))


def duration(seconds: float) -> str:
    """Seconds with three digits: 2.04 s, 5.80 ms, 0.600 us."""
    return _scaled(seconds, ((1, " s"), (1e-3, " ms"), (1e-6, " us")))


def size(nbytes: float) -> str:
    """Bytes with three digits: 1.05 GB, 64.0 MB, 100 KB."""
    return _scaled(nbytes, ((1e9, " GB"), (1e6, " MB"), (1e3, " KB")))


def times(ratio: float) -> str:
    """A ratio with three digits: 0.412x, 21.3x, 350x."""
    return _scaled(ratio, ((1, "x"),))


def verdict(*, met: bool, trusted: bool) -> str:
    """Whether a wanted figure was reached in this run; "?" where the run cannot tell."""
    return ("yes" if met else "NO") if trusted else "?"


def _scaled(value: float, units: Iterable[tuple[float, str]]) -> str:
    *larger, smallest = units
    factor, unit = next((pair for pair in larger if value >= pair[0]), smallest)
    number = value / factor
    return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3}f}{unit}"
