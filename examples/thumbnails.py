"""Thumbnails and perceptual hashes of photographs, some of which are broken.

    pip install scikit-image pillow             # scikit-image ships the photographs
    python examples/thumbnails.py thumbnails    # writes the thumbnails and sheet.jpg into this folder

    photographs ──paths──> thumbnail (a process per core; broken files are put aside) ──> sheet

A difference hash has one bit for each of 64 pairs of neighbouring pixels of a tiny grey copy: whether the left one is
brighter. Pictures that look alike have hashes that differ in few bits, whatever their size and format.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

from PIL import Image, ImageDraw, UnidentifiedImageError

from chainpump import DeadLetter, Inline, Pipeline, Processes, Report, sink

SIZE = 160  # pixels, the longer side of a thumbnail
ALIKE = 6  # bits of 64 in which hashes of pictures that look alike may differ


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail that has been written, and the hash of its picture."""

    name: str
    path: Path
    hash: int


def photographs() -> list[Path]:
    """Return the pictures that scikit-image ships."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("This example needs the photographs of scikit-image: pip install scikit-image")
    folder = Path(spec.submodule_search_locations[0], "data")
    return sorted(path for path in folder.iterdir() if path.suffix in {".png", ".jpg"})


def damaged(paths: Iterable[Path], folder: Path) -> Iterator[Path]:
    """Yield all paths, and files as they come in practice: smaller, broken off, or no picture at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        yield path
        if number % 5 == 0:
            copy = folder / f"{path.stem}-small.jpg"
            with Image.open(path) as picture:
                picture.convert("RGB").resize((picture.width // 2, picture.height // 2)).save(copy, quality=70)
            yield copy
        elif number % 5 == 1:
            half = folder / f"{path.stem}-half{path.suffix}"
            half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            yield half
        elif number % 5 == 2:
            text = folder / f"{path.stem}-page.png"
            text.write_text("<html>Not found</html>", encoding="utf-8")
            yield text


def difference_hash(picture: Image.Image) -> int:
    """Return the 64 bits of the picture."""
    pixels = picture.convert("L").resize((9, 8)).tobytes()
    bits = [pixels[row * 9 + column] > pixels[row * 9 + column + 1] for row in range(8) for column in range(8)]
    return sum(bit << place for place, bit in enumerate(bits))


def thumbnail(path: Path, folder: Path) -> Thumbnail:
    """Write the thumbnail of a picture, whole or not at all. Raises OSError if the file is broken."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    mark = difference_hash(small)
    small.thumbnail((SIZE, SIZE))
    made = folder / f"{path.stem}.jpg"
    beside = made.with_suffix(f".{os.getpid()}")
    small.save(beside, "JPEG", quality=85)
    beside.replace(made)
    return Thumbnail(path.name, made, mark)


def alike(thumbnails: Iterable[Thumbnail]) -> list[tuple[str, str]]:
    """Return the pairs of names whose pictures look alike."""
    pairs = combinations(thumbnails, 2)
    return [(one.name, other.name) for one, other in pairs if (one.hash ^ other.hash).bit_count() <= ALIKE]


def sheet(thumbnails: Iterable[Thumbnail], path: Path) -> list[Thumbnail]:
    """Draw all thumbnails on one sheet, and return them."""
    kept = list(thumbnails)
    columns = 8
    rows = -(-len(kept) // columns)
    page = Image.new("RGB", (columns * (SIZE + 8), rows * (SIZE + 24)), "white")
    draw = ImageDraw.Draw(page)
    for number, each in enumerate(kept):
        left, top = number % columns * (SIZE + 8), number // columns * (SIZE + 24)
        with Image.open(each.path) as picture:
            page.paste(picture, (left + (SIZE - picture.width) // 2, top + (SIZE - picture.height) // 2))
        draw.text((left + 4, top + SIZE + 4), each.name[:24], fill="black")
    page.save(path, quality=80)
    return kept


def thumbnails(paths: Iterable[Path], folder: Path, workers: int = 2) -> Report[list[Thumbnail]]:
    """Make all thumbnails in this folder, and the sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    broken = DeadLetter(OSError, UnidentifiedImageError)
    made = Pipeline(paths).map(
        partial(thumbnail, folder=folder), on=Processes(workers), on_error=broken, timeout=30, name="thumbnail"
    )
    return made.into(sink(sheet, folder / "sheet.jpg"), on=Inline()).run()


def main() -> None:
    """Run from the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "thumbnails")
    report = thumbnails(damaged(photographs(), folder / "copies"), folder)
    print(report)
    for letter in report.dead_letters:
        print(f"broken: {letter.item.name}: {type(letter.error).__name__}")
    for one, other in alike(report.value):
        print(f"alike:  {one} and {other}")


if __name__ == "__main__":
    main()
