"""What stages, workers and threads cost, from one to many: start, memory, CPU per item. It should grow as they do."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event
from time import perf_counter

# Any: pipelines of any items.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings

KINDS = {
    "stages, a process each": ("stages", (1, 5, 10, 20)),
    "processes of a stage": ("processes", (1, 4, 16, 64)),
    "threads of a stage": ("threads", (1, 20, 100, 500)),
}
# Items that show what an item costs, by `Settings.seconds`; and those of the run before it.
ITEMS = 20_000
FEW = 2
COLUMNS = ("what", "how many", "first item after", "CPU to start", "each", "memory", "each", "CPU/item", "per stage")


# Run in the process of a case.


def held(n: int, measured: Event) -> Iterator[int]:
    """Yield n ints; the last one when all has been measured, so that no worker ends before."""
    yield from range(n - 1)
    measured.wait()
    yield n - 1


def chain(kind: str, size: int, source: Iterable[int]) -> Any:
    """A pipeline over ints."""
    from chainpump import Pipeline, Processes, Threads

    pipeline: Any = Pipeline(source)
    if kind != "stages":
        return pipeline.map(abs, on=(Processes if kind == "processes" else Threads)(size))
    for _ in range(size):
        pipeline = pipeline.map(abs, on=Processes(1))
    return pipeline


def run_once(kind: str, size: int, n: int) -> tuple[float, int]:
    """Seconds until the first item of the second run of a process, and the memory that all its workers take then."""
    list(chain(kind, 1, range(1)))
    measured = Event()
    before = _private([_own()])
    started = perf_counter()
    with chain(kind, size, held(n, measured)).open() as run:
        items = iter(run)
        next(items)
        first = perf_counter() - started
        memory = _private([_own(), *_descendants(_own())]) - before
        measured.set()
        if sum(1 for _ in items) != n - 1:
            raise RuntimeError("items were lost")
    return first, memory


def _own() -> Path:
    return Path("/proc/self").resolve()


def _descendants(of: Path) -> list[Path]:
    children = [
        Path("/proc") / pid for task in (of / "task").iterdir() for pid in (task / "children").read_text().split()
    ]
    return [each for child in children for each in (child, *_descendants(child))]


def _private(processes: list[Path]) -> int:
    """Bytes that no other process shares."""
    lines = [line.split() for each in processes for line in (each / "smaps_rollup").read_text().splitlines()]
    return 1024 * sum(int(line[1]) for line in lines if line[0].startswith("Private_"))


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure each kind from one to many; the least of the repeats counts."""
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    for name, (kind, sizes) in KINDS.items():
        alone: dict[str, float] = {}
        for size in sizes:
            found = _least(kind, size, settings)
            records.append({"kind": kind, "size": size, **found})
            alone = alone or found
            rows.append(_cells(name, kind, size, found, alone, sizes[0]))
    notes = [
        f"first item after: the fork server runs already. CPU to start: of a whole program with {FEW} items.",
        "each: what one more costs, on average over those that are more than one.",
        "memory: private to the process or its workers, while they run. CPU/item: of ints.",
    ]
    return Result(table.Table("growth", COLUMNS, rows, notes, labels=2), records)


def _least(kind: str, size: int, settings: Settings) -> dict[str, float]:
    n = max(round(ITEMS * settings.seconds), 1000)
    few = [settings.case("growth:run_once", kind=kind, size=size, n=FEW) for _ in range(settings.repeats)]
    many = [settings.case("growth:run_once", kind=kind, size=size, n=n) for _ in range(settings.repeats)]
    cpu = min(each.cpu for each in few)
    return {
        "first": min(each.value[0] for each in few),
        "memory": min(each.value[1] for each in few),
        "start_cpu": cpu,
        "item_cpu": max(min(each.cpu for each in many) - cpu, 0.0) / n,
    }


def _cells(
    name: str, kind: str, size: int, found: dict[str, float], alone: dict[str, float], first: int
) -> tuple[str, ...]:
    more = size - first

    def each(key: str) -> float | None:
        return (found[key] - alone[key]) / more if more else None

    cpu, memory = each("start_cpu"), each("memory")
    return (
        name,
        str(size),
        table.duration(found["first"]),
        table.duration(found["start_cpu"]),
        table.duration(cpu) if cpu and cpu > 0 else "",
        f"{found['memory'] / 1e6:.1f} MB",
        f"{memory / 1e6:.2f} MB" if memory is not None else "",
        table.duration(found["item_cpu"]) if found["item_cpu"] else "-",
        table.duration(found["item_cpu"] / size) if kind == "stages" and found["item_cpu"] else "",
    )
