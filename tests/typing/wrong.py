"""Mistakes that type checkers find: each is reported on its line, marked `E:`, and nothing else is."""

# pyright: strict
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from chainpump import (
    Pipeline,
    Processes,
    Tasks,
    Threads,
    current_worker,
    per_worker,
    register_codec,
    sink,
    source,
    stage,
)
from chainpump.extending import Action, ProgramExecutor, Verdict

T = TypeVar("T")


class Image: ...


class Png(Image): ...


def paths(folder: str, *, suffix: str = ".jpg") -> Iterator[Path]:
    yield Path(folder, suffix)


def decode(files: Iterable[Path], size: int = 3) -> Iterator[Image]:
    yield from (Image() for _ in files if size)


def infer(images: Iterable[Image], weights: str) -> Iterator[float]:
    yield from (0.5 for _ in images if weights)


def compress(images: Iterable[Png]) -> Iterator[bytes]:
    yield from (b"" for _ in images)


def batch(items: Iterable[T], n: int) -> Iterator[list[T]]:
    yield list(items)[:n]


def save(images: Iterable[Image], table: str) -> int:
    return len(table) + len(list(images))


def one(path: Path) -> Image:
    return Image()


def ones(image: Image) -> list[Image]:
    return [image]


def whole(images: list[Image]) -> Iterator[Image]:
    yield from images


async def fetch(urls: Iterable[Path]) -> AsyncIterator[Image]:
    for _ in urls:
        yield Image()


def area(image: Image) -> int:
    return 0


def one_after_another(images: Iterator[Image]) -> Iterator[Image]:
    yield next(images)


def is_png(image: Image) -> TypeGuard[Png]:
    return isinstance(image, Png)


async def fetch_one(path: Path) -> bytes:
    return b""


files = Pipeline(source(paths, "/data"))
images = files.then(decode)

# Arguments that the function does not take, or not so.
source(paths)  # E: no folder
source(paths, 3)  # E: an int for a str
source(paths, "/data", sufix=".png")  # E: misspelt
stage(decode, size="3")  # E: a str for an int
stage(decode, 3, 4)  # E: one too many
stage(infer)  # E: no weights
sink(save, tabel="images")  # E: misspelt

# Functions that are no sources or stages.
source(one, Path())  # E: nothing to iterate
stage(one)  # E: takes one item
stage(whole)  # E: takes a list
stage(fetch)  # E: async
files.then(one)  # E: takes one item
files.then(fetch)  # E: async
stage(decode([]))  # E: called already

# Junctions that do not fit.
files.then(stage(infer, "m.pt"))  # E: a Path for an Image
images.then(decode)  # E: an Image for a Path
images.then(stage(batch, 3)).then(stage(infer, "m.pt"))  # E: a list of them for one
images.then(compress)  # E: any Image for a Png
files.into(sink(save, "images"))  # E: a Path for an Image
files.into(sum)  # E: a Path for a number
Pipeline(range(3)).then(stage(infer, "m.pt"))  # E: an int for an Image

# Pipelines that cannot be joined.
Pipeline.concat()  # E: none
Pipeline.merge(files, [files])  # E: a list
Pipeline.concat(images.into(sink(save, "images")))  # E: has a sink
Pipeline.concat(files, images).then(decode)  # E: not only Paths

# Pipelines that start or go on wrongly.
Pipeline(10)  # E: nothing to iterate
Pipeline(paths)  # E: not bound
Pipeline(stage(decode))  # E: begins with a stage
Processes(2, recycle_above="300 MB")  # E: bytes are a number
Pipeline([1], on=Processes())  # E: an iterable has no executor
files.then(decode, on=2)  # E: no executor
files.then(decode, in_flight="4")  # E: a str for an int
files.then(decode, on=Processes("all"))  # E: no such word
files.then(decode, on=Threads("Auto"))  # E: the same
Tasks("auto")  # E: a number only
files.then(decode, Processes())  # E: by position
Processes(2, env={"OMP_NUM_THREADS": 1})  # E: a number for a text
Processes(2, env=lambda n: {"CUDA_VISIBLE_DEVICES": n})  # E: the same
Processes(2, env=["OMP_NUM_THREADS=1"])  # E: no mapping
current_worker().number = 1  # E: frozen
images.run()  # E: has no sink
images.into(sink(save, "images")).then(decode)  # E: goes on after its end
value: str = images.into(sink(save, "images")).run().value  # E: an int

