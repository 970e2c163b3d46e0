"""What recycling costs: workers whose function leaks 1 MB an item, beside the same work without a leak."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from mmap import MAP_PRIVATE, mmap
from statistics import median
from time import perf_counter

# What a case returns is JSON.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.scaling import ITEM_SECONDS, spin
from benchmarks.targets import WANTED_OF_RECYCLED

WORKERS = 2
# Times the seconds of other runs.
ITEMS = 10_000
# Of a processor, for each item. To touch 1 MB of new pages takes 0.3 to 0.6 ms.
WORK_SECONDS = 10e-3
LEAK = 1_000_000
ABOVE = 300_000_000
# As many items as fit into that memory, beside a fresh worker.
AFTER = 280
# Seconds that a case may take, for each of its items.
LIMIT = 0.06
PAGE = 4096
# Between the runs of the first kind: above, there is no verdict.
DOUBT = 0.1
COLUMNS = ("run", "items/s", "rate", "wanted", "met", "CPU/item", "recycled", "peak memory of a worker", "items")
# name -> what an item does with 1 MB, and when its worker is recycled
KINDS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "no leak, no recycling": ("", {}),
    "touches 1 MB, frees it": ("frees", {}),
    "no leak, recycle_after=280": ("", {"recycle_after": AFTER}),
    "leaks 1 MB, recycle_above=300 MB": ("leaks", {"recycle_above": ABOVE}),
}

# Run in the process of a case, and in its workers.

_leaked: list[mmap] = []


class Work:
    """An item: 10 ms of pure Python, and 1 MB of which each page is touched."""

    def __init__(self, turns: int, memory: str) -> None:
        self.turns = turns
        self.memory = memory

    def __call__(self, item: int) -> int:
        """Work."""
        spin(self.turns)
        if self.memory:
            # `malloc` would use pages again that were freed before, which cost nothing. Shared pages would not count.
            block = mmap(-1, LEAK, flags=MAP_PRIVATE)
            for page in range(0, LEAK, PAGE):
                block[page] = 1
            if self.memory == "leaks":
                _leaked.append(block)
            else:
                block.close()
        return item


def run_leaking(kind: str, n: int, turns: int) -> Mapping[str, Any]:
    """Seconds, recycled workers and peak memory of a run of n items. turns: of a loop, that take 10 ms."""
    from chainpump import Pipeline, Processes

    memory, options = KINDS[kind]
    pipeline = Pipeline(range(n)).map(Work(turns, memory), on=replace(Processes(WORKERS), **options))
    started = perf_counter()
    with pipeline.open() as run:
        for place, item in enumerate(run):
            if place != item:
                raise RuntimeError(f"chainpump lost or misplaced an item: {item} came in place {place}")
    seconds = perf_counter() - started
    work = run.report().stages[1]
    if work.finished != n:
        raise RuntimeError(f"chainpump lost items: sent {n}, finished {work.finished}")
    return {"seconds": seconds, "cpu": work.cpu, "recycled": work.recycled, "memory": max(work.memory)}


# Run in the main process.


def run(settings: Settings) -> Result:
    """Run all kinds in turns, and compare each with the first one of the same turn."""
    turns = round(settings.case("scaling:calibrate").value * WORK_SECONDS / ITEM_SECONDS)
    n = round(ITEMS * settings.seconds)
    own = replace(settings, limit=max(settings.limit, n * LIMIT))
    told: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in KINDS}
    for _ in range(settings.repeats):
        for kind, found in told.items():
            found.append(own.case("recycling:run_leaking", kind=kind, n=n, turns=turns).value)
    plain = next(iter(told.values()))
    rows = [_cells(kind, found, plain, n) for kind, found in told.items()]
    notes = [
        f"{WORKERS} workers; an item takes 10 ms of a processor, and 1 MB is touched page by page.",
        f"rate: times that of the first run of the same turn; median of {settings.repeats} turns, start-up included.",
        "touches 1 MB, frees it: what the pages of the leak cost, without recycling.",
        "met: ? where the runs of the first kind are too far apart.",
        "CPU/item: of the workers until they have reported their end.",
        "peak memory: all pages of the process, libraries included; the limit counts what it has allocated.",
    ]
    records = [{"kind": kind, "n": n, "runs": found} for kind, found in told.items()]
    return Result(table.Table("recycling", COLUMNS, rows, notes, labels=1), records)


def _cells(
    kind: str, found: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]], n: int
) -> tuple[str, ...]:
    rate = median(before["seconds"] / each["seconds"] for before, each in zip(plain, found, strict=True))
    is_wanted = "recycle_above" in kind
    seconds = [each["seconds"] for each in plain]
    is_quiet = max(seconds) <= (1 + DOUBT) * min(seconds)
    return (
        kind,
        f"{n / median(each['seconds'] for each in found):,.0f}",
        table.times(rate),
        f">= {WANTED_OF_RECYCLED:g}x" if is_wanted else "",
        table.verdict(met=rate >= WANTED_OF_RECYCLED, trusted=is_quiet) if is_wanted else "",
        table.duration(median(each["cpu"] for each in found) / n),
        f"{median(each['recycled'] for each in found):,.0f}",
        f"{max(each['memory'] for each in found) / 1e6:,.0f} MB",
        f"{n:,}",
    )
