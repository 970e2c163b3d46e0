"""Run for long, or again and again, and see that nothing grows: `python -m tests.soak`.

    python -m tests.soak --minutes 10

One pipeline of all kinds of stages and items, at full rate. Once a second it looks at the main process and at every
worker. It prints how their memory went, as a least-squares slope once they are warm, and how many descriptors and
threads they had. Exit status 1 if a slope is above `--bound`, or if descriptors or threads became more.

    python -m tests.soak --runs 1000

Short runs in one process, half of which fail, each in a way of its own. Exit status 1 if one ended otherwise than it
should, or if of all of them anything is left: memory, descriptors, threads, processes, named shared memory, or objects
of the package.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple

import numpy as np

# As the tests have it, also in a worker that imports this module.
sys.path.insert(0, str(Path(__file__).parent))

from chainpump import Pipeline, Processes, StageError, StageStoppedError, Threads, WorkerLostError, source, stage
from support.processes import become_reaper, descendants, helpers, until

__all__ = ["Verdict", "main", "soak_one_run", "soak_runs"]

# Of all samples: what a process reaches in its first moments is no growth.
WARM = 0.2
WARM_ITEMS = (
    # Of a long run, 20 arrays among them, before the first look: by then every worker has met all kinds.
    10_000
)
# The latter have no name by which to tell them from others.
SLABS = ("/memfd:chainpump-slabs", "/dev/shm/#")
COUNTS = ("descriptors", "slabs", "threads")
# In one run the slabs in use come and go; how many there may be is bounded.
LASTING = ("descriptors", "threads")
# At a process, for a slope to mean anything.
LEAST_LOOKS = 8
# KB per minute of one process; its memory goes up and down by some MB.
MINUTE_BOUND = 1024.0
# KB per run of the main process. Each run has threads, and the C library keeps memory for each that has run at the same
# time as others: with MALLOC_ARENA_MAX=1 the slope is below 1, and what is in use of it grows by 0.1.
RUN_BOUND = 4.0
# Seconds for one short run; a hang ends the program with the stacks of all threads.
LIMIT = 60.0
SHARED_MEMORY = Path("/dev/shm")


# ------------------------------------------------------------------------------------------------- what is looked at


class Sample(NamedTuple):
    """One look at a process: memory in KB. slabs: descriptors that come with the mappings of slabs."""

    at: float
    rss: int
    descriptors: int
    slabs: int
    threads: int


def look(pid: int, at: float) -> Sample:
    """A process as it is now."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    targets = []
    for path in (process / "fd").iterdir():
        # Closed meanwhile.
        with suppress(FileNotFoundError):
            targets.append(str(path.readlink()))
    slabs = sum(target.startswith(SLABS) for target in targets)
    return Sample(at, int(status["VmRSS"].split()[0]), len(targets) - slabs, slabs, int(status["Threads"]))


