"""How old an item is when it arrives at the sink, two hops from its source, in a slow flow."""

from collections.abc import Iterable, Iterator
from statistics import quantiles
from time import monotonic_ns, sleep

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.systems import identity
from benchmarks.targets import MODEL_LATENCY, WANTED_LONE_P50

# Seconds between items, each of which travels alone.
LONE_GAP = 10e-3
GAPS = (LONE_GAP, 1e-3)
# Of Settings.seconds: how long the source goes on.
FLOW_SECONDS = 2.0
# Items at the start that are not counted.
WARM_UP = 10
COLUMNS = ("system", "an item every", "items", "p10", "p50", "p99", "wanted p50", "met", "design model")


# Run in the process of a case.


def stamps(n: int, gap: float) -> Iterator[int]:
    """Yield the time, each after a sleep of `gap` seconds; ns of the clock that all processes share."""
    for _ in range(n):
        sleep(gap)
        yield monotonic_ns()


def ages(items: Iterable[int]) -> list[int]:
    """How old each item is on arrival, ns."""
    return [monotonic_ns() - stamp for stamp in items]


def ages_in_chainpump(n: int, gap: float) -> list[int]:
    """Ages of n items over two hops, source -> identity -> sink, ns."""
    from chainpump import Pipeline, Processes, sink, source, stage

    pipeline = Pipeline(source(stamps, n, gap), on=Processes(1)).then(stage(identity), on=Processes(1))
    found = pipeline.into(sink(ages), on=Processes(1)).run().value
    if len(found) != n:
        raise RuntimeError(f"lost items: sent {n}, counted {len(found)}")
    return found


# Run in the main process.


def run(settings: Settings) -> Result:
    """Pool the ages of all repeats, the flows interleaved."""
    ages_by_gap: dict[float, list[float]] = {gap: [] for gap in GAPS}
    for _ in range(settings.repeats):
        for gap, pooled in ages_by_gap.items():
            n = WARM_UP + round(FLOW_SECONDS * settings.seconds / gap)
            found = settings.case("latency:ages_in_chainpump", n=n, gap=gap).value
            pooled += [age * 1e-9 for age in found[WARM_UP:]]
    rows = [_cells(gap, pooled) for gap, pooled in ages_by_gap.items()]
    notes = [
        f"from the source's yield to the sink, two hops; the first {WARM_UP} items of a run are not counted.",
        "design model: p10 / p50 / p99 of a model of the transport, on another machine.",
    ]
    records = [{"system": "chainpump", "gap": gap, "ages": pooled} for gap, pooled in ages_by_gap.items()]
    return Result(table.Table("latency", COLUMNS, rows, notes), records)


def _cells(gap: float, pooled: list[float]) -> tuple[str, ...]:
    cuts = quantiles(pooled, n=100)
    p10, p50, p99 = cuts[9], cuts[49], cuts[98]
    lone = gap == LONE_GAP
    return (
        "chainpump",
        table.duration(gap),
        str(len(pooled)),
        *map(table.duration, (p10, p50, p99)),
        f"<= {table.duration(WANTED_LONE_P50)}" if lone else "",
        table.verdict(met=p50 <= WANTED_LONE_P50, trusted=True) if lone else "",
        " / ".join(map(table.duration, MODEL_LATENCY[gap])),
    )
