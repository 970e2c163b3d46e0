"""What type checkers infer of pipelines that fit: read by mypy and pyright, never run."""

# pyright: strict
from __future__ import annotations

import subprocess
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NewType, Protocol, TypeGuard, TypeVar, assert_type

from typing_extensions import TypeIs

from chainpump import (
    CurrentWorker,
    DeadItem,
    DeadLetter,
    Decision,
    Inline,
    PerWorker,
    Pipeline,
    Plan,
    Processes,
    Progress,
    Report,
    Retry,
    Run,
    Runnable,
    Sink,
    SinkRun,
    Skip,
    Source,
    Stage,
    StageProgress,
    StageReport,
    Start,
    Tasks,
    Threads,
    WarmPool,
    current_worker,
    per_worker,
    register_codec,
    report_of,
    sink,
    source,
    stage,
    warm,
)
from chainpump.compat import pypeln as pl
from chainpump.compat.pypeln.stages import Partial
from chainpump.extending import Action, Observer, Policy, ProgramExecutor, Verdict

T = TypeVar("T")
K = TypeVar("K")


class Image: ...


class Png(Image): ...


def paths(folder: str, *, suffix: str = ".jpg") -> Iterator[Path]:
    yield Path(folder, suffix)


def decode(files: Iterable[Path], size: int = 3) -> Iterator[Image]:
    yield from (Image() for _ in files if size)


def sharpen(images: Iterable[Image], *, amount: float) -> Iterator[Image]:
    yield from (image for image in images if amount)


def batch(items: Iterable[T], n: int) -> Iterator[list[T]]:
    yield list(items)[:n]


def unbatch(batches: Iterable[Iterable[T]]) -> Iterator[T]:
    for each in batches:
        yield from each


def keyed(items: Iterable[T], key: K) -> Iterator[tuple[K, T]]:
    yield from ((key, item) for item in items)


def listed(images: Iterable[Image]) -> list[Image]:
    return list(images)


def save(images: Iterable[Image], table: str, *, commit: int = 1000) -> int:
    return len(table) + sum(commit for _ in images)


def last(items: Iterable[T]) -> T:
    return list(items)[-1]


class Page: ...


async def download(url: str) -> bytes:
    return url.encode()


def parse(body: bytes) -> Page:
    return next(Page() for _ in body)


def store(batch: list[Page]) -> None: ...


def numbers(limit: int) -> Iterator[int]:
    yield from range(2, limit)


def odd(candidates: Iterable[int]) -> Iterator[int]:
    yield from (each for each in candidates if each % 2)


def summarise(found: Iterable[int], unit: str) -> str:
    return f"{sum(1 for _ in found):,} {unit}"


def records(path: str, start: Start = Start(0)) -> Iterator[bytes]:
    yield path.encode()[start:]


class Decoder:
    def __call__(self, files: Iterable[Path]) -> Iterator[Image]:
        yield from decode(files)

    def sized(self, files: Iterable[Path], size: int) -> Iterator[Image]:
        yield from decode(files, size)


# Bound functions.
assert_type(source(paths, "/data", suffix=".png"), Source[Path])
assert_type(source(range, 3), Source[int])
assert_type(source(records, "a.bin"), Source[bytes])
assert_type(source(records, "a.bin", Start(100)), Source[bytes])
assert_type(stage(decode, size=3), Stage[Path, Image])
assert_type(stage(decode), Stage[Path, Image])
assert_type(stage(Decoder()), Stage[Path, Image])
assert_type(stage(Decoder().sized, 3), Stage[Path, Image])
assert_type(sink(save, "images", commit=10), Sink[Image, int])

# Sources and iterables.
files = Pipeline(source(paths, "/data"), on=Processes())
assert_type(files, Pipeline[Path])
assert_type(Pipeline(range(3)), Pipeline[int])
assert_type(Pipeline([1, 2]), Pipeline[int])
assert_type(Pipeline({"a": 1}), Pipeline[str])
assert_type(Pipeline(word.upper() for word in ("a", "b")), Pipeline[str])

