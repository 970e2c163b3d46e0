"""Items per second and CPU per item: source -> identity -> counting sink, each system, each payload."""

from collections.abc import Sequence

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.payloads import PAYLOADS
from benchmarks.rates import FEW, Rate, measure, seconds_to_send
from benchmarks.systems import SYSTEMS
from benchmarks.targets import TARGETS, WANTED_RATIOS

COLUMNS = ("payload", "system", "items/s", "CPU/item", "chainpump/it", "wanted", "met", "target", "remark")


def send(system: str, payload: str, n: int) -> float:
    """Seconds that this system takes for n items, start-up included. Raises if the sink has not counted n.

    Run in the process of a case.
    """
    return seconds_to_send(n, lambda: SYSTEMS[system].run(payload, n))


def run(settings: Settings) -> Result:
    """Measure the payloads one after another, their systems interleaved."""
    rows: list[Rate] = []
    for payload in settings.payloads:
        together = [_row(system, payload) for system in settings.systems if _takes(system, payload)]
        measure(together, settings)
        rows += together
    return Result(
        table.Table("throughput", COLUMNS, _cells(rows), _notes(settings)),
        [row.record() for row in rows],
        failed=any(row.failed for row in rows),
    )


def _takes(system: str, payload: str) -> bool:
    return system in SYSTEMS and (PAYLOADS[payload].is_memory or not SYSTEMS[system].only_memory)


def _row(system: str, payload: str) -> Rate:
    missing = PAYLOADS[payload].missing() or SYSTEMS[system].missing()
    return Rate("throughput:send", {"system": system, "payload": payload}, missing)


def _cells(rows: Sequence[Rate]) -> list[tuple[str, ...]]:
    ours = {row.arguments["payload"]: row for row in rows if row.arguments["system"] == "chainpump"}
    return [_row_cells(row, ours.get(row.arguments["payload"])) for row in rows]


def _row_cells(row: Rate, ours: Rate | None) -> tuple[str, ...]:
    payload, system = row.arguments["payload"], row.arguments["system"]
    rate, cpu = row.per_second, row.cpu_per_item
    ratio = ours.per_second / rate if ours and ours is not row and ours.per_second and rate else None
    trusted = not (row.remark or (ours and ours.remark))
    wanted = WANTED_RATIOS.get((payload, system))
    target = TARGETS.get(payload) if system == "chainpump" else None
    return (
        payload,
        system,
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
        "memcpy: one copy of each item in one process; chainpump makes two of them, in two of three processes.",
        "Pools are element-wise, with source and sink in the main process.",
    ]
