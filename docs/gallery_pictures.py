"""Makes the pictures of the gallery, by running its examples: `nox -s gallery -- --pictures`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"
sys.path.insert(0, str(DOCS.parent / "examples"))

# Found by the line above.
import crawler  # noqa: E402
import dirty_rows  # noqa: E402
import durable_cluster  # noqa: E402
import embeddings  # noqa: E402
import frames  # noqa: E402
import thumbnails  # noqa: E402

# Photographs in the public domain.
FREE = {"astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg"}
STYLE = (
    "<style>.chart text{font:13px system-ui,sans-serif;fill:var(--color-foreground-primary,#666)}"
    ".chart .quiet{fill:var(--color-foreground-muted,#888)}.chart .bar{fill:var(--color-brand-primary,#0b6e69)}</style>"
)


def bars(name: str, title: str, rows: Sequence[tuple[str, float, str]]) -> None:
    """Draw a chart of horizontal bars: for each its label, its length, and the text behind it."""
    most = max(length for _, length, _ in rows)
    left, width = 210, 200
    height = 30 + 24 * len(rows)
    parts = [f'<text x="0" y="16" class="quiet">{title}</text>']
    for number, (label, length, behind) in enumerate(rows):
        top = 30 + 24 * number
        long = max(1, round(width * length / most))
        parts += [
            f'<text x="{left - 8}" y="{top + 13}" text-anchor="end">{label}</text>',
            f'<rect class="bar" x="{left}" y="{top}" width="{long}" height="16" rx="2"/>',
            f'<text x="{left + long + 6}" y="{top + 13}" class="quiet">{behind}</text>',
        ]
    write(name, title, 640, height, parts)


def columns(name: str, title: str, values: Sequence[float]) -> None:
    """Draw a chart with one thin column for each value."""
    most = max(values)
    wide = 640 / len(values)
    parts = [f'<text x="0" y="16" class="quiet">{title}</text>']
    for number, value in enumerate(values):
        high = max(1, round(100 * value / most))
        left, top = number * wide, 130 - high
        parts.append(f'<rect class="bar" x="{left:.1f}" y="{top}" width="{wide * 0.8:.1f}" height="{high}"/>')
    write(name, title, 640, 134, parts)


def write(name: str, title: str, width: int, height: int, parts: Sequence[str]) -> None:
    """Write a picture that takes the colours of the page which it is in."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" {size}'
    text = "\n".join([f'{opening} role="img" aria-label="{title}">', STYLE, *parts, "</svg>", ""])
    (PICTURES / f"{name}.svg").write_text(text, encoding="utf-8")


def main() -> None:
    """Run all examples."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        free = [path for path in thumbnails.photographs() if path.name in FREE]
        made = thumbnails.thumbnails(thumbnails.damaged(free, folder / "copies"), folder / "made")
        assert made.value
        (DOCS / "gallery" / "thumbnails.jpg").write_bytes((folder / "made" / "sheet.jpg").read_bytes())

        report = dirty_rows.convert(dirty_rows.lines(dirty_rows.ROWS), folder / "rows.parquet")
        dead = (folder / "rows.dead.jsonl").read_text(encoding="utf-8").splitlines()
        kinds = Counter(json.loads(line)["error"].partition(":")[0] for line in dead)
        shown = [(kind, count, f"{count:,}") for kind, count in kinds.most_common(5)]
        bars("dirty_rows", f"{report.value:,} rows are right; {len(dead):,} dead letters, by what is wrong", shown)

        # A name of its own, by which it finds its machines.
        with TemporaryDirectory(prefix="index-") as index:
            outcome = durable_cluster.killed_twice(Path(index))
        first = outcome.stored_at_first
        counts = (
            ("stored, then all was killed", first),
            ("stored by the run after it", outcome.report.stages[-1].received),
            ("of these, a second time", outcome.stored_again),
        )
        shown = [(label, count, f"{count} files") for label, count in counts]
        bars("durable_cluster", f"{durable_cluster.FILES} files; the second run loses a machine", shown)

        with crawler.server() as (site, requests):
            found = crawler.crawl(site)
        tries = Counter(requests.values())
        rows = [
            (f"after {n} request{'s' * (n > 1)}", pages, f"{pages} page{'s' * (pages > 1)}")
            for n, pages in sorted(tries.items())
        ]
        bars("crawler", f"{len(found.links)} of {crawler.PAGES} pages, by {requests.total()} requests", rows)

        database, model = folder / "texts.sqlite", embeddings.model_folder()
        embeddings.index(embeddings.docstrings(embeddings.TEXTS), database, model)
        question = "remove a file"
        hits = embeddings.search(database, question, model)
        best = [(name, likeness, f"{likeness:.2f}  {line[:28]}") for likeness, name, line in hits]
        bars("embeddings", f"nearest to: {question}", best)

    columns("frames", "how much each frame differs from the one before it", list(frames.moving(frames.photograph())))


if __name__ == "__main__":
    main()