# Stages: bound or bare, on any executor, with element types carried through.
images = files.then(stage(decode, size=3), on=Processes(8), in_flight=4)
assert_type(images, Pipeline[Image])
assert_type(files.then(decode), Pipeline[Image])
assert_type(files.then(Decoder(), on=Threads(2), name="decoder"), Pipeline[Image])
assert_type(images.then(stage(sharpen, amount=0.5), may_stop=True), Pipeline[Image])
assert_type(images.then(listed), Pipeline[Image])
assert_type(images.then(enumerate), Pipeline[tuple[int, Image]])
assert_type(images.then(stage(batch, 32)), Pipeline[list[Image]])
assert_type(images.then(stage(batch, 32)).then(unbatch), Pipeline[Image])
assert_type(images.then(stage(batch, 32)).then(stage(unbatch)), Pipeline[Image])
assert_type(images.then(stage(batch, 32)).then(stage(batch, n=2)), Pipeline[list[list[Image]]])
assert_type(images.then(stage(keyed, "key")), Pipeline[tuple[str, Image]])
assert_type(Pipeline([Png()]).then(stage(sharpen, amount=1.0)), Pipeline[Image])
assert_type(Pipeline([True]).then(stage(batch, 2)), Pipeline[list[bool]])

# Joined pipelines.
words = Pipeline(["a", "b"])
assert_type(Pipeline.concat(images), Pipeline[Image])
assert_type(Pipeline.concat(images, images), Pipeline[Image])
assert_type(Pipeline.concat(Pipeline(range(3)), words), Pipeline[int | str])
assert_type(Pipeline.merge(Pipeline(range(3)), words, images), Pipeline[int | str | Image])
assert_type(Pipeline.merge(Pipeline(range(3)), words, in_flight=3), Pipeline[int | str])
assert_type(Pipeline.interleave(Pipeline(range(3)), words), Pipeline[int | str])
assert_type(Pipeline.interleave(Pipeline(range(3)), words, images), Pipeline[int | str | Image])
assert_type(Pipeline.merge(images, images, images, images, name="images"), Pipeline[Image])
assert_type(Pipeline.merge(files, files).then(decode), Pipeline[Image])
assert_type(Pipeline.concat(*[images, images]), Pipeline[Image])

# Sinks, and what their run returns.
saved = images.into(sink(save, table="images"), on=Inline())
assert_type(saved, Runnable[int])
assert_type(saved.run(), Report[int])
assert_type(saved.run().value, int)
assert_type(saved.inline(), Runnable[int])
assert_type(images.into(last), Runnable[Image])
assert_type(images.into(sink(last)), Runnable[Image])
assert_type(images.into(list), Runnable[list[Image]])
assert_type(Pipeline([Png()]).into(sink(save, "images")), Runnable[int])

# Iteration.
for image in images:
    assert_type(image, Image)
with images.open() as run:
    assert_type(run, Run[Image])
    for image in run:
        assert_type(image, Image)
assert_type(list(images.inline()), list[Image])

# A run with a sink has a result, and no items.
with images.into(sink(save, "images")).open(grace=5) as saving:
    assert_type(saving, SinkRun[int])
    assert_type(saving.wait(timeout=0.5), bool)
    assert_type(saving.status, Literal["running", "completed", "failed", "cancelled"])
    assert_type(saving.progress(), Progress)
    assert_type(saving.report(), Report[int | None])
    assert_type(saving.result(), Report[int])
assert_type(images.each(print).open().result().value, None)
assert_type(images.open().report(), Report[None])
assert_type(report_of(KeyboardInterrupt()), Report[None] | None)

# What the documents show.
pages = (
    Pipeline(["https://example.org"])
    .map(download, on=Tasks(100), on_error=Retry(3, on=OSError, backoff=0.5))
    .map(parse, on=Processes(4, restarts=10), timeout=30, on_error=DeadLetter())
    .batch(32, within=0.5)
)
assert_type(pages, Pipeline[list[Page]])
assert_type(pages.each(store).run(), Report[None])
assert_type(pages.each(store).run(stall_timeout=60).dead_letters, Sequence[DeadItem])
primes = Pipeline(source(numbers, 100_000)).then(stage(odd), on=Processes(2))
assert_type(primes, Pipeline[int])
assert_type(primes.then(odd, on=Processes("auto")).then(odd, on=Threads("auto")), Pipeline[int])
assert_type(primes.into(sink(summarise, unit="primes")).run(on=Threads("auto")).decisions, Sequence[Decision])
assert_type(primes.into(sink(summarise, unit="primes")), Runnable[str])
assert_type(primes.into(sink(summarise, unit="primes")).run().value, str)
assert_type(primes.plan(), Plan)


# Workers with an identity and variables of their own.
def variables(number: int) -> Mapping[str, str]:
    return {"CUDA_VISIBLE_DEVICES": str(number)}


with warm(idle=10.0) as pool:
    assert_type(pool, WarmPool)
    assert_type(pool.idle_pids, Sequence[int])
