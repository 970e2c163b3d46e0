"""How much memory is held beside what is kept: of items in shared memory, and of large arguments of functions."""

import gc
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

# Arrays: numpy is imported late.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings

MB = 1 << 20
OURS = ("/memfd:chainpump-slabs", "/dev/shm/#")  # noqa: S108  # the latter are those of the portable transport
COLUMNS = ("case", "what", "kept", "held", "wanted", "met")
TABLE_MB = 200
WORKERS = (1, 4, 8)
SLOW_VIEWS = 120
# Each: so that it takes some seconds in all.
SLOW_SECONDS = 0.1


# Run in the process of a case.


def arrays(sizes: Iterable[tuple[int, int]]) -> Iterator[Any]:
    """Arrays of bytes: so many of each size."""
    import numpy as np

    for count, size in sizes:
        for n in range(count):
            yield np.full(size, n % 256, dtype="u1")


def held() -> float:
    """MB of shared memory that this process maps or has open, of slabs."""
    found = {}
    for folder in ("/proc/self/fd", "/proc/self/map_files"):
        for path in Path(folder).iterdir():
            try:
                if str(path.readlink()).startswith(OURS):
                    status = path.stat()
                    found[status.st_ino] = status.st_blocks * 512
            except OSError:
                # Closed meanwhile.
                continue
    return sum(found.values()) / MB


def jump(scale: int) -> tuple[float, float]:
    """3,000 items of 128 bytes, some of 64 MB, then views of 1 MB: MB kept, which is one view, and MB held at last."""
    from chainpump import Pipeline, Processes, source

    sizes = [(3000, 128), (6, 64 * MB // scale), (SLOW_VIEWS, MB)]
    last = 0.0
    with Pipeline(source(arrays, sizes), on=Processes(1)).open() as run:
        for number, item in enumerate(run):
            if item.nbytes == MB:
                sleep(SLOW_SECONDS)
            # Before the end, which gives all back.
            if number == 3005 + SLOW_VIEWS:
                last = held()
    return 1.0, last


def epochs(scale: int, slices: bool) -> tuple[float, float]:
    """Six runs, of each of which the last array of 16 MB is kept, or 16 bytes of it: MB kept, and held."""
    from chainpump import Pipeline, Processes, source

    kept = []
    for _ in range(6):
        (last,) = deque(Pipeline(source(arrays, [(9, 16 * MB // scale)]), on=Processes(1)), maxlen=1)
        kept.append(last[:16] if slices else last)
        del last
    return len(kept) * 16.0 / scale, held()


def dropped(scale: int) -> tuple[float, float]:
    """One large item, then arrays of 140 KB that are kept and dropped at once: MB kept, and held.

    Raises if a slab could not be given back.
    """
    from chainpump import Pipeline, Processes, source

    lost: list[Any] = []
    sys.unraisablehook = lost.append
    sizes = [(1, 1200 * MB // scale), (9460 // scale, 140_000)]
    with Pipeline(source(arrays, sizes), on=Processes(1)).open() as run:
        items = iter(run)
        next(items)
        kept = list(items)
        kept.clear()
        gc.collect()
    if lost:
        raise RuntimeError(f"{len(lost)} slabs were lost: {lost[0].exc_value!r}")
    return 0.0, held()


def looked_up(items: Iterable[int], tables: Any) -> Iterator[tuple[int, int]]:
    """For each item, the MB of memory that this worker has for itself."""
    for item in items:
        assert tables[item] == item % 256
        fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
        yield item, int(fields["Anonymous"].split()[0]) // 1024


def functions(workers: int, scale: int) -> tuple[float, float, float]:
    """A table as an argument: its MB, MB of the worker that has most for itself, and seconds to the first item."""
    import numpy as np

    from chainpump import Pipeline, Processes, source, stage

    tables = (np.arange(TABLE_MB * MB // scale) % 256).astype("u1")
    # The fork server runs.
    list(Pipeline(range(3)).map(abs, on=Processes(1)))
    began = monotonic()
    with Pipeline(source(range, 400)).then(stage(looked_up, tables), on=Processes(workers)).open() as run:
        items = iter(run)
        next(items)
        took = monotonic() - began
        most = max(each for _, each in items)
    return tables.nbytes / MB, float(most), took


# Run in the main process.


@dataclass(frozen=True, slots=True)
class Kept:
    """A case: its function, with these arguments; wanted: so much may be held for what is kept, and MB besides."""

    name: str
    what: str
    function: str
    arguments: dict[str, object]
    spare: float = 16.0


CASES = (
    Kept("sizes jump", "128 bytes, 64 MB, then 1 MB", "jump", {}),
    Kept("epochs", "the last 16 MB of each of 6", "epochs", {"slices": False}, 0.0),
    Kept("slices", "16 bytes of these", "epochs", {"slices": True}, 0.0),
    Kept("dropped at once", "9,460 arrays of 140 KB", "dropped", {}),
)


def run(settings: Settings) -> Result:
    """Each case once: memory does not vary as time does."""
    scale = 1 if settings.seconds >= 1 else 4
    rows, records = [], []
    for case in CASES:
        kept, found = settings.case(f"shared:{case.function}", scale=scale, **case.arguments).value
        wanted = 2 * kept + case.spare
        met = table.verdict(met=found <= wanted, trusted=True)
        rows.append((case.name, case.what, f"{kept:.0f} MB", f"{found:.0f} MB", f"<= {wanted:.0f} MB", met))
        records.append({"case": case.name, "kept": kept, "held": found})
    for workers in WORKERS:
        size, own, took = settings.case("shared:functions", workers=workers, scale=scale).value
        met = table.verdict(met=own <= size / 2, trusted=True)
        what = f"{size:.0f} MB, {workers} workers, ready in {took * 1e3:.0f} ms"
        rows.append(("argument", what, "", f"{own:.0f} MB each", f"<= {size / 2:.0f} MB", met))
        records.append({"case": "argument", "workers": workers, "own": own, "seconds": took})
    notes = [
        "held: shared memory of slabs in the main process; of an argument, what each worker has for itself.",
        "wanted: no more than twice what is kept, and two slabs for each consumer while a run goes on.",
    ]
    return Result(table.Table("shared memory", COLUMNS, rows, notes), records)
