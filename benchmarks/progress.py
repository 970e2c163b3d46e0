"""What it costs to be seen: the rate of a run that nobody watches, beside that of the same with observers.

A difference of one percent is less than what the load of a machine changes from one run to the next. So runs take
turns, each is compared with the one beside it, and the median of these ratios is told with its quartiles.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import quantiles

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.rates import FEW, Rate, measure, seconds_to_send
from benchmarks.systems import count, identity, make
from benchmarks.targets import WANTED_WATCHED
from benchmarks.timing import Timing

PAYLOADS = ("int", "dict")  # those with the most items a second, where each costs most
WATCHED = ("by nobody", "by a function", "by progress=True")
TURNS = 4  # for each repeat that is asked for: quartiles need some pairs
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
        measure(together, replace(settings, repeats=TURNS * settings.repeats))
        rows += together
        cells += _cells(together)
    notes = [
        f"items/s: n / (T(n) - T({FEW})), best of {TURNS * settings.repeats}. CPU: user + system, all processes.",
        "ratios: median of as many pairs, one run after the other; in brackets half of the pairs.",
        "an observer is shown a snapshot each second, and one at the end; it takes 40 looks a second at the counts.",
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
        is_measure = row is alone or bool(row.problem or alone.problem)
        rate = None if is_measure else _ratio(_each(alone, alone.seconds), _each(row, row.seconds))
        cpu = None if is_measure else _ratio(_each(row, row.cpu), _each(alone, alone.cpu))
        trusted = not (row.remark or alone.remark)
        found.append(
            (
                row.arguments["payload"],
                row.arguments["watched"],
                table.rate(row.per_second) if row.per_second else "-",
                table.duration(row.cpu_per_item) if row.cpu_per_item else "-",
                _text(rate),
                _text(cpu),
                "" if is_measure else f">= {WANTED_WATCHED:g}x",
                table.verdict(met=rate[1] >= WANTED_WATCHED, trusted=trusted) if rate else "",
                row.remark,
            )
        )
    return found


def _each(rate: Rate, timing: Timing) -> list[float]:
    """Seconds per item of each run, start-up left out."""
    start_up = min(timing.start_ups)
    return [(total - start_up) / rate.n for total in timing.totals]


def _ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Of pairs: the lower quartile, the median and the upper quartile."""
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    if len(ratios) == 1:
        return ratios[0], ratios[0], ratios[0]
    lower, median, upper = quantiles(ratios, n=4, method="inclusive")
    return lower, median, upper


def _text(ratio: tuple[float, float, float] | None) -> str:
    return "" if ratio is None else f"{ratio[1]:.3f}x ({ratio[0]:.3f} to {ratio[2]:.3f})"
