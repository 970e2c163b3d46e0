"""What it costs to be seen: the rate of a run that nobody watches, beside that of the same with observers."""

from collections.abc import Sequence

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.rates import FEW, Rate, measure, seconds_to_send
from benchmarks.systems import count, identity, make
from benchmarks.targets import WANTED_WATCHED

PAYLOADS = ("int", "dict")  # those with the most items a second, where each costs most
WATCHED = ("by nobody", "by a function", "by progress=True")
COLUMNS = ("payload", "watched", "items/s", "CPU/item", "rate/unwatched", "CPU/unwatched", "wanted", "met", "remark")


def send(payload: str, watched: str, n: int) -> float:
    """Seconds for n items, start-up included. Raises if the sink has not counted n.

    Run in the process of a case, whose standard error is no terminal.
    """
    from chainpump import Pipeline, Progress, sink, source, stage

    shown: list[Progress] = []
    pipeline = Pipeline(source(make, payload, n)).then(stage(identity)).into(sink(count))
    observe = shown.append if watched == "by a function" else None
    seconds = seconds_to_send(n, lambda: pipeline.run(observe=observe, progress=watched == "by progress=True").value)
    if observe is not None and not shown[-1].is_over:
        raise RuntimeError("the observer has not seen the end")
    return seconds


def run(settings: Settings) -> Result:
    """Measure the payloads one after another, the ways of watching interleaved."""
    rows: list[Rate] = []
    cells: list[tuple[str, ...]] = []
    for payload in PAYLOADS:
        together = [Rate("progress:send", {"payload": payload, "watched": watched}) for watched in WATCHED]
        measure(together, settings)
        rows += together
        cells += _cells(together)
    notes = [
        f"items/s: n / (T(n) - T({FEW})), best of {settings.repeats}. CPU: user + system, all processes.",
        "an observer is shown a snapshot each second, and one at the end; a difference of some percent is noise.",
    ]
    return Result(
        table.Table("progress", COLUMNS, cells, notes),
        [row.record() for row in rows],
        failed=any(row.failed for row in rows),
    )


def _cells(together: Sequence[Rate]) -> list[tuple[str, ...]]:
    alone = together[0]
    found = []
    for row in together:
        rate = row.per_second / alone.per_second if row.per_second and alone.per_second else None
        cpu = row.cpu_per_item / alone.cpu_per_item if row.cpu_per_item and alone.cpu_per_item else None
        is_measure = row is alone
        trusted = not (row.remark or alone.remark)
        found.append(
            (
                row.arguments["payload"],
                row.arguments["watched"],
                table.rate(row.per_second) if row.per_second else "-",
                table.duration(row.cpu_per_item) if row.cpu_per_item else "-",
                table.times(rate) if rate and not is_measure else "",
                table.times(cpu) if cpu and not is_measure else "",
                "" if is_measure else f">= {WANTED_WATCHED:g}x",
                table.verdict(met=rate >= WANTED_WATCHED, trusted=trusted) if rate and not is_measure else "",
                row.remark,
            )
        )
    return found