assert_type(warm(), WarmPool)
assert_type(len(Pipeline([1]).map(str)), int)
assert_type(current_worker(), CurrentWorker)
assert_type(current_worker().number, int)
assert_type(current_worker().stage, str)
assert_type(primes.then(odd, on=Processes(2, env=variables)), Pipeline[int])
assert_type(primes.then(odd, on=Processes(2, recycle_after=100, recycle_above=300_000_000)), Pipeline[int])
assert_type(primes.then(odd, on=Processes(2, env={"OMP_NUM_THREADS": "1"})), Pipeline[int])
assert_type(primes.then(odd, on=Processes(2, env=lambda n: {"CUDA_VISIBLE_DEVICES": str(n)})), Pipeline[int])


async def in_an_event_loop() -> None:
    async for batch in pages:
        assert_type(batch, list[Page])
    assert_type(await pages.each(store).run_async(), Report[None])


# A pipeline of a subclass is a pipeline.
general: Pipeline[Image] = Pipeline([Png()])

# Element-wise operators, on sync and async functions.


def size(image: Image) -> int:
    return 0


def words_in(path: Path) -> list[str]:
    return []


async def fetch(path: Path) -> bytes:
    return b""


async def lines(path: Path) -> AsyncIterator[str]:
    yield ""


async def names() -> AsyncIterator[Path]:
    yield Path()


assert_type(images.map(size), Pipeline[int])
assert_type(images.map(size, on=Threads(4), ordered=False, on_error=Skip(ValueError), timeout=None), Pipeline[int])
assert_type(files.map(str), Pipeline[str])
assert_type(files.map(lambda path: path.name), Pipeline[str])
assert_type(files.map(fetch, on=Tasks(8), timeout=3.0), Pipeline[bytes])
assert_type(files.filter(lambda path: path.exists()), Pipeline[Path])
assert_type(files.map(lambda path: path.stat().st_size, returns=int), Pipeline[int])
assert_type(files.map(lambda path: path.stem.split(), returns=list[str], on=Threads(2)), Pipeline[list[str]])
assert_type(files.map(fetch, returns=bytes, on=Tasks(8), timeout=3), Pipeline[bytes])
assert_type(files.flat_map(lambda path: path.stem.split(), returns=list[str]), Pipeline[str])
assert_type(Pipeline(source(paths, "/data"), strict=True), Pipeline[Path])
assert_type(Pipeline(range(3), strict=True, name="numbers"), Pipeline[int])
assert_type(files.flat_map(words_in), Pipeline[str])
assert_type(files.flat_map(lines, on=Tasks(8)), Pipeline[str])
assert_type(files.batch(3), Pipeline[list[Path]])
assert_type(files.batch(3, within=0.5).unbatch(), Pipeline[Path])
assert_type(files.window(3), Pipeline[tuple[Path, ...]])
assert_type(files.window(2, step=2).map(lambda pair: pair[0]), Pipeline[Path])
assert_type(files.window(2).unbatch(), Pipeline[Path])
assert_type(files.take(3), Pipeline[Path])
assert_type(files.take_while(lambda path: path.exists()), Pipeline[Path])
assert_type(files.skip(3, on=Threads()).skip_while(bool, name="rest"), Pipeline[Path])
assert_type(files.enumerate(), Pipeline[tuple[int, Path]])
assert_type(files.enumerate(1).map(lambda pair: pair[1]), Pipeline[Path])
assert_type(files.shuffle(1_000, seed=3), Pipeline[Path])
assert_type(files.distinct(), Pipeline[Path])
assert_type(files.batch(by=lambda path: path.stat().st_size, most=8192), Pipeline[list[Path]])
assert_type(images.batch(32, by=size, most=0.5, within=3), Pipeline[list[Image]])
assert_type(files.group_by(lambda path: path.parent), Pipeline[tuple[Path, list[Path]]])
assert_type(images.group_by(size, most=3, on=Threads()), Pipeline[tuple[int, list[Image]]])
assert_type(files.tap(print, on_error=Skip(), timeout=3), Pipeline[Path])
assert_type(files.tap(fetch, on=Tasks(8), ordered=False), Pipeline[Path])
assert_type(files.distinct(key=lambda path: path.name, within=100), Pipeline[Path])
assert_type(files.batch(2).distinct(key=len), Pipeline[list[Path]])
assert_type(files.each(print), Runnable[None])
assert_type(files.each(fetch, on=Tasks(8)), Runnable[None])
assert_type(Pipeline(source(names), on=Tasks()), Pipeline[Path])
assert_type(files.map(fetch, on=Tasks(8), on_error=Retry(3, on=OSError, otherwise=DeadLetter())), Pipeline[bytes])

