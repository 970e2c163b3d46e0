"""Whether slow items are spread evenly: 400 items of 5 ms over 4 workers, against the ideal 0.5 s."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from time import perf_counter, sleep

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.systems import run_into_count
from benchmarks.targets import WANTED_BALANCE
from benchmarks.timing import STARTS, Timing

ITEMS, WORKERS = 400, 4
# Sleep of one item.
ITEM_SECONDS = 5e-3
# Items of the run that measures start-up, with no sleep in them.
FEW = 4
# Of the net time: above, there is no verdict.
DOUBT = 0.05
COLUMNS = ("system", "total", "start-up", "net", "ideal", "net/ideal", "wanted", "met")


def sleep_each(items: Iterable[int], seconds: float) -> Iterator[int]:
    """Sleep for each item."""
    for item in items:
        sleep(seconds)
        yield item


def sleep_in_chainpump(n: int, seconds: float) -> float:
    """Seconds for n items that sleep, start-up included. Run in the process of a case."""
    started = perf_counter()
    run_into_count(sleep_each, seconds, n, WORKERS)
    return perf_counter() - started


def run(settings: Settings) -> Result:
    """Interleave the start-up's runs and the measured ones."""
    timing = Timing()
    for _ in range(settings.repeats):
        for _ in range(STARTS):
            few = settings.case("balance:sleep_in_chainpump", n=FEW, seconds=0)
            timing.start_ups.append(few.value)
        many = settings.case("balance:sleep_in_chainpump", n=ITEMS, seconds=ITEM_SECONDS)
        timing.totals.append(many.value)
    ideal = ITEMS * ITEM_SECONDS / WORKERS
    ratio = timing.net / ideal
    # Less than the ideal is impossible: then the start-up that was subtracted is too long.
    trusted = timing.supports(DOUBT) and ratio >= 1 - DOUBT
    row = (
        "chainpump",
        *map(table.duration, (min(timing.totals), min(timing.start_ups), timing.net, ideal)),
        table.times(ratio),
        f"<= {WANTED_BALANCE:g}x",
        table.verdict(met=ratio <= WANTED_BALANCE, trusted=trusted),
    )
    notes = [
        f"{ITEMS} items that sleep {table.duration(ITEM_SECONDS)} each, over {WORKERS} workers.",
        f"total: best of {settings.repeats}, start-up included; net: without it.",
        f"start-up: best time of the same pipeline with {FEW} items that do not sleep.",
        "met: ? where start-up varies too much, or net is less than the ideal.",
    ]
    records = [{"system": "chainpump", **asdict(timing)}]
    return Result(table.Table("balance", COLUMNS, [row], notes, labels=1), records)
