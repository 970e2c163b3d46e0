"""What a run costs before its first item: workers that are started for one item each, and end.

The first run of a process is told apart: the library is imported for it, and the fork server is started. Then the same
is run again some times, as a program does that runs pipelines in a loop.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from itertools import product
from statistics import median
from time import perf_counter

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.runner import CaseError
from benchmarks.targets import WANTED_START

METHODS = ("forkserver", "spawn", "fork")
WORKERS = (1, 4, 8)
# Runs after the first.
LATER = 5
COLUMNS = (
    "start method",
    "workers",
    "system",
    "first run",
    "later run",
    "CPU/run",
    "first/best",
    "later/best",
    "wanted",
    "met",
    "remark",
)
Run = Callable[[str, int], int]


# Run in the process of a case.


def in_chainpump(method: str, workers: int) -> int:
    """A pipeline of one stage."""
    from chainpump import Pipeline, Processes

    return sum(Pipeline(range(workers)).map(int, on=Processes(workers, start_method=method)))  # type: ignore[arg-type]


def in_pool(method: str, workers: int) -> int:
    """`multiprocessing.Pool`."""
    import multiprocessing

    with multiprocessing.get_context(method).Pool(workers) as pool:
        total = sum(pool.imap(int, range(workers)))
        pool.close()
        pool.join()
    return total


def in_executor(method: str, workers: int) -> int:
    """`concurrent.futures.ProcessPoolExecutor`, which starts all of its workers but by fork only as they are needed."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers, multiprocessing.get_context(method)) as pool:
        totals: Iterator[int] = pool.map(int, range(workers))
        return sum(totals)


SYSTEMS: dict[str, Run] = {"chainpump": in_chainpump, "Pool": in_pool, "ProcessPoolExecutor": in_executor}


def times(system: str, method: str, workers: int) -> tuple[float, float]:
    """Seconds of the first run, with the import of the library, and the median of later ones."""
    run = getattr(import_module("benchmarks.startup"), SYSTEMS[system].__name__)
    taken = []
    for _ in range(1 + LATER):
        began = perf_counter()
        total = run(method, workers)
        taken.append(perf_counter() - began)
        if total != sum(range(workers)):
            raise RuntimeError(f"items were lost: the sum of those below {workers} is not {total}")
    return taken[0], median(taken[1:])


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure the start methods and numbers of workers one after another, the systems interleaved."""
    rows: list[tuple[str, ...]] = []
    records = []
    has_failed = False
    for method, workers in product(METHODS, WORKERS):
        figures: dict[str, tuple[float, ...]] = {}
        problems: dict[str, str] = {}
        for name in [*SYSTEMS] * settings.repeats:
            try:
                case = settings.case("startup:times", system=name, method=method, workers=workers)
            except CaseError as error:
                problems[name] = error.problem
                continue
            taken = (*case.value, case.cpu / (1 + LATER))
            figures[name] = tuple(map(min, figures.get(name, taken), taken))
        rows += [_cells(method, workers, name, figures, problems.get(name, "")) for name in SYSTEMS]
        records.append({"method": method, "workers": workers, "seconds": figures, "problems": problems})
        has_failed |= "chainpump" in problems
    notes = [
        f"each worker gets about one item. First: with the import of the library. Later: the median of {LATER} more.",
        "best: the faster one of Pool and ProcessPoolExecutor. Of the repeats, the fastest is shown.",
    ]
    return Result(table.Table("startup", COLUMNS, rows, notes, labels=3), records, failed=has_failed)


def _cells(
    method: str, workers: int, name: str, figures: Mapping[str, tuple[float, ...]], problem: str
) -> tuple[str, ...]:
    labels = (method, str(workers), name)
    if name not in figures:
        return (*labels, *[""] * 7, problem)
    first, later, cpu = figures[name]
    told = (*labels, table.duration(first), table.duration(later), table.duration(cpu))
    peers = [times for each, times in figures.items() if each != "chainpump"]
    if name != "chainpump" or not peers:
        return (*told, "", "", "", "", problem)
    firsts, laters = (min(each[place] for each in peers) for place in (0, 1))
    met = table.verdict(met=later <= WANTED_START * laters, trusted=True)
    return (*told, f"{first / firsts:.2f}x", f"{later / laters:.2f}x", f"<= {WANTED_START:g}x", met, problem)
