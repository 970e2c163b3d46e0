"""What checking costs: a pipeline as it is built, and the items of a run that looks at each of them."""

from collections.abc import Callable, Iterable, Iterator
from statistics import median
from time import perf_counter
from typing import Any, TypedDict, TypeVar

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.targets import WANTED_BUILD

STAGES = 10
# Of which the median counts; the first one imports what all others need.
BUILDS = 50
COLUMNS = ("what", "figure", "wanted", "met")

T = TypeVar("T")


class Record(TypedDict):
    """An item with fields."""

    name: str
    size: int


# Run in the process of a case.


def halved(values: Iterable[int]) -> Iterator[int]:
    """A stage of plain items."""
    yield from (value // 2 for value in values)


def batched(items: Iterable[T], n: int) -> Iterator[list[T]]:
    """A stage with a type variable."""
    yield list(items)[:n]


def flat(batches: Iterable[list[T]]) -> Iterator[T]:
    """The same, the other way round."""
    for each in batches:
        yield from each


def build_seconds() -> float:
    """Seconds to build a pipeline of 10 stages; the median of some."""
    from chainpump import Pipeline, sink, source, stage

    def build() -> object:
        pipeline: Any = Pipeline(source(range, 9))
        for _ in range((STAGES - 1) // 3):
            pipeline = pipeline.then(halved).then(stage(batched, 3)).then(flat)
        return pipeline.into(sink(sum))

    return median(_seconds(build) for _ in range(BUILDS))


def integers(n: int) -> Iterator[int]:
    """Plain items."""
    yield from range(n)


def records(n: int) -> Iterator[Record]:
    """Items with fields."""
    for size in range(n):
        yield {"name": "a", "size": size}


def seconds_per_item(kind: str, n: int, check: bool) -> float:
    """Seconds per item of a source that is read inline, with a look at each item or without."""
    from chainpump import Inline, Pipeline, sink, source

    function: Callable[[int], Iterator[Any]] = {"int": integers, "TypedDict": records}[kind]
    counted = Pipeline(source(function, n), on=Inline()).into(sink(list), on=Inline())
    return _seconds(lambda: counted.run(check_items=check)) / n


def _seconds(call: Callable[[], object]) -> float:
    before = perf_counter()
    call()
    return perf_counter() - before


# Run in the main process.


def run(settings: Settings) -> Result:
    """Each figure in a process of its own; the best of the repeats."""
    built = min(settings.case("checks:build_seconds").value for _ in range(settings.repeats))
    verdict = table.verdict(met=built <= WANTED_BUILD, trusted=True)
    rows = [(f"build {STAGES} stages", table.duration(built), f"<= {table.duration(WANTED_BUILD)}", verdict)]
    found = [{"what": "build", "seconds": built}]
    for kind in ("int", "TypedDict"):
        for check in (False, True):
            n = round(100_000 * settings.seconds)
            case = "checks:seconds_per_item"
            best = min(settings.case(case, kind=kind, n=n, check=check).value for _ in range(settings.repeats))
            rows.append((f"{kind} per item{', each looked at' * check}", table.duration(best), "", ""))
            found.append({"what": kind, "check": check, "seconds": best})
    notes = ["inline, where an item costs least: so this is what the look itself takes."]
    return Result(table.Table("checks", COLUMNS, rows, notes), found)
