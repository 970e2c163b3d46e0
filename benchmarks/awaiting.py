"""Items per second and CPU per item of async functions and async generators, beside other ways to do that."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from importlib import import_module

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.rates import FEW, Rate, again, seconds_to_send
from benchmarks.runner import CaseError
from benchmarks.systems import SYSTEMS, count

AT_ONCE = 1_000
ITEMS = 20_000
# Sleep of one item, in seconds. None: it returns at once, and what is left is the cost of the machinery.
SLEEPS: Mapping[str, float | None] = {"10 ms": 0.01, "0 s": 0.0, "none": None}
COLUMNS = (
    "what",
    "sleep",
    "order",
    "system",
    "items/s",
    "of the ideal",
    "CPU/item",
    "chainpump/it",
    "CPU chainpump/it",
    "CPU chainpump - it",
    "remark",
)
Work = Callable[[int], Awaitable[int]]


# Run in the process of a case.


def sleeping(seconds: float | None) -> Work:
    """An async function that sleeps, and returns the item."""
    import asyncio

    async def work(item: int) -> int:
        if seconds is not None:
            await asyncio.sleep(seconds)
        return item

    return work


async def awaited(work: Work, n: int) -> AsyncIterator[int]:
    """The source: it awaits the function for each item."""
    for item in range(n):
        yield await work(item)


def source_in_chainpump(work: Work, n: int) -> int:
    """Items of an async generator, in the main process."""
    from chainpump import Pipeline, Tasks, source

    return count(Pipeline(source(awaited, work, n), on=Tasks()))


def source_by_hand(work: Work, n: int) -> int:
    """`async for`, in one event loop."""
    import asyncio

    async def main() -> int:
        return sum([1 async for _ in awaited(work, n)])

    return asyncio.run(main())


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
SOURCES: Mapping[str, tuple[str, Callable[[Work, int], int]]] = {
    "chainpump": ("kept", source_in_chainpump),
    "async for": ("kept", source_by_hand),
}
# One item of a source follows the other: a longer sleep would measure only itself.
TABLES = (
    ("map", WAYS, tuple(SLEEPS)),
    ("source", SOURCES, ("0 s", "none")),
)


def send(what: str, system: str, sleep: str, n: int) -> float:
    """Seconds that this system takes for n items, start-up included. Raises if not n results came."""
    ways = {name: each for name, each, _ in TABLES}[what]
    return seconds_to_send(n, lambda: ways[system][1](sleeping(SLEEPS[sleep]), n))


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure one length of sleep after the other, the systems interleaved."""
    rows: list[Rate] = []
    cells: list[tuple[str, ...]] = []
    for what, ways, sleeps in TABLES:
        for sleep in sleeps:
            together = [_row(what, system, sleep) for system in ways]
            _measure(together, settings)
            rows += together
            cells += [_cells(row, together[0], ways) for row in together]
    notes = [
        f"map: {ITEMS} items that `await asyncio.sleep(...)`, or do not wait, {AT_ONCE} at once. CPU: user + system.",
        "source: an async generator that does so for each item.",
        f"items/s: n / (T(n) - T({FEW})), best of {settings.repeats}.",
        f"of the ideal: {AT_ONCE} items per sleep.",
        "chainpump/it: chainpump's rate over that system's; CPU chainpump/it: its CPU per item over that system's,",
        "and CPU chainpump - it: the difference.",
        "gather: a semaphore and asyncio.gather by hand; it has a task for every item from the beginning.",
    ]
    return Result(
        table.Table("tasks", COLUMNS, cells, notes, labels=4),
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


def _row(what: str, system: str, sleep: str) -> Rate:
    needs = SYSTEMS.get(system.partition("-")[0])
    missing = needs.missing() if needs is not None else None
    return Rate("awaiting:send", {"what": what, "system": system, "sleep": sleep}, missing)


def _cells(row: Rate, ours: Rate, ways: Mapping[str, tuple[str, Callable[[Work, int], int]]]) -> tuple[str, ...]:
    what, system, sleep = (row.arguments[key] for key in ("what", "system", "sleep"))
    seconds = SLEEPS[sleep]
    ideal = row.per_second * seconds / AT_ONCE if row.per_second and seconds else None
    is_other = row is not ours
    rate = ours.per_second / row.per_second if is_other and ours.per_second and row.per_second else None
    both = is_other and ours.cpu_per_item and row.cpu_per_item
    more = (ours.cpu_per_item or 0.0) - (row.cpu_per_item or 0.0)
    return (
        what,
        sleep,
        ways[system][0],
        system,
        table.rate(row.per_second) if row.per_second else "-",
        f"{ideal:.0%}" if ideal else "",
        table.duration(row.cpu_per_item) if row.cpu_per_item else "-",
        table.times(rate) if rate else "",
        table.times((ours.cpu_per_item or 0.0) / (row.cpu_per_item or 1.0)) if both else "",
        f"{1e6 * more:+.1f} us" if both else "",
        row.remark,
    )
