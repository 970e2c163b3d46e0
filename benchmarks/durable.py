"""What a journal costs: a run without one beside the same with one, where it ends in `each` or in a loop.

A few percent are less than the load of a machine changes from one run to the next. So, as in `progress`, the ways take
turns within one process, each run is compared with the one without a journal of its turn, and the median of these
ratios is told with its quartiles. Each journal is a new file in the temporary folder.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

# Arguments are JSON.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.quartiles import as_text, quartiles
from benchmarks.targets import WANTED_DURABLE

WORKS = ("int", "64 KB", "1 ms")
ENDS = ("each", "loop")
WITHOUT, AGAIN, JOURNAL = WAYS = ("none", "none, again", "journal=")
# For each repeat that is asked for: quartiles need some.
TURNS = 5
COLUMNS = ("items", "end", "journal", "items/s", "CPU/item", "rate/none", "CPU/none", "wanted", "met")


# Run in the process of a case, and in its workers.


def numbers(n: int) -> Iterator[int]:
    """Small items."""
    yield from range(n)


def blocks(n: int) -> Iterator[bytes]:
    """Items of 64 KB, each another one."""
    block = bytes(65_528)
    for number in range(n):
        yield block + number.to_bytes(8, "little")


def spin(item: int) -> int:
    """Take 1 ms of a processor."""
    until = process_time() + 1e-3
    while process_time() < until:
        pass
    return item


def ignore(_: object) -> None:
    """The end of each item."""


def send(work: str, end: str, way: str, n: int) -> tuple[float, float]:
    """Seconds for n items, start-up included, and seconds of all processors. Raises if items were lost."""
    from chainpump import Pipeline, Processes, source

    pipeline: Pipeline[Any] = Pipeline(source(blocks if work == "64 KB" else numbers, n), on=Processes())
    if work == "1 ms":
        pipeline = pipeline.map(spin, on=Processes())
    with TemporaryDirectory() as folder:
        options: Mapping[str, Any] = {"journal": Path(folder, "journal")} if way == JOURNAL else {}
        began, cpu = perf_counter(), process_time()
        if end == "each":
            report = pipeline.each(ignore, on=Processes()).run(**options)
        else:
            with pipeline.open(**options) as run:
                deque(run, maxlen=0)
            report = run.report()
        seconds, cpu = perf_counter() - began, process_time() - cpu
    if report.stages[-1].received != n:
        raise RuntimeError(f"items were lost: sent {n}, received {report.stages[-1].received}")
    return seconds, cpu + sum(each.cpu for each in report.stages)


def enough(work: str, end: str, seconds: float) -> int:
    """How many items take about so long, start-up left out."""
    n = 100
    # Starts the fork server.
    send(work, end, WITHOUT, 2)
    start_up = send(work, end, WITHOUT, 2)[0]
    while (elapsed := send(work, end, WITHOUT, n)[0] - start_up) < seconds / 2:
        n *= 4
    return round(n * seconds / elapsed)


def turn(work: str, end: str, n: int, first: int) -> dict[str, tuple[float, float]]:
    """What `send` says of each way. first: the place of the one to begin with."""
    # Imports what only a journal needs.
    send(work, end, JOURNAL, 2)
    return {way: send(work, end, way, n) for way in (*WAYS[first:], *WAYS[:first])}


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure the kinds of items one after another, the ways interleaved."""
    cells: list[tuple[str, ...]] = []
    records = []
    for work in WORKS:
        for end in ENDS:
            n = settings.case("durable:enough", work=work, end=end, seconds=settings.seconds).value
            turns = [
                settings.case("durable:turn", work=work, end=end, n=n, first=number % len(WAYS)).value
                for number in range(TURNS * settings.repeats)
            ]
            cells += [_cells(work, end, way, n, turns) for way in WAYS]
            records.append({"items": work, "end": end, "n": n, "turns": turns})
    notes = [
        f"medians of {TURNS * settings.repeats} turns, start-up included; in brackets half of the turns.",
        "none, again: what the same figures are worth where there is no difference.",
        "source, each and the stage of 1 ms are on one worker process each; a journal is written once a second.",
    ]
    return Result(table.Table("durable", COLUMNS, cells, notes, labels=2), records)


def _cells(work: str, end: str, way: str, n: int, turns: Sequence[dict[str, tuple[float, float]]]) -> tuple[str, ...]:
    seconds, cpu = (median(each[way][figure] for each in turns) for figure in (0, 1))
    figures = (work, end, way, table.rate(n / seconds), table.duration(cpu / n))
    if way == WITHOUT:
        return (*figures, "", "", "", "")
    rate = quartiles([each[WITHOUT][0] / each[way][0] for each in turns])
    cost = quartiles([each[way][1] / each[WITHOUT][1] for each in turns])
    told = (*figures, as_text(rate), as_text(cost))
    if way == AGAIN or work not in WANTED_DURABLE:
        return (*told, "", "")
    again = quartiles([each[WITHOUT][0] / each[AGAIN][0] for each in turns])
    trusted = again[2] - again[0] <= 1 - WANTED_DURABLE[work]
    return (*told, f">= {WANTED_DURABLE[work]:g}x", table.verdict(met=rate[1] >= WANTED_DURABLE[work], trusted=trusted))
