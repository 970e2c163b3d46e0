"""What it saves that built-ins run in the worker of a neighbour: source -> batch -> map on 2 -> unbatch -> end."""

from collections.abc import Sequence

# Any: items are opaque.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.payloads import PAYLOADS
from benchmarks.rates import FEW, Rate, measure, seconds_to_send
from benchmarks.systems import count, make

# Items of a batch, by payload; arrays are large.
SIZES = {"array1M": 4}
SIZE = 100
# From a function in a process into a sink in a process; and from a list of the main process into its own loop.
CHAINS = ("processes", "main process")
OWN, JOINED = "own workers", "joined"
COLUMNS = ("payload", "source and end", "batch, unbatch", "items/s", "CPU/item", "rate", "CPU", "remark")


# Run in the process of a case.


def same(items: list[Any]) -> list[Any]:
    """Return the batch."""
    return items


def send(payload: str, chain: str, placed: str, n: int) -> float:
    """Seconds for n items, start-up included. Raises if the end has not counted n."""
    from chainpump import Pipeline, Processes, sink, source

    named: dict[str, Any] = {} if placed == JOINED else {"on": Processes(1)}
    size = SIZES.get(payload, SIZE)
    in_main = chain == "main process"
    start = Pipeline(list(make(payload, n))) if in_main else Pipeline(source(make, payload, n), on=Processes(1))
    pipeline = start.batch(size, **named).map(same, on=Processes(2)).unbatch(**named)
    if in_main:
        return seconds_to_send(n, lambda: count(pipeline))
    return seconds_to_send(n, lambda: pipeline.into(sink(count), on=Processes(1)).run().value)


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure each payload and chain with both, interleaved."""
    rows: list[Rate] = []
    cells: list[tuple[str, ...]] = []
    for payload in settings.payloads:
        for chain in CHAINS:
            together = [_row(payload, chain, placed) for placed in (OWN, JOINED)]
            measure(together, settings)
            rows += together
            cells += _cells(together)
    notes = [
        f"items/s: n / (T(n) - T({FEW})), best of {settings.repeats}. CPU: user + system, all processes.",
        f"{OWN}: on=Processes(1) for each of the two; {JOINED}: no executor named.",
        "rate, CPU: of the joined ones over those with workers of their own.",
        f"processes: a function on a process, a sink on another one; {CHAINS[1]}: a list, and the loop of the caller.",
    ]
    return Result(
        table.Table("joining", COLUMNS, cells, notes, labels=3),
        [row.record() for row in rows],
        failed=any(row.failed for row in rows),
    )


def _row(payload: str, chain: str, placed: str) -> Rate:
    return Rate("joining:send", {"payload": payload, "chain": chain, "placed": placed}, PAYLOADS[payload].missing())


def _cells(together: Sequence[Rate]) -> list[tuple[str, ...]]:
    own = together[0]
    return [
        (
            *(str(row.arguments[key]) for key in ("payload", "chain", "placed")),
            table.rate(row.per_second) if row.per_second else "-",
            table.duration(row.cpu_per_item) if row.cpu_per_item else "-",
            _ratio(row.per_second, own.per_second) if row is not own else "",
            _ratio(row.cpu_per_item, own.cpu_per_item) if row is not own else "",
            row.remark,
        )
        for row in together
    ]


def _ratio(ours: float | None, theirs: float | None) -> str:
    return table.times(ours / theirs) if ours and theirs else ""
