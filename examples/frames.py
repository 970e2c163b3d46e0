"""A stream of frames of 8 MB, as from a camera: what moves, and where.

    pip install numpy pillow scikit-image
    python examples/frames.py

    camera (a process) ──frames──> grey (a process per core) ──> window(2) ──> motion ──> the loop

The frames are cut from a photograph that scikit-image ships, by a camera that moves over it and stands still in
between. They travel in shared memory: nothing is copied on the way, and the memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chainpump import Inline, Pipeline, Processes, source

Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 1_440, 1_920  # times 3 bytes: 8.3 MB
FRAMES = 90
SPEED = 12  # pixels from one frame to the next while it moves


def photograph() -> Path:
    """Return a picture of a motorcycle."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("This example needs a photograph of scikit-image: pip install scikit-image")
    return Path(spec.submodule_search_locations[0], "data", "motorcycle_left.png")


def camera(path: Path, frames: int) -> Iterator[Pixels]:
    """Yield frames; the camera moves for ten of them, and stands still for ten."""
    with Image.open(path) as picture:
        wide = np.asarray(picture.convert("RGB").resize((3 * WIDTH // 2, 3 * HEIGHT // 2)))
    left = 0
    for number in range(frames):
        left += SPEED if number // 10 % 2 == 0 else 0
        left %= wide.shape[1] - WIDTH
        yield wide[:HEIGHT, left : left + WIDTH].copy()


def grey(frame: Pixels) -> Pixels:
    """Return a small grey copy of a frame."""
    return frame[::4, ::4].mean(axis=2).astype(np.uint8)


def motion(pair: tuple[Pixels, ...]) -> float:
    """Return how much two neighbours differ, in levels of grey."""
    before, after = (each.astype(np.int16) for each in pair)
    return float(np.abs(after - before).mean())


def moving(path: Path, frames: int = FRAMES, workers: int = 2) -> Pipeline[float]:
    """Return the pipeline of what moves from each frame to the next."""
    small = Pipeline(source(camera, path, frames), on=Processes()).map(grey, on=Processes(workers))
    return small.window(2, on=Inline()).map(motion, on=Inline())


def main() -> None:
    """Run from the command line."""
    with moving(photograph()).open(progress=True) as run:
        for number, amount in enumerate(run, 1):
            print(f"{number:3} {amount:5.1f} {'#' * int(amount)}")
        print(run.report())


if __name__ == "__main__":
    main()
