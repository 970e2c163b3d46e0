"""Epochs: the same 1,000 items again and again, on 4 workers that are kept.

Each system runs in a process of its own, and measures what its user does: a loop over all items, 50 times. The first
epoch, which starts the workers, is told apart.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from time import perf_counter

# Any: the peers are optional and untyped.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.runner import CaseError

ITEMS = 1000
WORKERS = 4
EPOCHS = 50
# Items in a chunk of Pool and mpire, and in a batch of torch.
CHUNK = 16
# Loops of pure Python in an item, about 0.1 us each.
COSTS = {"tiny": 0, "100 us": 1000}
COLUMNS = (
    *("item", "system", "first epoch", "epoch", "epoch/chainpump", "first item", "start/worker"),
    "remark",
)

Epoch = Callable[[], Iterable[int]]


def work(loops: int, item: int) -> int:
    """What is done to an item."""
    total = item
    for number in range(loops):
        total += number & 1
    return total


# Run in the process of a case. Each yields a function that begins an epoch: its results.


@contextmanager
def in_chainpump(loops: int) -> Iterator[Epoch]:
    """A pipeline inside `warm()`."""
    from chainpump import warm

    with warm():
        yield partial(iter, _pipeline(loops))


@contextmanager
def in_new_workers(loops: int) -> Iterator[Epoch]:
    """The same without `warm()`: each epoch starts its workers."""
    yield partial(iter, _pipeline(loops))


def _pipeline(loops: int) -> Any:
    from chainpump import Pipeline, Processes

    return Pipeline(range(ITEMS)).map(partial(work, loops), on=Processes(WORKERS))


@contextmanager
def in_pool(loops: int, chunk: int = 1) -> Iterator[Epoch]:
    """`multiprocessing.Pool`, kept open."""
    import multiprocessing

    with multiprocessing.get_context("forkserver").Pool(WORKERS) as pool:
        yield lambda: pool.imap(partial(work, loops), range(ITEMS), chunksize=chunk)
        pool.close()
        pool.join()


def in_pool_chunks(loops: int) -> AbstractContextManager[Epoch]:
    """The same in chunks."""
    return in_pool(loops, CHUNK)


@contextmanager
def in_mpire(loops: int) -> Iterator[Epoch]:
    """`mpire.WorkerPool`, which passes `keep_alive` workers on to the next call."""
    pools: Any = import_module("mpire")
    with pools.WorkerPool(WORKERS, keep_alive=True, start_method="forkserver") as pool:
        yield lambda: pool.imap(partial(work, loops), range(ITEMS), chunk_size=CHUNK)


@contextmanager
def in_torch(loops: int) -> Iterator[Epoch]:
    """A `DataLoader` with `persistent_workers`, which makes batches, as it does for training."""
    data: Any = import_module("torch.utils.data")
    items = Dataset(loops)
    loader = data.DataLoader(items, batch_size=CHUNK, collate_fn=list, num_workers=WORKERS, persistent_workers=True)
    yield lambda: (item for batch in loader for item in batch)


@dataclass(frozen=True)
class Dataset:
    """The items as torch reads them: by index."""

    loops: int

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> int:
        return work(self.loops, index)


@dataclass(frozen=True, slots=True)
class System:
    """opened: yields what begins an epoch. package: what has to be installed, if anything."""

    opened: Callable[[int], AbstractContextManager[Epoch]]
    package: str | None = None


SYSTEMS = {
    "chainpump": System(in_chainpump),
    "chainpump, new workers": System(in_new_workers),
    "Pool": System(in_pool),
    f"Pool, chunks of {CHUNK}": System(in_pool_chunks),
    f"mpire, chunks of {CHUNK}": System(in_mpire, "mpire"),
    f"DataLoader, batches of {CHUNK}": System(in_torch, "torch"),
}


def times(system: str, loops: int) -> tuple[float, float, float]:
    """Seconds of the first epoch, and medians of the others: of an epoch, and until its first item."""
    expected = sum(work(loops, item) for item in range(ITEMS))
    epochs, firsts = [], []
    began = perf_counter()
    with SYSTEMS[system].opened(loops) as begin:
        for _ in range(EPOCHS):
            items = iter(begin())
            total = next(items)
            firsts.append(perf_counter() - began)
            total += sum(items)
            epochs.append(perf_counter() - began)
            if total != expected:
                raise RuntimeError(f"items were lost: their sum is {total}, not {expected}")
            began = perf_counter()
    return epochs[0], median(epochs[1:]), median(firsts[1:])


def start_time(loops: int) -> float:
    """Seconds in which chainpump starts one worker of an epoch, if it is kept."""
    from chainpump import warm

    pipeline = _pipeline(loops)
    taken = []
    with warm():
        for _ in range(EPOCHS):
            began = perf_counter()
            with pipeline.open() as run:
                taken.append(perf_counter() - began)
                sum(run)
    return median(taken[1:]) / WORKERS


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure the costs of an item one after another, the systems interleaved."""
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    has_failed = False
    for cost, loops in COSTS.items():
        figures: dict[str, tuple[float, ...]] = {}
        problems = {
            name: f"pip install {system.package}"
            for name, system in SYSTEMS.items()
            if system.package is not None and find_spec(system.package) is None
        }
        for name in [*SYSTEMS] * settings.repeats:
            if name in problems:
                continue
            try:
                taken = settings.case("epochs:times", system=name, loops=loops).value
            except CaseError as error:
                problems[name] = error.problem
                continue
            figures[name] = tuple(map(min, figures.get(name) or taken, taken))
        start = settings.case("epochs:start_time", loops=loops).value
        rows += [_cells(cost, name, figures, start, problems.get(name, "")) for name in SYSTEMS]
        records.append({"item": cost, "seconds": figures, "start of a worker": start, "problems": problems})
        has_failed |= "chainpump" in problems
    notes = [
        f"{ITEMS} items, {WORKERS} workers, results in order. {EPOCHS} epochs: the first; the median of the others.",
        "first item: from the beginning of an epoch. start/worker: of `open()`, in a later epoch.",
        f"Of {settings.repeats} repeats, the least of each figure is shown.",
    ]
    return Result(table.Table("epochs", COLUMNS, rows, notes), records, failed=has_failed)


def _cells(cost: str, name: str, figures: dict[str, tuple[float, ...]], start: float, problem: str) -> tuple[str, ...]:
    if name not in figures:
        return (cost, name, "", "", "", "", "", problem)
    first, epoch, item = figures[name]
    ours = figures.get("chainpump")
    return (
        cost,
        name,
        table.duration(first),
        table.duration(epoch),
        table.times(epoch / ours[1]) if ours is not None else "",
        table.duration(item),
        table.duration(start) if name == "chainpump" else "",
        problem,
    )