def warm(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Those that count."""
    return samples[int(WARM * len(samples)) :]


def slope(samples: Sequence[Sample]) -> float:
    """KB per unit of `at`, by least squares."""
    return linear_regression([sample.at for sample in samples], [sample.rss for sample in samples]).slope


@dataclass(slots=True)
class Verdict:
    """wrong, seen: sentences; what was wrong is in `seen`, too."""

    wrong: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def judge(self, name: str, samples: Sequence[Sample], bound: float, unit: str, counts: Sequence[str]) -> None:
        """Say how a process went, and what of it grew. counts: which are not to."""
        kept = warm(samples)
        if len(kept) < LEAST_LOOKS:
            self.wrong.append(f"{name}: too short to tell, with {len(samples)} looks")
            return
        rise = slope(kept)
        line = f"{name}: {kept[0].rss} to {kept[-1].rss} KB, {rise:+.1f} KB per {unit}"
        if rise > bound:
            self.wrong.append(f"{name}: memory grows by {rise:.1f} KB per {unit}")
        for what in COUNTS:
            found = [getattr(sample, what) for sample in kept]
            line += f", {min(found)} to {max(found)} {what}"
            # Of several looks the least: one may have met a thread that was just ending.
            quarter = len(found) // 4
            before, after = min(found[:quarter]), min(found[-quarter:])
            if after > before and what in counts:
                self.wrong.append(f"{name}: {what} grow from {before} to {after}")
        self.seen.append(line)


# ------------------------------------------------------------------------------------------------------ one long run


KINDS: Mapping[str, Callable[[int], Any]] = {
    "int": lambda number: number,
    "dict": lambda number: {"number": number, "text": "x" * (number % 100)},
    "1 MB array": lambda number: np.full(1 << 20, number % 251, np.uint8),
}


def number_of(item: Any) -> int:
    """The number that an item was made from (of an array: modulo 251)."""
    return int(item["number"] if isinstance(item, dict) else item[0] if isinstance(item, np.ndarray) else item)


def items(n: int, kind: str) -> Iterator[Any]:
    """n items of a kind."""
    yield from map(KINDS[kind], range(n))


def as_it_is(values: Iterable[Any]) -> Iterator[Any]:
    """One item for each."""
    yield from values


def mixed(over: Path) -> Iterator[Any]:
    """Ints, among them dicts and arrays of 1 MB, until this file exists."""
    for number in count():
        if number % 100 == 0 and over.exists():
            return
        yield KINDS["1 MB array" if number % 500 == 0 else "dict" if number % 10 == 0 else "int"](number)


def same(item: Any) -> Any:
    """For `map`."""
    return item


def once_or_twice(item: Any) -> list[Any]:
    """For `flat_map`."""
    return [item] * (1 + number_of(item) % 2)


def is_no_third(item: Any) -> bool:
    """For `filter`."""
    return number_of(item) % 3 != 0


def soak_one_run(seconds: float, bound: float = MINUTE_BOUND, every: float = 1.0) -> Verdict:
    """One run with as many looks as fit into so many seconds; every: seconds from one look to the next.

    It lasts longer on a slow machine: the looks count, and the first of them comes after `WARM_ITEMS`.
    """
    verdict = Verdict()
    started = time.monotonic()
    folder = tempfile.TemporaryDirectory()
    over = Path(folder.name) / "over"
    pipeline: Pipeline[Any] = (
        Pipeline(source(mixed, over), on=Processes())
        .map(same, on=Processes(2))
        .flat_map(once_or_twice, on=Threads(2))
        .then(stage(as_it_is), on=Processes(), name="middle")
        .filter(is_no_third, on=Processes(2), ordered=False)
        .then(stage(as_it_is), on=Threads(), in_flight=1000, name="last")
    )
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    arrived, due = 0, started
    with folder, pipeline.open() as run:
        pids = workers_of(run) | {"main": os.getpid()}
        for _ in run:
            arrived += 1
            now = time.monotonic()
            if arrived > WARM_ITEMS and due <= now and not over.exists():
                due = now + every
                for name, pid in pids.items():
                    # The last item of the source has come, and it ended.
                    with suppress(FileNotFoundError, KeyError):
                        samples[name].append(look(pid, (now - started) / 60))
                if len(samples["main"]) * every >= seconds:
                    over.touch()
        took = time.monotonic() - started
    for name in pids:
        verdict.judge(name, samples[name], bound, "minute", LASTING)
    verdict.seen.append(f"{arrived} items in {took:.0f} s: {arrived / took:.0f} per second")
    return verdict


def workers_of(run: Any) -> dict[str, int]:
    """The processes of a run, by stage and number."""
    return {
        f"{slot.group.names[-1][1]} {slot.number + 1}": slot.worker.pid
        for slot in run._wiring.all_slots
        if slot.worker is not None and slot.worker.pid != os.getpid()
    }


# -------------------------------------------------------------------------------------------------- many short runs


def raise_at(item: int) -> int:
    """For `map`."""
    if item == 50:
        raise ValueError("meant")
    return item


def die_at(item: int) -> int:
    """For `map`."""
    if item == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def first_ten(values: Iterable[Any]) -> Iterator[Any]:
    """Ends before its input does, which it must not."""
    for number, value in enumerate(values, start=1):
        yield value
        if number == 10:
            return


def ints_through_processes() -> None:
    """Whole."""
    assert sum(1 for _ in Pipeline(range(1000)).map(same, on=Processes(2))) == 1000


def dicts_through_threads() -> None:
    """Whole."""
    pipeline = Pipeline(source(items, 1000, "dict"), on=Processes()).flat_map(once_or_twice, on=Threads(2))
    assert sum(1 for _ in pipeline) == 1500


def arrays_through_slabs() -> None:
    """Whole."""
    pipeline = Pipeline(source(items, 20, "1 MB array"), on=Processes()).then(as_it_is, on=Processes())
    assert sum(map(number_of, pipeline)) == sum(range(20))


def ints_into_a_sink() -> None:
    """Whole."""
    pipeline = Pipeline(range(1000)).filter(is_no_third, on=Processes(restarts=1))
    assert pipeline.into(sum, on=Threads()).run().value == sum(number for number in range(1000) if number % 3)


def function_that_raises() -> None:
    """Fails."""
    list(Pipeline(range(1000)).map(raise_at, on=Processes(2)))


def worker_that_is_killed() -> None:
    """Fails."""
    list(Pipeline(source(items, 20, "1 MB array"), on=Processes()).map(number_of, on=Threads()).then(dying))


def dying(values: Iterable[int]) -> Iterator[int]:
    """Dies with arrays on their way."""
    for value in values:
        yield die_at(value * 5)


def stage_that_stops() -> None:
    """Fails."""
    list(Pipeline(source(items, 1000, "dict"), on=Processes()).then(first_ten, on=Processes()).then(as_it_is))


def loop_that_is_left() -> None:
    """Leaves arrays behind in every channel."""
    for item in Pipeline(source(items, 100, "1 MB array"), on=Processes()).then(as_it_is, on=Processes()):
        if number_of(item) == 10:
            break


RUNS: Mapping[Callable[[], None], type[Exception] | None] = {
    ints_through_processes: None,
    function_that_raises: StageError,
    dicts_through_threads: None,
    worker_that_is_killed: WorkerLostError,
    arrays_through_slabs: None,
    stage_that_stops: StageStoppedError,
    ints_into_a_sink: None,
    loop_that_is_left: None,
}
# Of all runs above, before anything is counted.
WARM_ROUNDS = 3


def package_objects() -> Counter[str]:
    """What the garbage collector knows of the package's classes, by class."""
    kinds = (type(found) for found in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).partition(".")[0] == "chainpump")