# Functions of one item that do not fit.
images.map(fetch)  # E: takes a path
files.flat_map(one, on=Threads(2))  # E: nothing to iterate
files.map(one, on_error=ValueError)  # E: no policy
files.map(one, on=3)  # E: no executor
files.unbatch()  # E: paths cannot be iterated
files.map(one, returns=3)  # E: no type
files.map(lambda path: path.name, returns=str | None).map(len)  # E: None has no length
files.map(one, ordred=False)  # E: misspelt
files.then(one_after_another)  # E: takes Images
files.filter(is_png)  # E: takes an Image
files.map(fetch_one, on=Tasks(2)).map(area)  # E: bytes for an Image
files.flat_map(lambda path: path.stem, returns=int)  # E: nothing to iterate
files.map(one, timeout="3")  # E: a str for seconds
files.filter(one, returns=Image)  # E: a filter returns its items
files.map(lambda path: path.stem, returns=str).then(decode)  # E: a str for a Path
Pipeline(range(3), strict="yes")  # E: a str for a bool
images.into(sink(save, "images")).run(stall_timeout="60")  # E: a str for seconds
images.batch("3")  # E: a str for a count
images.window("3")  # E: a str for a count
images.window(3, 2)  # E: the step is named
images.window(3).map(area)  # E: takes one image
images.take(3).map(one)  # E: takes a path
images.take_while(fetch)  # E: takes a path
images.tap(one)  # E: takes a path
images.tap(print, returns=int)  # E: it yields its items
images.batch(by=area)  # E: no bound
images.batch(most=3)  # E: no weight
images.batch(by=one, most=3)  # E: takes a path
images.batch()  # E: neither a number nor a weight
images.group_by(one)  # E: takes a path
images.group_by(area).map(area)  # E: takes an image, not a pair
images.skip_while(one)  # E: takes a path
images.skip("3")  # E: a str for a count
images.enumerate().map(area)  # E: takes an image, not a pair
images.shuffle(3, 5)  # E: the seed is named
images.batch(2).distinct()  # E: lists cannot be hashed
images.distinct(key=ones)  # E: nor can these keys
images.distinct(key=one)  # E: takes a path
images.batch(3).map(area)  # E: takes one image
images.into(sink(save, "images")).run(observe=one)  # E: takes a path
images.open(progress="yes")  # E: a str for a bool
images.open().result()  # E: it has items, and no result
list(images.into(sink(save, "images")).open())  # E: it has a result, and no items
images.into(sink(save, "images")).open().wait("3")  # E: a str for seconds


class Model:
    def __init__(self, weights: str) -> None: ...

    def __call__(self, image: Image) -> float:
        return 0.5


@contextmanager
def opened(weights: str) -> Generator[Callable[[Image], float]]:
    yield Model(weights)


async def logged_in(host: str) -> Callable[[Path], Awaitable[bytes]]:
    raise NotImplementedError


per_worker(Model)  # E: no weights
per_worker(Model, 3)  # E: an int for a str
per_worker(Model, "m.bin", device="cpu")  # E: no such parameter
per_worker(opened, 3)  # E: an int for a str
per_worker(Model("m.bin"))  # E: no image: the function itself, not what makes it
per_worker(area)  # E: no image
per_worker(area, Image())  # E: it makes no function
files.map(per_worker(Model, "m.bin"))  # E: takes an image, not a path
files.filter(per_worker(opened, "m.bin"))  # E: takes an image, not a path
images.map(per_worker(Model, "m.bin")).map(area)  # E: takes an image, not a float
images.flat_map(per_worker(Model, "m.bin"))  # E: makes a float, not a stream
images.map(per_worker(logged_in, "db"), on=Tasks(8))  # E: takes a path
images.then(per_worker(Model, "m.bin"))  # E: of one item
images.into(per_worker(Model, "m.bin"))  # E: of one item


def to_pixels(image: Image) -> tuple[list[bytearray], int]:
    return [bytearray(3)], 3


def to_image(pixels: list[memoryview], label: str) -> Image:
    return Image()


def to_path(pixels: list[memoryview], width: int) -> Path:
    return Path()


register_codec(Image, to_pixels, to_image)  # E: metadata of two types
register_codec(Path, to_pixels, to_path)  # E: encodes images
register_codec(Image, to_pixels, to_path)  # E: decodes to a path


class Undecided:
    def decide(self, error: BaseException) -> Verdict:
        return Verdict(Action.SKIP)


class Unclear:
    def decide(self, error: BaseException, tries: int) -> bool:
        return True


class NoLaunch(ProgramExecutor): ...


class NoCapabilities:
    workers = 1

    def start(self, worker: Any) -> Any: ...


files.map(one, on_error=Undecided())  # E: decides without the tries
files.map(one, on_error=Unclear())  # E: a bool for a Verdict
files.map(one, on_error=Verdict(Action.SKIP))  # E: a verdict for a policy
Verdict("skip")  # E: a str for an Action
NoLaunch(2)  # E: abstract
files.map(one, on=NoCapabilities())  # E: no executor