# Codecs: what encode makes is what decode takes.


def to_pixels(image: Image) -> tuple[list[bytearray], int]:
    return [bytearray(3)], 3


def to_image(pixels: Sequence[memoryview], width: int) -> Png:
    return Png()


register_codec(Image, to_pixels, to_image)


def shown(progress: Progress) -> None:
    assert_type(progress.stages, tuple[StageProgress, ...])
    assert_type(progress.percent, float | None)


watched = images.into(sink(save, "images")).run(progress=True, observe=shown)
assert_type(watched, Report[int])
assert_type(watched.stages, Sequence[StageReport])
assert_type(watched.to_json(), str)
assert_type(images.open(observe=print, progress=False).progress(), Progress)

# A stage that reads its input as the iterator that it is.


def by_twos(paths: Iterator[Path]) -> Iterator[tuple[Path, Path]]:
    for path in paths:
        yield path, next(paths)


def every(items: Iterator[T], n: int) -> Iterator[T]:
    yield from (item for at, item in enumerate(items) if at % n == 0)


def first(items: Iterator[T]) -> T:
    return next(items)


assert_type(files.then(by_twos), Pipeline[tuple[Path, Path]])
assert_type(stage(by_twos), Stage[Path, tuple[Path, Path]])
assert_type(files.then(stage(by_twos), on=Threads(2)), Pipeline[tuple[Path, Path]])
assert_type(files.then(stage(every, 3)), Pipeline[Path])
assert_type(files.into(first), Runnable[Path])

# What `returns=` may be: any type, also one that is no class.

UserId = NewType("UserId", int)


class Readable(Protocol):
    def read(self) -> bytes: ...


assert_type(files.map(lambda path: path.name, returns=str | None), Pipeline[str | None])
assert_type(files.map(lambda path: path.name, returns=Literal["a", "b"]), Pipeline[Literal["a", "b"]])
assert_type(files.map(lambda path: path.stat().st_uid, returns=UserId), Pipeline[UserId])
assert_type(files.map(lambda path: path.open("rb"), returns=Readable), Pipeline[Readable])
assert_type(files.map(lambda path: path.stat, returns=Callable[[], int]), Pipeline[Callable[[], int]])
assert_type(files.flat_map(lambda path: path.parts, returns=Sequence[str | None]), Pipeline[str | None])

# Whatever can be awaited, on Tasks.


def requested(path: Path) -> Awaitable[bytes]:
    return fetch(path)


async def listed_again(item: T) -> list[T]:
    return [item]


def fetched(function: Callable[[Path], Coroutine[Any, Any, T]]) -> Pipeline[T]:
    return files.map(function, on=Tasks(8))


assert_type(files.map(requested, on=Tasks(8)), Pipeline[bytes])
assert_type(files.map(listed_again, on=Tasks(8)), Pipeline[list[Path]])
assert_type(fetched(fetch), Pipeline[bytes])

# A filter that narrows.


def is_png(image: Image) -> TypeIs[Png]:
    return isinstance(image, Png)


def is_there(path: Path | None) -> TypeGuard[Path]:
    return path is not None


assert_type(images.filter(is_png), Pipeline[Png])
assert_type(images.filter(is_png, on=Threads(2), ordered=False, name="png"), Pipeline[Png])
assert_type(files.map(lambda path: path, returns=Path | None).filter(is_there), Pipeline[Path])
assert_type(files.filter(bool), Pipeline[Path])
assert_type(images.take_while(is_png), Pipeline[Png])
assert_type(files.map(lambda path: path, returns=Path | None).take_while(is_there), Pipeline[Path])


# Functions that factories make, once in each worker.


class Model:
    def __init__(self, weights: str, *, device: str = "cpu") -> None: ...

    def __call__(self, image: Image) -> float:
        return 0.5


class Session(Model):
    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None: ...


class Client:
    async def __aenter__(self) -> Callable[[Path], Awaitable[bytes]]:
        return fetch

    async def __aexit__(self, *_: object) -> None: ...


def load(weights: str) -> Callable[[Image], float]:
    return Model(weights)


@contextmanager
def opened(weights: str) -> Generator[Callable[[Image], float]]:
    yield Model(weights)


def entering(weights: str) -> AbstractContextManager[Callable[[Image], float]]:
    return opened(weights)