def named_memory() -> set[str]:
    """Names of shared memory, this user's."""
    found = set()
    for path in SHARED_MEMORY.iterdir():
        # Somebody else's, who has just removed it.
        with suppress(FileNotFoundError):
            if path.stat().st_uid == os.getuid():
                found.add(path.name)
    return found


def settle() -> None:
    """Wait until every process and thread of the last run has ended; nobody else does, where a run was left."""
    gc.collect()
    until(lambda: not descendants(), "the workers of a run that is over")
    for thread in threading.enumerate():
        if thread.name.startswith("chainpump"):
            thread.join(LIMIT)


def soak_runs(runs: int, bound: float = RUN_BOUND, warm_rounds: int = WARM_ROUNDS) -> Verdict:
    """So many short runs, one kind after the other. warm_rounds: of all kinds, before anything is counted."""
    become_reaper()
    verdict = Verdict()
    for function, error in [*RUNS.items()] * warm_rounds:
        run_once(function, error, verdict)
    kinds = list(RUNS.items())
    objects, names, children = package_objects(), named_memory(), helpers()
    pids = {"main": os.getpid()} | {f"helper {number}": pid for number, pid in enumerate(sorted(children), start=1)}
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    started = time.monotonic()
    for number in range(runs):
        run_once(*kinds[number % len(kinds)], verdict)
        for name, pid in pids.items():
            samples[name].append(look(pid, number))
    for name, looks in samples.items():
        verdict.judge(name, looks, bound, "run", COUNTS)
    left = {
        "objects of the package": dict(package_objects() - objects),
        "named shared memory": named_memory() - names,
        "processes": (helpers() | descendants()) - children,
    }
    verdict.wrong += [f"{what} are left: {found}" for what, found in left.items() if found]
    took = time.monotonic() - started
    verdict.seen.append(f"{runs} runs in {took:.0f} s; {objects.total()} objects of the package before and after")
    return verdict


def run_once(function: Callable[[], None], error: type[Exception] | None, verdict: Verdict) -> None:
    """One run; note it if it does not end as it should."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    try:
        function()
        raised: BaseException | None = None
    except Exception as caught:
        raised = caught
    finally:
        faulthandler.cancel_dump_traceback_later()
    if (raised is None) != (error is None) or (error and not isinstance(raised, error)):
        verdict.wrong.append(f"{function.__name__} ended by {raised!r}")
    del raised
    settle()


# ------------------------------------------------------------------------------------------------------ the command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--minutes", type=float, help="one run for so long")
    which.add_argument("--runs", type=int, help="so many short runs")
    parser.add_argument(
        "--bound",
        type=float,
        metavar="KB",
        help=f"growth of a process: per minute (default: {MINUTE_BOUND:g}), with --runs per run ({RUN_BOUND:g})",
    )
    options = parser.parse_args(arguments)
    if options.runs is not None:
        verdict = soak_runs(options.runs, options.bound or RUN_BOUND)
    else:
        verdict = soak_one_run(options.minutes * 60, options.bound or MINUTE_BOUND)
    print(*verdict.seen, *(f"WRONG: {sentence}" for sentence in verdict.wrong), sep="\n")
    return int(bool(verdict.wrong))


if __name__ == "__main__":
    sys.exit(main())
