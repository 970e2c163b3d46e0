"""Items per second and CPU per item of an async function, many items at once, beside other ways to do that."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.rates import FEW, Rate, again, seconds_to_send
from benchmarks.runner import CaseError
from benchmarks.systems import SYSTEMS, count

AT_ONCE = 1_000
ITEMS = 20_000
# Sleep of one item; with none, what is left is the cost of the machinery.
ITEM_SECONDS = (0.01, 0.0)
COLUMNS = (
    "sleep",
    "order",
    "system",
    "items/s",
    "of the ideal",
    "CPU/item",
    "chainpump/it",
    "CPU chainpump/it",
    "remark",
)
Work = Callable[[int], Awaitable[int]]


# Run in the process of a case.


def sleeping(seconds: float) -> Work:
    """An async function that sleeps, and returns the item."""
    import asyncio

    async def work(item: int) -> int:
        await asyncio.sleep(seconds)
        return item

    return work


def in_chainpump(work: Work, n: int) -> int:
    """In order, as it is by default."""
    from chainpump import Pipeline, Tasks

    return count(Pipeline(range(n)).map(work, on=Tasks(AT_ONCE)))


def in_chainpump_unordered(work: Work, n: int) -> int:
    """As they come."""
    from chainpump import Pipeline, Tasks

    return count(Pipeline(range(n)).map(work, on=Tasks(AT_ONCE), ordered=False))


def in_pypeln(work: Work, n: int) -> int:
    """As they come, which is all that it has without sorting everything at the end."""
    return count(import_module("pypeln").task.map(work, range(n), workers=AT_ONCE))


def by_hand(work: Work, n: int) -> int:
    """A semaphore and `gather`: in order; it holds a task for every item from the beginning, and all results."""
    import asyncio

    async def main() -> int:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(item: int) -> int:
            async with slots:
                return await work(item)

        return count(await asyncio.gather(*map(one, range(n))))

    return asyncio.run(main())


WAYS: Mapping[str, tuple[str, Callable[[Work, int], int]]] = {
    "chainpump": ("kept", in_chainpump),
    "chainpump-unordered": ("any", in_chainpump_unordered),
    "pypeln": ("any", in_pypeln),
    "gather": ("kept", by_hand),
}


def send(system: str, seconds: float, n: int) -> float:
    """Seconds that this system takes for n items, start-up included. Raises if not n results came."""
    return seconds_to_send(n, lambda: WAYS[system][1](sleeping(seconds), n))


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure one length of sleep after the other, the systems interleaved."""
    rows: list[Rate] = []
    cells: list[tuple[str, ...]] = []
    for seconds in ITEM_SECONDS:
        together = [_row(system, seconds) for system in WAYS]
        _measure(together, settings)
        rows += together
        cells += [_cells(row, together[0], seconds) for row in together]
    notes = [
        f"{ITEMS} items that `await asyncio.sleep(...)`, {AT_ONCE} at once. CPU: user + system.",
        f"items/s: n / (T(n) - T({FEW})), best of {settings.repeats}.",
        f"of the ideal: {AT_ONCE} items per sleep.",
        "chainpump/it: chainpump's rate over that system's; CPU chainpump/it: its CPU per item over that system's.",
        "gather: a semaphore and asyncio.gather by hand; it has a task for every item from the beginning.",
    ]
    return Result(
        table.Table("tasks", COLUMNS, cells, notes, labels=3),
        [row.record() for row in rows],
        failed=any(row.failed for row in rows),
    )


def _measure(rates: Sequence[Rate], settings: Settings) -> None:
    """As `rates.measure`, of so many items: fewer would not fill the places for long."""
    for _ in range(settings.repeats):
        for rate in rates:
            if rate.problem:
                continue
            rate.n = ITEMS
            try:
                again(rate, settings)
            except CaseError as error:
                rate.problem = error.problem


def _row(system: str, seconds: float) -> Rate:
    needs = SYSTEMS.get(system.partition("-")[0])
    missing = needs.missing() if needs is not None else None
    return Rate("awaiting:send", {"system": system, "seconds": seconds}, missing)


def _cells(row: Rate, ours: Rate, seconds: float) -> tuple[str, ...]:
    system = row.arguments["system"]
    ideal = row.per_second * seconds / AT_ONCE if row.per_second and seconds else None
    rate = ours.per_second / row.per_second if row is not ours and ours.per_second and row.per_second else None
    cpu = ours.cpu_per_item / row.cpu_per_item if row is not ours and ours.cpu_per_item and row.cpu_per_item else None
    return (
        table.duration(seconds) if seconds else "none",
        WAYS[system][0],
        system,
        table.rate(row.per_second) if row.per_second else "-",
        f"{ideal:.0%}" if ideal else "",
        table.duration(row.cpu_per_item) if row.cpu_per_item else "-",
        table.times(rate) if rate else "",
        table.times(cpu) if cpu else "",
        row.remark,
    )
