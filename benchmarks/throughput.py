"""Items per second and CPU per item: source -> identity -> counting sink, each system, each payload.

Rate: n / (T(n) - T(2)), best of the repeats, so that start-up is excluded; a pilot chooses n so that a run
takes about `Settings.seconds`. CPU per item: (CPU(n) - CPU(2)) / n over all processes. T(2) and T(n) come
from cases of their own: in one process, the second would not pay for the start-up that the first has paid.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from time import perf_counter

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.payloads import PAYLOADS
from benchmarks.runner import CaseError, Outcome
from benchmarks.systems import SYSTEMS
from benchmarks.targets import TARGETS, WANTED_RATIOS
from benchmarks.timing import STARTS, Timing

FEW = 2  # items of the runs that measure start-up
LEAST = 20  # items of a measured run: what is allocated beforehand flatters a shorter one
PILOT_SECONDS = 0.05  # least length of a pilot beyond start-up; and half the start-up, which varies by as much
PILOT_GROWTH = 8  # times as many items as in a run that was too short
SIZINGS = 4  # tries to reach half of the seconds asked for, before the row is shown with a remark
DOUBT = 0.3  # of the net time: above, a rate is shown with a remark, and no verdict rests on it
CPU_MARGIN = 1.25  # times all cores: a rate that takes more CPU time than this is an artefact
COLUMNS = ("payload", "system", "items/s", "CPU/item", "chainpump/it", "wanted", "met", "target", "remark")


# Run in the process of a case.


def send(system: str, payload: str, n: int) -> float:
    """Seconds that this system takes for n items, start-up included. Raises if the sink has not counted n."""
    started = perf_counter()
    counted = SYSTEMS[system].run(payload, n)
    elapsed = perf_counter() - started
    if counted != n:
        raise RuntimeError(f"{system} lost items: sent {n}, counted {counted}")
    return elapsed


def pilot(system: str, payload: str, seconds: float) -> int:
    """About how many items take that many seconds."""
    start_up = min(send(system, payload, FEW) for _ in range(2))
    n = LEAST
    while (elapsed := send(system, payload, n) - start_up) < max(PILOT_SECONDS, start_up / 2):
        n *= PILOT_GROWTH
    return max(LEAST, round(n * seconds / elapsed))


# Run in the main process.


@dataclass(slots=True)
class Row:
    """One system on one payload: the seconds and CPU seconds of all its runs."""

    system: str
    payload: str
    n: int = 0
    problem: str | None = None
    missing: bool = False
    seconds: Timing = field(default_factory=Timing)
    cpu: Timing = field(default_factory=Timing)

    @property
    def rate(self) -> float | None:
        """Items per second, or None without a figure."""
        return None if self.problem or self.seconds.net <= 0 else self.n / self.seconds.net

    @property
    def cpu_per_item(self) -> float | None:
        """CPU seconds per item, or None without a figure."""
        return None if self.problem or self.cpu.net <= 0 else self.cpu.net / self.n

    @property
    def remark(self) -> str:
        """Why there is no figure, or why it is not to be trusted; empty if it is."""
        if self.problem:
            return self.problem
        if not self.seconds.supports(DOUBT):
            return "start-up varies too much"
        if (self.rate or 0) * (self.cpu_per_item or 0) > CPU_MARGIN * (os.cpu_count() or 1):
            return "more CPU than there is"
        return ""


def run(settings: Settings) -> Result:
    """Measure the payloads one after another, their systems interleaved."""
    rows: list[Row] = []
    for payload in settings.payloads:
        rows += _measure(payload, settings)
    return Result(
        table.Table("throughput", COLUMNS, _cells(rows), _notes(settings)),
        [{**asdict(row), "rate": row.rate, "cpu_per_item": row.cpu_per_item} for row in rows],
        failed=any(row.problem and not row.missing for row in rows),
    )


def _measure(payload: str, settings: Settings) -> list[Row]:
    rows = [Row(system, payload) for system in settings.systems]
    for row in rows:
        row.problem = _missing(row)
        row.missing = row.problem is not None
        _attempt(row, settings, _first)
    for _ in range(settings.repeats - 1):
        for row in rows:
            _attempt(row, settings, _again)
    return rows


def _attempt(row: Row, settings: Settings, step: Callable[[Row, Settings], None]) -> None:
    """Take one step of a row, unless an earlier one has failed."""
    if row.problem:
        return
    try:
        step(row, settings)
    except CaseError as error:
        row.problem = error.problem


def _first(row: Row, settings: Settings) -> None:
    """Choose n by a pilot and by the measured run itself, which a busy moment may have cut too short."""
    about = settings.seconds
    row.n = settings.case("throughput:pilot", system=row.system, payload=row.payload, seconds=about).value
    for _ in range(SIZINGS):
        row.seconds, row.cpu = Timing(), Timing()
        _again(row, settings)
        if row.seconds.net >= about / 2:
            break
        row.n = round(row.n * min(PILOT_GROWTH, about / max(row.seconds.net, about / PILOT_GROWTH)))


def _again(row: Row, settings: Settings) -> None:
    def measured(n: int) -> Outcome:
        return settings.case("throughput:send", system=row.system, payload=row.payload, n=n)

    starts, total = [measured(FEW) for _ in range(STARTS)], measured(row.n)
    row.seconds.start_ups += [start.value for start in starts]
    row.cpu.start_ups += [start.cpu for start in starts]
    row.seconds.totals.append(total.value)
    row.cpu.totals.append(total.cpu)


def _missing(row: Row) -> str | None:
    needs = PAYLOADS[row.payload].needs
    if needs and find_spec(needs) is None:
        return f"pip install {needs}"
    return SYSTEMS[row.system].missing()


def _cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    ours = {row.payload: row for row in rows if row.system == "chainpump"}
    return [_row_cells(row, ours.get(row.payload)) for row in rows]


def _row_cells(row: Row, ours: Row | None) -> tuple[str, ...]:
    rate, cpu = row.rate, row.cpu_per_item
    ratio = ours.rate / rate if ours and ours is not row and ours.rate and rate else None
    trusted = not (row.remark or (ours and ours.remark))
    wanted = WANTED_RATIOS.get((row.payload, row.system))
    target = TARGETS.get(row.payload) if row.system == "chainpump" else None
    return (
        row.payload,
        row.system,
        table.rate(rate) if rate else "-",
        table.duration(cpu) if cpu else "-",
        table.times(ratio) if ratio else "",
        f">= {wanted:g}x" if wanted else "",
        table.verdict(met=ratio >= wanted, trusted=trusted) if wanted and ratio else "",
        f"{table.rate(target.rate)}/s, {table.duration(target.cpu)}" if target else "",
        row.remark,
    )


def _notes(settings: Settings) -> list[str]:
    return [
        f"items/s: n / (T(n) - T({FEW})), best of {settings.repeats}. CPU: user + system, all processes.",
        "chainpump/it: chainpump's rate over that system's. Only ratios within one table count.",
        "met: ? where a remark says why one of the two rates is not to be trusted.",
        "target: from the design measurements, on another machine.",
        "pool-1000: chunks of 1000; of 16 for bytes64K, of 1 for arrays.",
        "Pools are element-wise, with source and sink in the main process.",
    ]
