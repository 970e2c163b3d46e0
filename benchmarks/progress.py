"""What it costs to be seen: the rate of a run that nobody watches, beside that of the same with observers.

One percent is less than the load of a machine changes from one run to the next. So the ways take turns, many times,
within one process; each run is compared with the unwatched one of its turn; and the median of these ratios is told with
its quartiles. A second unwatched run in each turn tells what the same figures are worth where there is no difference.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import median
from time import perf_counter, process_time, thread_time

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.quartiles import as_text, quartiles
from benchmarks.systems import count, identity, make
from benchmarks.targets import WANTED_WATCHED

# Those with the most items a second, where each costs most.
PAYLOADS = ("int", "dict")
ALONE, AGAIN, *_ = WATCHED = ("by nobody", "by nobody, again", "by a function", "by progress=True")
# For each repeat that is asked for: quartiles need some.
TURNS = 8
COLUMNS = ("payload", "watched", "items/s", "CPU/item", "rate/unwatched", "CPU/unwatched", "observer", "wanted", "met")


# Run in the process of a case, whose standard error is no terminal.


def send(payload: str, watched: str, n: int) -> tuple[float, float, float]:
    """Seconds for n items, start-up included; of all processors; and of those, what who looks on has taken.

    The last is 0 where that does not tell. Raises if the sink has not counted n.
    """
    from chainpump import Pipeline, Progress, sink, source, stage

    shown: list[tuple[Progress, float]] = []
    pipeline = Pipeline(source(make, payload, n)).then(stage(identity)).into(sink(count))
    own = watched == "by a function"
    observe = (lambda progress: shown.append((progress, thread_time()))) if own else None
    began, cpu = perf_counter(), process_time()
    report = pipeline.run(observe=observe, progress=watched == "by progress=True")
    seconds, cpu = perf_counter() - began, process_time() - cpu
    if report.value != n:
        raise RuntimeError(f"items were lost: sent {n}, counted {report.value}")
    if own and not shown[-1][0].is_over:
        raise RuntimeError("the observer has not seen the end")
    return seconds, cpu + sum(each.cpu for each in report.stages), shown[-1][1] if own else 0.0


def enough(payload: str, seconds: float) -> int:
    """How many items take about so long, start-up left out."""
    n = 1_000
    # Starts the fork server.
    send(payload, ALONE, 2)
    start_up = send(payload, ALONE, 2)[0]
    while (elapsed := send(payload, ALONE, n)[0] - start_up) < seconds / 2:
        n *= 4
    return round(n * seconds / elapsed)


def turn(payload: str, n: int, first: int) -> dict[str, tuple[float, float, float]]:
    """What `send` says of each way. first: the place of the one to begin with."""
    send(payload, ALONE, 2)
    return {watched: send(payload, watched, n) for watched in (*WATCHED[first:], *WATCHED[:first])}


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure the payloads one after another, the ways of watching interleaved."""
    cells: list[tuple[str, ...]] = []
    records = []
    for payload in PAYLOADS:
        n = settings.case("progress:enough", payload=payload, seconds=settings.seconds).value
        turns = [
            settings.case("progress:turn", payload=payload, n=n, first=number % len(WATCHED)).value
            for number in range(TURNS * settings.repeats)
        ]
        cells += [_cells(payload, watched, n, turns) for watched in WATCHED]
        records.append({"payload": payload, "n": n, "turns": turns})
    notes = [
        f"medians of {TURNS * settings.repeats} turns, start-up included; in brackets half of the turns.",
        "an observer is shown a snapshot each second, and one at the end; it takes 40 looks a second at the counts.",
        "observer: what its thread takes of one processor, which the load of the machine hardly changes.",
    ]
    return Result(table.Table("progress", COLUMNS, cells, notes), records)


def _cells(
    payload: str, watched: str, n: int, turns: Sequence[dict[str, tuple[float, float, float]]]
) -> tuple[str, ...]:
    seconds, cpu = (median(each[watched][figure] for each in turns) for figure in (0, 1))
    figures = (payload, watched, table.rate(n / seconds), table.duration(cpu / n))
    if watched == ALONE:
        return (*figures, "", "", "", "", "")
    rate, (lower, _, upper) = (quartiles([each[ALONE][0] / each[way][0] for each in turns]) for way in (watched, AGAIN))
    cost = quartiles([each[watched][1] / each[ALONE][1] for each in turns])
    # About as far as a median may be off.
    trusted = (upper - lower) / sqrt(len(turns)) <= 1 - WANTED_WATCHED
    wanted = (f">= {WANTED_WATCHED:g}x", table.verdict(met=rate[1] >= WANTED_WATCHED, trusted=trusted))
    # Of one processor.
    looking = median(each[watched][2] / each[watched][0] for each in turns)
    own = f"{looking:.2%}" if looking else ""
    return (*figures, as_text(rate), as_text(cost), own, *(wanted if watched != AGAIN else ("", "")))
