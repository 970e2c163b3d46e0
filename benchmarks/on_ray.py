"""What `Ray(...)` does beside Ray Data: `python -m benchmarks.on_ray`, with `pip install "ray[data]"`.

Three stages: a source, a function of one item and a loop in the main process; source and function on a worker each.
Ray Data runs both functions in one actor. Each case is a program of its own on a cluster that runs already, and the
systems take turns. Only the ratios count.

* first: seconds until the first item, of the first run in the program; warm: of the second one
* items/s and CPU: of a long run, less those of the second one, of two items. CPU is that of all processes of the
  cluster and of the program: those of Ray take some of it all the time
"""

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

# What a case returns is JSON.
from typing import Any, NamedTuple

import numpy as np

from benchmarks.table import Table, duration, rate

# Rows in a batch, and what an array has.
BATCH = 1_000
NUMBERS = 1 << 17
# Items of a measured run, in which both systems take some seconds on two cores.
ITEMS = {"dicts in batches of 1,000": 400, "arrays of 1 MB": 2_000}
# Those of a run that is only started.
FEW = 2
SYSTEMS = ("chainpump", "Ray Data")
COLUMNS = ("items", "system", "first", "warm", "items/s", "CPU/item", "rate", "CPU", "first", "warm")
TICKS = os.sysconf("SC_CLK_TCK")

# Run in the process of a case.


def batch_of(number: int) -> list[dict[str, Any]]:
    """Rows as a program has them."""
    start = number * BATCH
    return [{"id": each, "name": f"name of {each}", "score": each / 7} for each in range(start, start + BATCH)]


def batches(n: int) -> Iterator[list[dict[str, Any]]]:
    """The source of dicts."""
    return map(batch_of, range(n))


def arrays(n: int) -> Iterator[Any]:
    """The source of arrays."""
    return (np.full(NUMBERS, number, dtype="f8") for number in range(n))


def same(item: Any) -> Any:
    """The function."""
    return item


def in_chainpump(items: str, n: int) -> Iterator[Any]:
    """One item after the other."""
    from chainpump import Pipeline, Ray, source

    return iter(Pipeline(source(batches if items.startswith("dicts") else arrays, n), on=Ray(1)).map(same, on=Ray(1)))


class Same:
    """The function as an actor of Ray Data, which stays for the run as a worker does."""

    def __call__(self, batch: Any) -> Any:
        """Nothing is changed."""
        return batch


def columns_of(numbers: Any) -> Any:
    """The same rows in the shape of Ray Data: a batch is a dict of columns."""
    rows = [row for number in numbers["id"] for row in batch_of(int(number))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def arrays_of(numbers: Any) -> Any:
    """The arrays in a column."""
    return {"array": np.stack([np.full(NUMBERS, number, dtype="f8") for number in numbers["id"]])}


def in_ray_data(items: str, n: int) -> Iterator[Any]:
    """One batch after the other."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    is_dicts = items.startswith("dicts")
    made = ray.data.range(n, override_num_blocks=max(1, n // 20)).map_batches(
        columns_of if is_dicts else arrays_of, batch_size=1, concurrency=1
    )
    size = BATCH if is_dicts else 1
    return iter(made.map_batches(Same, batch_size=size, concurrency=1).iter_batches(batch_size=size))


class Run(NamedTuple):
    """Seconds until the first item, of all of the run, and of the processors."""

    first: float
    seconds: float
    cpu: float


RUNS: dict[str, Callable[[str, int], Iterator[Any]]] = {"chainpump": in_chainpump, "Ray Data": in_ray_data}


def measured(system: str, items: str, n: int, root: int) -> Run:
    """One run. root: the process above all those of the cluster."""
    started, used = perf_counter(), _cpu(root)
    found = RUNS[system](items, n)
    next(found)
    first = perf_counter() - started
    count = 1 + sum(1 for _ in found)
    if count != n:
        raise RuntimeError(f"{system} gave {count} of {n} {items}")
    return Run(first, perf_counter() - started, _cpu(root) - used)


def _cpu(root: int) -> float:
    """CPU seconds of all processes below this one, and of those of them that have ended and were waited for."""
    parents: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
    ticks, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        ticks += sum(map(int, parents[pid][11:15])) if pid in parents else 0
        waiting += [child for child, fields in parents.items() if int(fields[1]) == pid]
    return ticks / TICKS


def case(system: str, items: str, n: int, root: int) -> None:
    """The program of a case: two runs of one item, and one that counts."""
    import ray

    ray.init(logging_level=logging.ERROR, log_to_driver=False)
    cold, warm, long = (measured(system, items, count, root) for count in (FEW, FEW, n))
    # What a run costs besides its items is in both.
    more = n - FEW
    rate_of_more, cpu = more / (long.seconds - warm.seconds), (long.cpu - warm.cpu) / more
    print(json.dumps({"first": cold.first, "warm": warm.first, "rate": rate_of_more, "cpu": cpu}))


# Run in the main process.


def cases(repeats: int, share: float) -> Iterator[tuple[str, str, list[Mapping[str, float]]]]:
    """What was measured of each kind of item and each system, which take turns."""
    for items, most in ITEMS.items():
        found: dict[str, list[Mapping[str, float]]] = {system: [] for system in SYSTEMS}
        for _ in range(repeats):
            for system in SYSTEMS:
                arguments = [system, items, str(max(4, round(most * share))), str(os.getpid())]
                command = [sys.executable, "-m", "benchmarks.on_ray", "--case", *arguments]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[system].append(json.loads(done.stdout.splitlines()[-1]))
                print(items, system, found[system][-1], file=sys.stderr, flush=True)
        yield from ((items, system, runs) for system, runs in found.items())


def table_of(measurements: Sequence[tuple[str, str, list[Mapping[str, float]]]]) -> Table:
    """The medians, and those of the ratios to Ray Data in each turn."""
    peers = {items: runs for items, system, runs in measurements if system == "Ray Data"}
    rows = []
    for items, system, runs in measurements:
        middle = {name: median(run[name] for run in runs) for name in runs[0]}
        ratios = {
            name: median(run[name] / peer[name] for run, peer in zip(runs, peers[items], strict=True))
            for name in ("rate", "cpu", "first", "warm")
        }
        figures = duration(middle["first"]), duration(middle["warm"]), rate(middle["rate"]), duration(middle["cpu"])
        rows.append((items, system, *figures, *(f"{ratio:.2f}" for ratio in ratios.values())))
    return Table("Stages on Ray, beside Ray Data", COLUMNS, rows, ["The last four columns: of Ray Data."])


def main() -> None:
    """Start a cluster, measure, and print the table."""
    parser = argparse.ArgumentParser(description="What `Ray(...)` does beside Ray Data.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of items")
    parser.add_argument("--case", nargs=4, metavar=("SYSTEM", "ITEMS", "N", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    if options.case:
        system, items, n, root = options.case
        case(system, items, int(n), int(root))
        return
    import ray

    ray.init("local", num_cpus=8, include_dashboard=False, logging_level=logging.ERROR)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    print(table_of(list(cases(options.repeats, options.share))).text())


if __name__ == "__main__":
    main()
