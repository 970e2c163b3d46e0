"""How much a second worker adds to a CPU-bound stage; beside it the same work in bare processes."""

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from time import perf_counter, process_time

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.systems import count, run_into_count
from benchmarks.targets import WANTED_SPEEDUP
from benchmarks.timing import STARTS, Timing

# CPU time of one item.
ITEM_SECONDS = 5e-3
# Items of the run that measures start-up, with no work in them.
FEW = 4
# 1.5 s with one worker, 0.75 s with two.
ITEMS = 300
WORKERS = (1, 2)
# Of the net time: above, there is no verdict.
DOUBT = 0.1
NAMES = {"spin_bare": "bare processes", "spin_in_chainpump": "chainpump"}
COLUMNS = ("system", "1 worker", "2 workers", "speed-up", "wanted", "met")


# Run in the process of a case.


def calibrate() -> int:
    """Turns of `spin` that take ITEM_SECONDS on an undisturbed core: by the best of many short trials."""
    turns = 20_000
    trials = []
    for _ in range(100):
        started = process_time()
        spin(turns)
        trials.append(process_time() - started)
    return round(turns * ITEM_SECONDS / min(trials))


def spin(turns: int) -> None:
    """Burn CPU in pure Python: that many turns of a loop, however long they take."""
    total = 0
    for i in range(turns):
        total += i & 7


def spin_each(items: Iterable[int], turns: int) -> Iterator[int]:
    """Spin for each item."""
    for item in items:
        spin(turns)
        yield item


def spin_in_chainpump(n: int, workers: int, turns: int) -> float:
    """Seconds for n items that spin, start-up included."""
    started = perf_counter()
    run_into_count(spin_each, turns, n, workers)
    return perf_counter() - started


def spin_bare(n: int, workers: int, turns: int) -> float:
    """The same work in processes that share nothing."""
    started = perf_counter()
    context = multiprocessing.get_context("fork")
    shares = [context.Process(target=_spin_share, args=(n // workers, turns)) for _ in range(workers)]
    for share in shares:
        share.start()
    for share in shares:
        share.join()
    return perf_counter() - started


def _spin_share(n: int, turns: int) -> None:
    count(spin_each(range(n), turns))


# Run in the main process.


def run(settings: Settings) -> Result:
    """Interleave 1 and 2 workers, bare and in chainpump."""
    turns: int = settings.case("scaling:calibrate").value
    cases = [(name, workers) for name in NAMES for workers in WORKERS]
    timings = {case: Timing() for case in cases}
    for _ in range(settings.repeats):
        for (name, workers), timing in timings.items():
            for _ in range(STARTS):
                few = settings.case(f"scaling:{name}", n=FEW, workers=workers, turns=0)
                timing.start_ups.append(few.value)
            timing.totals.append(settings.case(f"scaling:{name}", n=ITEMS, workers=workers, turns=turns).value)
    notes = [
        f"{ITEMS} items of {table.duration(ITEM_SECONDS)} of pure Python: {turns} turns of a loop.",
        f"best of {settings.repeats}, minus the best start-up (the same run with {FEW} items of no work).",
        "bare processes: the same work without any pipeline; no pipeline can gain more in this run.",
        "met: ? where bare processes did not gain as much either, or start-up varies too much.",
    ]
    records = [
        {"system": NAMES[name], "workers": workers, **asdict(timing)} for (name, workers), timing in timings.items()
    ]
    rows = [_cells(name, timings) for name in NAMES]
    return Result(table.Table("scaling", COLUMNS, rows, notes, labels=1), records)


def _cells(name: str, timings: Mapping[tuple[str, int], Timing]) -> tuple[str, ...]:
    speed_up = _speed_up(name, timings)
    possible = _speed_up("spin_bare", timings) >= WANTED_SPEEDUP
    precise = all(timing.supports(DOUBT) for timing in timings.values())
    verdict = table.verdict(met=speed_up >= WANTED_SPEEDUP, trusted=possible and precise)
    return (
        NAMES[name],
        *(table.duration(timings[name, workers].net) for workers in WORKERS),
        table.times(speed_up),
        *((f">= {WANTED_SPEEDUP:g}x", verdict) if name == "spin_in_chainpump" else ("", "")),
    )


def _speed_up(name: str, timings: Mapping[tuple[str, int], Timing]) -> float:
    one, two = (timings[name, workers].net for workers in WORKERS)
    return one / two
