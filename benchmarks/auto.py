"""What workers given by measuring come to: unequal stages on `auto`, beside the best of all splits by hand."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from statistics import median
from time import perf_counter, sleep

# What a case returns is JSON.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.scaling import ITEM_SECONDS, spin
from benchmarks.targets import WANTED_OF_BEST

# At most: of five, there were 125 splits of three stages to try.
PROCESSORS = 4
# Times the seconds of other runs: at first, auto has to measure.
LENGTH = 8
AUTO = "auto"
# Of a time, between the middle run and the one next to it: above, there is no verdict.
DOUBT = 0.05
COLUMNS = ("chain", "best split", "its time", "auto came to", "after", "time", "rate", "2nd half", "wanted", "met")


@dataclass(frozen=True, slots=True)
class Step:
    """A stage. spins, sleeps: seconds for each item, of a processor and without one."""

    on: str
    spins: float = 0.0
    sleeps: float = 0.0


CHAINS: Mapping[str, Sequence[Step]] = {
    "computes": (Step("Processes", 0.5e-3), Step("Processes", 4e-3), Step("Processes", 1e-3)),
    "waits": (Step("Threads", sleeps=1e-3), Step("Threads", sleeps=8e-3), Step("Threads", sleeps=2e-3)),
    "does both": (Step("Threads", sleeps=4e-3), Step("Processes", 3e-3), Step("Processes", 0.2e-3, 1e-3)),
}


# Run in the process of a case.


def work(item: int, turns: int, seconds: float) -> int:
    """Spin, and sleep."""
    spin(turns)
    if seconds:
        sleep(seconds)
    return item


def run_chain(chain: str, workers: Sequence[Any], n: int, turns: int) -> Mapping[str, Any]:
    """Seconds, in all and for the second half of n items, and to how many workers it came, how soon.

    turns: of a loop, that take ITEM_SECONDS of a processor.
    """
    from chainpump import Pipeline, Processes, Threads

    os.sched_setaffinity(0, processors())
    executors = {"Processes": Processes, "Threads": Threads}
    pipeline: Pipeline[int] = Pipeline(range(n))
    for place, (step, count) in enumerate(zip(CHAINS[chain], workers, strict=True), start=1):
        each = partial(work, turns=round(turns * step.spins / ITEM_SECONDS), seconds=step.sleeps)
        pipeline = pipeline.map(each, on=executors[step.on](count), name=f"stage {place}")
    started = perf_counter()
    half = counted = 0.0
    with pipeline.open() as run:
        for item in run:
            counted += 1
            if item == n // 2:
                half = perf_counter()
    ended = perf_counter()
    if counted != n:
        raise RuntimeError(f"chainpump lost items: sent {n}, counted {counted:.0f}")
    report = run.report()
    return {
        "seconds": ended - started,
        "second_half": ended - half,
        "workers": _at_last(len(workers), report),
        "after": report.decisions[0].at if report.decisions else None,
    }


def _at_last(stages: int, report: Any) -> list[int]:
    """How many workers each stage had in the end."""
    found = {each.stage: each.after for each in report.decisions}
    return [found.get(each.stage, 1) for each in report.stages[1 : 1 + stages]]


def processors() -> set[int]:
    """Those that a case may use."""
    return set(sorted(os.sched_getaffinity(0))[:PROCESSORS])


# Run in the main process.


@dataclass(slots=True)
class Runs:
    """What cases of one kind have told."""

    told: list[Mapping[str, Any]] = field(default_factory=list)

    def middle(self, name: str) -> float:
        """The median: the least would be the luckiest run of all splits, of which there are more than of auto."""
        return median(float(each[name]) for each in self.told)

    @property
    def doubt(self) -> float:
        """How far the middle run and the one next to it are apart."""
        distances = sorted(abs(float(each["seconds"]) - self.middle("seconds")) for each in self.told)
        return distances[1] if len(distances) > 1 else 0.0


def run(settings: Settings) -> Result:
    """Try all splits of each chain, and auto among them."""
    turns: int = settings.case("scaling:calibrate").value
    count = len(processors())
    rows: list[Sequence[str]] = []
    records: list[Mapping[str, object]] = []
    for chain, steps in CHAINS.items():
        splits: list[tuple[Any, ...]] = [*product(range(1, count + 1), repeat=len(steps)), (AUTO,) * len(steps)]
        n = round(LENGTH * settings.seconds / _ideal(steps, count))
        runs = {split: Runs() for split in splits}
        for _ in range(settings.repeats):
            for split, found in runs.items():
                found.told.append(settings.case("auto:run_chain", chain=chain, workers=split, n=n, turns=turns).value)
        rows.append(_cells(chain, runs))
        records += [{"chain": chain, "workers": split, "n": n, "runs": each.told} for split, each in runs.items()]
    notes = [
        f"computes: {_told('computes')}; waits: {_told('waits')}; does both: {_told('does both')}.",
        f"best split: the fastest of all with up to {count} workers a stage, on {count} processors.",
        f"the median of {settings.repeats}, start-up included.",
        "auto came to: workers in the end. after: seconds until the first decision, the start of the workers included.",
        "rate: times that of the best split, measuring included; 2nd half: the same of the second half of the items.",
        "met: ? where the runs of the best split are too far apart.",
    ]
    return Result(table.Table("auto", COLUMNS, rows, notes, labels=2), records)


def _ideal(steps: Sequence[Step], count: int) -> float:
    """Seconds for an item, at best: all processors are busy, or all workers of a stage are."""
    spins = sum(step.spins for step in steps) / count
    return max(spins, *((step.spins + step.sleeps) / count for step in steps))


def _told(chain: str) -> str:
    return ", ".join(" and ".join(_parts(step)) for step in CHAINS[chain])


def _parts(step: Step) -> Iterator[str]:
    if step.spins:
        yield f"{table.duration(step.spins)} of a processor"
    if step.sleeps:
        yield f"{table.duration(step.sleeps)} asleep"


def _cells(chain: str, runs: Mapping[tuple[Any, ...], Runs]) -> tuple[str, ...]:
    auto = next(each for split, each in runs.items() if AUTO in split)
    by_hand = {split: each for split, each in runs.items() if AUTO not in split}
    split = min(by_hand, key=lambda each: by_hand[each].middle("seconds"))
    best = by_hand[split]
    typical = min(auto.told, key=lambda each: abs(float(each["seconds"]) - auto.middle("seconds")))
    share = best.middle("seconds") / auto.middle("seconds")
    second_half = min(each.middle("second_half") for each in by_hand.values()) / auto.middle("second_half")
    return (
        chain,
        "-".join(map(str, split)),
        table.duration(best.middle("seconds")),
        "-".join(map(str, typical["workers"])),
        table.duration(typical["after"]) if typical["after"] is not None else "",
        table.duration(auto.middle("seconds")),
        table.times(share),
        table.times(second_half),
        f">= {WANTED_OF_BEST:g}x",
        table.verdict(met=share >= WANTED_OF_BEST, trusted=best.doubt <= DOUBT * best.middle("seconds")),
    )
