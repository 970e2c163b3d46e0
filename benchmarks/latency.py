"""How old an item is when it arrives at the sink, two hops from its source, in a slow flow; beside queues by hand."""

from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from statistics import quantiles
from time import monotonic_ns, sleep

# Any: queues of `multiprocessing` have no type for their items.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.systems import identity
from benchmarks.targets import MODEL_LATENCY, WANTED_LONE_P50

OURS = "chainpump"
# By system, the function that runs a flow.
FUNCTIONS = {OURS: "ages_in_chainpump", "SimpleQueue": "ages_in_queues"}
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


def ages_in_queues(n: int, gap: float) -> list[int]:
    """The same through two queues and three processes, with nothing else: no order, no errors, no ends but the last."""
    context = get_context("fork")
    first, second, results = (context.SimpleQueue() for _ in range(3))
    steps = [(_send, (n, gap, first)), (_pass, (first, second)), (_receive, (second, results))]
    processes = [context.Process(target=function, args=args) for function, args in steps]
    for process in processes:
        process.start()
    found: list[int] = results.get()
    for process in processes:
        process.join()
    return found


def _send(n: int, gap: float, out: Any) -> None:
    for stamp in stamps(n, gap):
        out.put(stamp)
    out.put(None)


def _pass(into: Any, out: Any) -> None:
    for item in identity(iter(into.get, None)):
        out.put(item)
    out.put(None)


def _receive(into: Any, results: Any) -> None:
    results.put(ages(iter(into.get, None)))


# Run in the main process.


def run(settings: Settings) -> Result:
    """Pool the ages of all repeats, the flows interleaved."""
    pools: dict[tuple[float, str], list[float]] = {(gap, system): [] for gap in GAPS for system in FUNCTIONS}
    for _ in range(settings.repeats):
        for (gap, system), pooled in pools.items():
            n = WARM_UP + round(FLOW_SECONDS * settings.seconds / gap)
            found = settings.case(f"latency:{FUNCTIONS[system]}", n=n, gap=gap).value
            pooled += [age * 1e-9 for age in found[WARM_UP:]]
    rows = [_cells(system, gap, pooled) for (gap, system), pooled in pools.items()]
    notes = [
        f"from the source's yield to the sink, two hops; the first {WARM_UP} items of a run are not counted.",
        "SimpleQueue: three processes and two queues by hand, which do nothing else.",
        "design model: p10 / p50 / p99 of a model of the transport, on another machine.",
    ]
    records = [{"system": system, "gap": gap, "ages": pooled} for (gap, system), pooled in pools.items()]
    return Result(table.Table("latency", COLUMNS, rows, notes), records)


def _cells(system: str, gap: float, pooled: list[float]) -> tuple[str, ...]:
    cuts = quantiles(pooled, n=100)
    p10, p50, p99 = cuts[9], cuts[49], cuts[98]
    lone = gap == LONE_GAP and system == OURS
    return (
        system,
        table.duration(gap),
        str(len(pooled)),
        *map(table.duration, (p10, p50, p99)),
        f"<= {table.duration(WANTED_LONE_P50)}" if lone else "",
        table.verdict(met=p50 <= WANTED_LONE_P50, trusted=True) if lone else "",
        " / ".join(map(table.duration, MODEL_LATENCY[gap])) if system == OURS else "",
    )
