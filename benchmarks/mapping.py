"""Items per second and CPU per item: a function of one item, from the main process and back, beside pools."""

from collections.abc import Sequence

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.payloads import PAYLOADS
from benchmarks.rates import FEW, Rate, measure, seconds_to_send
from benchmarks.systems import MAPS, SYSTEMS
from benchmarks.targets import WANTED_MAP_CPU, WANTED_MAP_RATES

WORKERS = (1, 2)
# Whose CPU is the measure.
CHUNKED = "pool-1000"
COLUMNS = (
    *("payload", "workers", "system", "items/s", "CPU/item", "chainpump/it", "CPU chainpump/it"),
    *("wanted rate", "met", "wanted CPU", "met", "remark"),
)


def send(system: str, payload: str, workers: int, n: int) -> float:
    """Seconds that this system takes for a list of n items, start-up included. Raises if not n results came.

    Run in the process of a case.
    """
    items = list(PAYLOADS[payload].make(n))
    return seconds_to_send(n, lambda: MAPS[system](items, PAYLOADS[payload].chunk, workers))


def run(settings: Settings) -> Result:
    """Measure the payloads one after another, their systems interleaved."""
    rows: list[Rate] = []
    cells: list[tuple[str, ...]] = []
    for payload in settings.payloads:
        for workers in WORKERS:
            together = [_row(system, payload, workers) for system in _systems(payload, settings)]
            measure(together, settings)
            rows += together
            cells += _cells(together)
    return Result(
        table.Table("map", COLUMNS, cells, _notes(settings), labels=3),
        [row.record() for row in rows],
        failed=any(row.failed for row in rows),
    )


def _systems(payload: str, settings: Settings) -> Sequence[str]:
    # As the one with chunks, then.
    same = "pool-1" if PAYLOADS[payload].chunk == 1 else ""
    return [system for system in MAPS if system in settings.systems and system != same]


def _row(system: str, payload: str, workers: int) -> Rate:
    missing = PAYLOADS[payload].missing() or (SYSTEMS[system].missing() if system in SYSTEMS else None)
    return Rate("mapping:send", {"system": system, "payload": payload, "workers": workers}, missing)


def _cells(together: Sequence[Rate]) -> list[tuple[str, ...]]:
    """The rows of one payload and one number of workers."""
    by_name = {row.arguments["system"]: row for row in together}
    ours = by_name.pop("chainpump", None)
    best = max(by_name.values(), key=lambda row: row.per_second or 0, default=None)
    return [_row_cells(row, ours, row is best) for row in together]


def _row_cells(row: Rate, ours: Rate | None, is_best: bool) -> tuple[str, ...]:
    payload, workers, system = (row.arguments[key] for key in ("payload", "workers", "system"))
    trusted = not (row.remark or (ours and ours.remark))
    rate = _ratio(ours.per_second, row.per_second) if ours and ours is not row else None
    cpu = _ratio(ours.cpu_per_item, row.cpu_per_item) if ours and ours is not row else None
    wanted_rate = WANTED_MAP_RATES.get(payload) if is_best else None
    wanted_cpu = WANTED_MAP_CPU.get(payload) if system == CHUNKED else None
    return (
        payload,
        str(workers),
        system,
        table.rate(row.per_second) if row.per_second else "-",
        table.duration(row.cpu_per_item) if row.cpu_per_item else "-",
        table.times(rate) if rate else "",
        table.times(cpu) if cpu else "",
        f">= {wanted_rate:g}x" if wanted_rate else "",
        table.verdict(met=rate >= wanted_rate, trusted=trusted) if wanted_rate and rate else "",
        f"<= {wanted_cpu:g}x" if wanted_cpu else "",
        table.verdict(met=cpu <= wanted_cpu, trusted=trusted) if wanted_cpu and cpu else "",
        row.remark,
    )


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours and theirs else None


def _notes(settings: Settings) -> list[str]:
    return [
        f"items/s: n / (T(n) - T({FEW})), best of {settings.repeats}. CPU: user + system, all processes.",
        "chainpump/it: chainpump's rate over that system's; CPU chainpump/it: its CPU per item over that system's.",
        "wanted rate: against the best pool of the group; wanted CPU: against Pool.imap with chunks.",
        "met: ? where a remark says why one of the two rates is not to be trusted.",
        "pool: multiprocessing.Pool.imap, executor: ProcessPoolExecutor.map, both under fork, results in order.",
        "Items are in a list; chainpump-gen reads a generator, of which each item is taken as it is at its `yield`.",
        "-1000: chunks of 1000; of 16 for bytes64K, of 1 for arrays.",
    ]