@asynccontextmanager
async def connected(host: str, *, port: int = 80) -> AsyncGenerator[Callable[[Path], Awaitable[bytes]]]:
    yield fetch


async def logged_in(host: str) -> Callable[[Path], Awaitable[bytes]]:
    return fetch


def taught(words: list[str]) -> Callable[[Image], list[str]]:
    return lambda _: words


assert_type(per_worker(Model, "m.bin"), PerWorker[Model])
assert_type(images.map(per_worker(Model, "m.bin", device="cuda"), on=Processes(2)), Pipeline[float])
assert_type(images.map(per_worker(Session, "m.bin")), Pipeline[float])
assert_type(images.map(per_worker(load, "m.bin")), Pipeline[float])
assert_type(images.map(per_worker(load, weights="m.bin"), on=Threads(3), timeout=None), Pipeline[float])
assert_type(images.map(per_worker(opened, "m.bin")), Pipeline[float])
assert_type(images.map(per_worker(entering, "m.bin")), Pipeline[float])
assert_type(images.map(per_worker(lambda: size)), Pipeline[int])
assert_type(images.map(per_worker(load, "m.bin"), returns=int), Pipeline[int])
assert_type(files.map(per_worker(connected, "db", port=5432), on=Tasks(8)), Pipeline[bytes])
assert_type(files.map(per_worker(logged_in, "db"), on=Tasks(8)), Pipeline[bytes])
assert_type(files.map(per_worker(Client), on=Tasks(8)), Pipeline[bytes])
assert_type(images.filter(per_worker(load, "m.bin")), Pipeline[Image])
assert_type(images.tap(per_worker(load, "m.bin")), Pipeline[Image])
assert_type(images.flat_map(per_worker(taught, ["cat"])), Pipeline[str])
assert_type(images.each(per_worker(opened, "m.bin")), Runnable[None])


# Extensions, which derive from nothing but what an executor needs.


@dataclass(frozen=True)
class Patient:
    times: int = 3

    def decide(self, error: BaseException, tries: int) -> Verdict:
        return Verdict(Action.RETRY if tries < self.times else Action.SKIP, pause=0.5, limit=10)


@dataclass(frozen=True)
class OnPython(ProgramExecutor):
    python: str = field(kw_only=True)

    def launch(self, arguments: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([self.python, *arguments], pass_fds=descriptors)


def watch(progress: Progress) -> None: ...


patient: Policy = Patient(3)
watcher: Observer = watch
assert_type(files.map(Path.as_posix, on_error=Patient(), on=OnPython(2, python="python3.12")), Pipeline[str])
assert_type(files.map(Path.as_posix, on_error=Retry(1, otherwise=Patient())), Pipeline[str])
assert_type(files.then(decode, on=OnPython("auto", python="python3", restarts=3)), Pipeline[Image])
files.each(print, on_error=patient, on=Threads()).run(observe=watcher)


# --------------------------------------------------------------------------------------------- the facade of pypeln


async def downloaded(url: str) -> bytes:
    return url.encode()


async def split(url: str) -> AsyncIterator[str]:
    yield url


async def awaits(urls: list[str]) -> None:
    assert_type(await pl.task.map(downloaded, urls), list[bytes])
    assert_type([item async for item in pl.task.flat_map(split, urls)], list[str])


stage_of_ints = pl.process.map(int, ["1", "2"], workers=2)
assert_type(stage_of_ints, pl.process.Stage[int])
assert_type(list(stage_of_ints), list[int])
assert_type(pl.thread.filter(bool, stage_of_ints), pl.thread.Stage[int])
assert_type(pl.sync.flat_map(str.split, ["a b"]), pl.sync.Stage[str])
assert_type(pl.thread.map(int, workers=3), Partial[pl.thread.Stage[int]])
assert_type(["1"] | pl.thread.map(int), pl.thread.Stage[int])
assert_type(list(stage_of_ints | pl.task.map(downloaded)), list[bytes])
assert_type(pl.thread.map(int) | pl.thread.map(str), Partial[pl.thread.Stage[str]])
assert_type(pl.process.each(print, stage_of_ints, run=True), None)
assert_type(pl.process.each(print, run=True), Partial[None])
assert_type(pl.process.concat([[1], [2]]), pl.process.Stage[int])
assert_type(pl.process.ordered(stage_of_ints), pl.process.Stage[int])
awaited = assert_type(pl.task.map(downloaded, ["a"]), pl.task.Stage[bytes])
