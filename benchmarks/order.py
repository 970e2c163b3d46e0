"""What keeping the order costs where one item is slow: time, and the memory of whoever restores it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter, sleep

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.systems import count
from benchmarks.targets import WANTED_ORDER

ITEMS, WORKERS = 10_000, 4
# Sleep of one item.
ITEM_SECONDS = 0.1e-3
# Among the first tenth: all the others could overtake it.
SLOW_ITEM = 500
# Sleep of that one.
SLOW_SECONDS = 2.0
# Bytes of a large result: 1 GB in all.
RESULT_BYTES = 100_000
COLUMNS = ("results", "slow item", "order", "total", "wanted", "met", "peak RSS", "more than at start")


# Run in the process of a case.


def sleep_for(item: int, slow_item: int | None, nbytes: int) -> int | bytes:
    """Sleep, and return the item itself, or so many bytes."""
    sleep(SLOW_SECONDS if item == slow_item else ITEM_SECONDS)
    return bytes(nbytes) if nbytes else item


def map_in_chainpump(ordered: bool, slow_item: int | None, nbytes: int) -> Mapping[str, float]:
    """Seconds, start-up included, and bytes of the main process, before and at its peak."""
    from chainpump import Pipeline, Processes

    work = partial(sleep_for, slow_item=slow_item, nbytes=nbytes)
    before = _peak()
    started = perf_counter()
    counted = count(Pipeline(range(ITEMS)).map(work, on=Processes(WORKERS), ordered=ordered))
    elapsed = perf_counter() - started
    if counted != ITEMS:
        raise RuntimeError(f"chainpump lost items: sent {ITEMS}, counted {counted}")
    return {"seconds": elapsed, "before": before, "peak": _peak()}


def _peak() -> int:
    """Bytes. Not ru_maxrss: it begins with what the process had that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


# Run in the main process.


@dataclass(slots=True)
class Row:
    """The runs of one case."""

    ordered: bool
    is_slow: bool
    nbytes: int
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)

    @property
    def total(self) -> float:
        """Least seconds."""
        return min(self.seconds)

    def measure(self, settings: Settings) -> None:
        """One run more."""
        slow_item = SLOW_ITEM if self.is_slow else None
        case = settings.case(
            "order:map_in_chainpump", ordered=self.ordered, slow_item=slow_item, nbytes=self.nbytes
        ).value
        self.seconds.append(case["seconds"])
        self.peaks.append(case["peak"])
        self.before.append(case["before"])

    def cells(self, undisturbed: float) -> tuple[str, ...]:
        """undisturbed: seconds of the same in any order, without the slow item."""
        most = WANTED_ORDER * undisturbed + SLOW_SECONDS
        wanted = self.ordered and self.is_slow
        peak = max(self.peaks)
        return (
            table.size(self.nbytes) if self.nbytes else "int",
            table.duration(SLOW_SECONDS) if self.is_slow else "none",
            "kept" if self.ordered else "any",
            table.duration(self.total),
            f"<= {table.duration(most)}" if wanted else "",
            table.verdict(met=self.total <= most, trusted=True) if wanted else "",
            table.size(peak),
            table.size(peak - max(self.before)),
        )


def run(settings: Settings) -> Result:
    """Interleave all cases."""
    rows = [
        Row(ordered, is_slow, nbytes)
        for nbytes in (0, RESULT_BYTES)
        for is_slow in (False, True)
        for ordered in (True, False)
    ]
    for _ in range(settings.repeats):
        for row in rows:
            row.measure(settings)
    undisturbed = {row.nbytes: row.total for row in rows if not (row.ordered or row.is_slow)}
    cells = [row.cells(undisturbed[row.nbytes]) for row in rows]
    notes = [
        f"{ITEMS} items that sleep {table.duration(ITEM_SECONDS)}, over {WORKERS} workers; the slow one: {SLOW_ITEM}.",
        f"total: best of {settings.repeats}, start-up included.",
        f"wanted: {table.duration(SLOW_SECONDS)}, and {WANTED_ORDER:g} times the total in any order with no slow one.",
        f"peak RSS: of the main process, which iterates the results and keeps none; highest of {settings.repeats}.",
    ]
    records = [
        {
            "ordered": row.ordered,
            "slow": row.is_slow,
            "nbytes": row.nbytes,
            "seconds": row.seconds,
            "peaks": row.peaks,
            "before": row.before,
        }
        for row in rows
    ]
    return Result(table.Table("order", COLUMNS, cells, notes, labels=3), records)
