"""Facades beside the libraries that they stand in for: the same program, with another import.

source -> identity on one or two workers -> counting sink. The source and the sink of pypeln are in the main process.
Each case is an interpreter of its own, so that neither library loads the other.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec

# Any: the originals are optional and untyped.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings
from benchmarks.payloads import PAYLOADS
from benchmarks.rates import Rate, measure, seconds_to_send
from benchmarks.systems import IN_FLIGHT_BYTES, IN_FLIGHT_ITEMS, MESSAGE_ROOM, count, identity, make, same
from benchmarks.targets import WANTED_COMPAT_CPU, WANTED_COMPAT_RATES

SENT = ("int", "dict", "array1M")
WORKERS = (1, 2)
COLUMNS = ("facade", "payload", "workers", "original/s", "facade/s", "rate", "wanted", "CPU", "wanted", "met", "remark")


@dataclass(frozen=True, slots=True)
class Facade:
    """module: of the facade. run: the module to use, payload, n, workers -> items counted."""

    original: str
    requirement: str
    module: str
    run: Callable[[Any, str, int, int], int]

    def missing(self) -> str | None:
        """How to install the original, None if it is there."""
        return None if find_spec(self.original) else f"pip install {self.requirement}"


# Run in the process of a case.


def run_tasks(library: Any, payload: str, n: int, workers: int, limited: bool) -> int:
    """Tasks of pipeline_lib in forked processes. limited: with fixed room per message, which the original shares."""
    room = PAYLOADS[payload].size + MESSAGE_ROOM
    options: dict[str, Any] = {"packets_in_flight": max(2, min(IN_FLIGHT_ITEMS, IN_FLIGHT_BYTES // room))}
    if limited:
        options |= {"max_message_size": room, "shared_buffer": True}
    counted = multiprocessing.get_context("fork").RawValue("q", -1)
    tasks = [
        library.PipelineTask(make, constants={"payload": payload, "n": n}, **options),
        library.PipelineTask(identity, num_workers=workers, **options),
        library.PipelineTask(_count_into, constants={"counted": counted}),
    ]
    # The original accepts results of the type Iterable only, not Iterator.
    library.execute(tasks, "process-fork", type_check_pipeline=False)
    return int(counted.value)


def run_stage(library: Any, payload: str, n: int, workers: int, maxsize: int) -> int:
    """A stage of pypeln on processes, from the main process and back. maxsize: 0 for its default."""
    return count(library.process.map(same, make(payload, n), workers=workers, maxsize=maxsize))


def _count_into(items: Iterable[Any], counted: Any) -> None:
    counted.value = count(items)


# A further facade is one more entry here.
FACADES: dict[str, Facade] = {
    name: Facade(library, f"{library}=={version}", f"chainpump.compat.{library}", run)
    for name, library, version, run in (
        ("pipeline_lib", "pipeline_lib", "0.5.0", partial(run_tasks, limited=False)),
        ("pipeline_lib, max_message_size", "pipeline_lib", "0.5.0", partial(run_tasks, limited=True)),
        ("pypeln", "pypeln", "0.4.9", partial(run_stage, maxsize=0)),
        ("pypeln, maxsize", "pypeln", "0.4.9", partial(run_stage, maxsize=IN_FLIGHT_ITEMS)),
    )
}


def send(facade: str, original: bool, payload: str, workers: int, n: int) -> float:
    """Seconds for n items, start-up included. Raises if the sink has not counted n."""
    each = FACADES[facade]
    library = import_module(each.original if original else each.module)
    return seconds_to_send(n, lambda: each.run(library, payload, n, workers))


# Run in the main process.


def run(settings: Settings) -> Result:
    """Measure each facade and its original, interleaved."""
    pairs = [
        (_rate(facade, True, payload, workers), _rate(facade, False, payload, workers))
        for facade in FACADES
        for payload in SENT
        if payload in settings.payloads
        for workers in WORKERS
    ]
    for pair in pairs:
        measure(pair, settings)
    rates = [rate for pair in pairs for rate in pair]
    return Result(
        table.Table("compat", COLUMNS, [_cells(*pair) for pair in pairs], labels=3),
        [rate.record() for rate in rates],
        failed=any(rate.failed for rate in rates),
    )


def _rate(facade: str, original: bool, payload: str, workers: int) -> Rate:
    arguments = {"facade": facade, "original": original, "payload": payload, "workers": workers}
    missing = PAYLOADS[payload].missing() or (FACADES[facade].missing() if original else None)
    return Rate("compat:send", arguments, missing)


def _cells(original: Rate, facade: Rate) -> Sequence[str]:
    name, payload, workers = (str(facade.arguments[key]) for key in ("facade", "payload", "workers"))
    wanted = WANTED_COMPAT_RATES[FACADES[name].original]
    rate = facade.per_second / original.per_second if facade.per_second and original.per_second else None
    cpu = facade.cpu_per_item / original.cpu_per_item if facade.cpu_per_item and original.cpu_per_item else None
    remark = original.remark or facade.remark
    verdict = table.verdict(met=rate >= wanted and cpu <= WANTED_COMPAT_CPU, trusted=not remark) if rate and cpu else ""
    return (
        *(name, payload, workers),
        *(table.rate(each.per_second) if each.per_second else "-" for each in (original, facade)),
        *(table.times(rate) if rate else "", f">= {wanted:g}x"),
        *(table.times(cpu) if cpu else "", f"<= {WANTED_COMPAT_CPU:g}x"),
        *(verdict, remark),
    )
