"""Kill a random process of a random pipeline at a random moment, and see that the run says so: `python -m tests.chaos`.

    python -m tests.chaos --runs 200 --seed 1 --load 10

Each run must end in time. A success must be whole: every item, and no worker killed before it had said that it was
done. A failure must name the stage, the worker, the process and the signal. Nothing may be left of it: no process, no
descriptor, not a word on standard error. The last line tells how long it took from the kill until the caller had the
error. Exit status 1 if anything was wrong. What a run is comes from `--seed` and its index alone, so that
`--only INDEX` repeats it.

    python -m tests.chaos --restarts --kills 300 --seed 1

Here the workers of element-wise stages are replaced, and killed again and again; every run must be whole, in order.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # as the tests have it, also in a worker that imports this module

from chainpump import Executor, Inline, Pipeline, Processes, RunError, Threads, WorkerLostError, source, stage
from chainpump.transport.board import Cell, State
from support.processes import become_reaper, descendants, gone, kill_and_reap, watching

__all__ = ["Verdict", "chaos", "chaos_with_successors", "main"]

LIMIT = 60.0  # seconds for one run; a hang ends the program with the stacks of all threads
WITHIN = 5.0  # seconds for an orphan to end, which should be gone already


# ------------------------------------------------------------------------------------------- what the pipelines do


def items(n: int, kind: str) -> Iterator[Any]:
    """n items of a kind."""
    make = KINDS[kind]
    for number in range(n):
        yield make(number)


KINDS = {
    "int": lambda number: number,
    "dict": lambda number: {"number": number, "text": "x" * (number % 100)},
    "64 KB": lambda number: b"%d" % number + bytes(65_536),
    "300 KB": lambda number: b"%d" % number + bytes(300_000),
    "1 MB array": lambda number: np.full(1 << 20, number % 251, np.uint8),
}
MOST = {"int": 20_000, "dict": 5_000, "64 KB": 300, "300 KB": 80, "1 MB array": 60}  # items: about a tenth of a second


def as_it_is(values: Iterable[Any]) -> Iterator[Any]:
    """One item for each."""
    yield from values


def in_tens(values: Iterable[Any]) -> Iterator[Any]:
    """Hold ten back, then give them."""
    held: list[Any] = []
    for value in values:
        held.append(value)
        if len(held) == 10:
            yield from held
            held.clear()
    yield from held


def with_work(values: Iterable[Any]) -> Iterator[Any]:
    """A little work for each item."""
    for value in values:
        sum(range(500))
        yield value


def number_of(value: Any) -> int:
    """The number that an item was made from (of an array: modulo 251)."""
    if isinstance(value, dict):
        return int(value["number"])
    if isinstance(value, bytes):
        return int(value.rstrip(b"\0"))
    return int(value[0]) if isinstance(value, np.ndarray) else int(value)


def numbers(values: Iterable[Any]) -> list[int]:
    """A sink: the number of each item."""
    return [number_of(value) for value in values]


# ------------------------------------------------------------------------------------------------------ one run


@dataclass(frozen=True, slots=True)
class Case:
    """One random run. links: shape, executor and in_flight of each stage; the last one is the sink unless `iterated`.

    victim: which of its processes is killed, modulo how many there are; None for nobody. after: how many items the
    caller has had, or how many seconds have passed, by then.
    """

    index: int
    kind: str
    n: int
    source: Executor
    links: Sequence[tuple[Any, Executor, int | None]]
    iterated: bool
    victim: int | None
    after: int | float

    @property
    def workers(self) -> int:
        """How many workers make its last items."""
        return self.links[-1][1].workers


def random_case(seed: int, index: int) -> Case:
    """The case of this number."""
    rng = random.Random(f"{seed} {index}")
    kind = rng.choice(list(KINDS))
    n = rng.randrange(MOST[kind])
    iterated = rng.random() < 0.6
    links = [
        (rng.choice((as_it_is, in_tens, with_work)), _executor(rng), rng.choice((None, None, None, 1, 4)))
        for _ in range(rng.randint(1, 3))
    ]
    victim = None if rng.random() < 0.1 else rng.randrange(100)
    by_count = iterated and rng.random() < 0.5
    after = rng.randrange(n + 1) if by_count else rng.random() ** 2 * 0.3
    return Case(index, kind, n, _executor(rng, most=1), links, iterated, victim, after)


def _executor(rng: random.Random, most: int = 3) -> Executor:
    workers = rng.randint(1, most)
    draw = rng.random()
    if draw < 0.65:
        return Processes(workers)
    if draw < 0.75:
        return Processes(workers, start_method="fork")
    if draw < 0.80:
        return Processes(workers, start_method="spawn")
    return Threads(workers) if draw < 0.93 else Inline()


@dataclass(slots=True)
class Verdict:
    """What was seen of all runs.

    wrong: sentences. outcomes: how runs ended. reported_ms: from a kill to its report. kills: of workers that are
    replaced.
    """

    wrong: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    reported_ms: list[float] = field(default_factory=list)
    kills: int = 0


class Kill:
    """The death of one worker: whose, and when. `state` is what its row on the board says, also afterwards."""

    def __init__(self, run: Any, choice: int) -> None:
        processes = [watched for watched in run._supervisor.watched if watched.handle.pid != os.getpid()]
        self.victim = processes[choice % len(processes)] if processes else None
        self.at: float | None = None
        if self.victim is None:
            return
        group = run._wiring.groups[self.victim.group]
        try:
            self._row = run._wiring.board.row(group.rows[-1][self.victim.number])
        except ValueError:  # the run is over, and its board released
            self.victim = None
            return
        self.pid: int = self.victim.handle.pid
        self.worker: int = self.victim.number + 1
        self.stage: str = group.names[-1][1]
        self.role: str = group.names[-1][0]
        with suppress(ProcessLookupError):
            self._process = os.pidfd_open(self.pid)

    def strike(self) -> None:
        """Kill it, if it lives."""
        if self.victim is None or self.at is not None or not hasattr(self, "_process"):
            return
        if not select.select([self._process], [], [], 0)[0]:
            self.at = time.monotonic()
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    @property
    def was_done(self) -> bool:
        """Whether all that it made had been sent when it died."""
        return bool(self._row[Cell.STATE] >= State.DONE)

    def close(self) -> None:
        """Release what it holds."""
        if hasattr(self, "_process"):
            os.close(self._process)


def run_case(case: Case, verdict: Verdict) -> None:
    """Run it, and note what is wrong."""
    run_and_look(case, lambda: _run(case, verdict), verdict)


def run_and_look(case: Any, run: Callable[[], None], verdict: Verdict) -> None:
    """Run it, and note what is left of it."""
    before, others = _descriptors(), descendants()
    run()
    gc.collect()
    orphans = descendants() - others
    with watching(orphans) as ends:
        if not gone(ends, WITHIN):
            orphans &= descendants()
            verdict.wrong.append(f"run {case.index}: processes are left: {orphans}; {case}")
            kill_and_reap(orphans)
    leaked = _descriptors() - before
    if leaked:
        verdict.wrong.append(f"run {case.index}: descriptors are left: {sorted(leaked)}; {case}")


def _run(case: Case, verdict: Verdict) -> None:
    pipeline: Any = Pipeline(source(items, case.n, case.kind), on=case.source, name="source")
    *between, last = case.links
    for place, (function, executor, in_flight) in enumerate(between):
        pipeline = pipeline.then(stage(function), on=executor, in_flight=in_flight, name=f"stage {place}")
    function, executor, in_flight = last
    if case.iterated:
        pipeline = pipeline.then(stage(function), on=executor, in_flight=in_flight, name="last")
    else:
        pipeline = pipeline.into(numbers, on=executor, in_flight=in_flight, name="last")
    # A runnable has no `open`: its parts are what `run` is made of.
    run = pipeline.open() if case.iterated else pipeline._start(iterated=False, grace=0.5)
    kill = Kill(run, case.victim) if case.victim is not None else None
    seen: list[int] = []
    error: BaseException | None = None
    with run, _striking(kill, case):
        try:
            if case.iterated:
                for value in run:
                    if kill and len(seen) == case.after:
                        kill.strike()
                    seen.append(number_of(value))
            else:
                value = run.result()
                seen = value if case.workers == 1 else [number for part in value for number in part]
        except BaseException as raised:
            error = raised
        ended_at = time.monotonic()
    _judge(case, kill, error, seen, ended_at, verdict)
    if kill:
        kill.close()


@contextmanager
def _striking(kill: Kill | None, case: Case) -> Iterator[None]:
    """Kill after a time, where the case says so."""
    if kill is None or isinstance(case.after, int):
        yield
        return
    timer = threading.Timer(case.after, kill.strike)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _judge(
    case: Case, kill: Kill | None, error: BaseException | None, seen: list[int], ended_at: float, verdict: Verdict
) -> None:
    def wrong(what: str) -> None:
        verdict.wrong.append(f"run {case.index}: {what}; {case}")

    # 1. Nobody was killed, or only somebody who had ended: it must be whole.
    # 2. Success: it must be whole, and who was killed must have been done. A sink's value had to be said, too.
    # 3. The loss of the one who was killed: it must be named in full.
    # 4. Anything else is wrong.
    struck = kill is not None and kill.at is not None
    if error is None:
        wanted = Counter(number % 251 if case.kind == "1 MB array" else number for number in range(case.n))
        if Counter(seen) != wanted:
            wrong(f"silent loss: {case.n} items made, {len(seen)} arrived")
        if struck and not kill.was_done:  # type: ignore[union-attr]  # mypy does not follow `struck`
            wrong(f"silent loss: {kill.stage} was killed before it was done, and the run succeeded")  # type: ignore[union-attr]
        verdict.outcomes["whole, after a kill" if struck else "whole"] += 1
        return
    verdict.outcomes["lost worker named" if isinstance(error, WorkerLostError) else type(error).__name__] += 1
    if kill is None or kill.at is None:
        wrong(f"nobody was killed, yet: {error!r}")
    elif not isinstance(error, WorkerLostError):
        wrong(f"wrong blame: {kill.stage} was killed, yet: {error!r}")
    else:
        verdict.reported_ms.append((ended_at - kill.at) * 1000)
        named = (error.stage, error.worker, error.pid, error.signal)
        if named != (kill.stage, kill.worker, kill.pid, signal.SIGKILL):
            wrong(f"wrong blame: {kill.stage}, worker {kill.worker}, pid {kill.pid} was killed, yet: {error}")
        if isinstance(error, RunError) and len(error.failures) != 1:
            wrong(f"wrong blame: one worker was killed, yet: {error}")


def _descriptors() -> set[str]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found.add(str(path.readlink()))
    return found


# ------------------------------------------------------------------------------------------------ with successors

RESTARTS = 1000  # more than any run needs
PAUSE = 0.2  # seconds between two kills, at most; a worker takes about as long to start
KILLS_EACH = 30  # in one run, at most


def worked(value: Any) -> Any:
    """For `map`: some work, and a new value of the same number."""
    until = time.perf_counter() + 0.0005
    while time.perf_counter() < until:
        pass
    return value.copy() if isinstance(value, (dict, np.ndarray)) else value


def is_no_third(value: Any) -> bool:
    """For `filter`."""
    return number_of(worked(value)) % 3 != 0


def several(value: Any) -> list[Any]:
    """For `flat_map`: 0 to 3 of each."""
    return [worked(value)] * (number_of(value) % 4)


# how to add it, and how many come of one item
CHAINED: dict[str, tuple[Any, Any]] = {
    "map": (lambda pipeline, on, ordered: pipeline.map(worked, on=on, ordered=ordered), lambda _: 1),
    "filter": (
        lambda pipeline, on, ordered: pipeline.filter(is_no_third, on=on, ordered=ordered),
        lambda number: int(number % 3 != 0),
    ),
    "flat_map": (
        lambda pipeline, on, ordered: pipeline.flat_map(several, on=on, ordered=ordered),
        lambda number: number % 4,
    ),
}
CHAIN_MOST = {"int": 2_000, "dict": 1_000, "1 MB array": 100}  # items


@dataclass(frozen=True, slots=True)
class Chain:
    """One random run of stages whose workers are replaced. links: operator, workers, and whether order is asked for."""

    index: int
    kind: str
    n: int
    links: Sequence[tuple[str, int, bool]]

    @property
    def wanted(self) -> list[int]:
        """The numbers that are to come."""
        found = [number % 251 if self.kind == "1 MB array" else number for number in range(self.n)]
        for operator, _, _ in self.links:
            found = [number for number in found for _ in range(CHAINED[operator][1](number))]
        return found


def random_chain(seed: int, index: int) -> Chain:
    """The chain of this number."""
    rng = random.Random(f"chain {seed} {index}")
    kind = rng.choice(list(CHAIN_MOST))
    links = [(rng.choice(list(CHAINED)), rng.randint(2, 3), rng.random() < 0.8) for _ in range(rng.randint(1, 3))]
    return Chain(index, kind, rng.randrange(CHAIN_MOST[kind]), links)


def kill_again_and_again(run: Any, rng: random.Random, over: threading.Event, verdict: Verdict) -> None:
    """Kill workers that are replaced, so many times at most: else they might never get beyond their start."""
    most = verdict.kills + rng.randint(1, KILLS_EACH)
    while verdict.kills < most and not over.wait(rng.random() * PAUSE):
        try:
            workers = [each.handle.pid for each in run._supervisor.watched if run._wiring.groups[each.group].guarded]
        except (AssertionError, ValueError):  # one is being replaced at this moment
            continue
        if workers:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                verdict.kills += 1


def run_chain(chain: Chain, seed: int, verdict: Verdict) -> None:
    """Run it, and note what is wrong."""
    pipeline: Any = Pipeline(source(items, chain.n, chain.kind), on=Processes(1), name="source")
    for operator, workers, ordered in chain.links:
        pipeline = CHAINED[operator][0](pipeline, Processes(workers, restarts=RESTARTS), ordered)
    over = threading.Event()
    seen: list[int] = []
    with pipeline.open() as run:
        rng = random.Random(f"kills {seed} {chain.index}")
        killer = threading.Thread(target=kill_again_and_again, args=(run, rng, over, verdict))
        killer.start()
        try:
            seen.extend(map(number_of, run))
        except RunError as error:
            verdict.outcomes[type(error).__name__] += 1
            verdict.wrong.append(f"run {chain.index}: {error}; {chain}")
            return
        finally:
            over.set()
            killer.join()
    wanted = chain.wanted
    lost, doubled = Counter(wanted) - Counter(seen), Counter(seen) - Counter(wanted)
    outcome = "lost" if lost else "doubled" if doubled else "misplaced" if seen != wanted else "whole"
    verdict.outcomes[outcome] += 1
    if outcome != "whole":
        verdict.wrong.append(f"run {chain.index}: {outcome}: {len(wanted)} wanted, {len(seen)} arrived; {chain}")


def chaos_with_successors(kills: int, seed: int, stacks: TextIO | None = None) -> Verdict:
    """Run chains until so many workers have been killed."""
    become_reaper()
    list(Pipeline(source(items, 1, "int"), on=Processes(1)))
    verdict = Verdict()
    index = 0
    while verdict.kills < kills:
        faulthandler.dump_traceback_later(LIMIT, exit=True, file=stacks or sys.stderr)
        chain = random_chain(seed, index)
        try:
            run_and_look(chain, lambda chain=chain: run_chain(chain, seed, verdict), verdict)  # type: ignore[misc]
        finally:
            faulthandler.cancel_dump_traceback_later()
        index += 1
    return verdict


# -------------------------------------------------------------------------------------------------------- all runs


def chaos(runs: Iterable[int], seed: int, stacks: TextIO | None = None) -> Verdict:
    """Run the cases of these numbers. stacks: where a hang tells where all threads were."""
    become_reaper()
    list(Pipeline(source(items, 1, "int"), on=Processes(1)))  # the fork server is there from now on
    verdict = Verdict()
    for index in runs:
        faulthandler.dump_traceback_later(LIMIT, exit=True, file=stacks or sys.stderr)
        try:
            run_case(random_case(seed, index), verdict)
        finally:
            faulthandler.cancel_dump_traceback_later()
    return verdict


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Have this many other processes compete for the processors."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


@contextmanager
def quiet() -> Iterator[tuple[Path, TextIO]]:
    """Send standard error, that of all workers too, to a file; gives the file, and what it was before."""
    with TemporaryDirectory() as folder, os.fdopen(os.dup(2), "w") as before:
        path = Path(folder) / "stderr"
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        try:
            yield path, before
        finally:
            os.dup2(before.fileno(), 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    parser.add_argument("--load", type=int, default=0, metavar="K", help="busy processes beside them (default: none)")
    parser.add_argument("--only", type=int, metavar="INDEX", help="the run of this number alone")
    parser.add_argument("--restarts", action="store_true", help="replace workers, and kill them again and again")
    parser.add_argument("--kills", type=int, default=300, help="how many, with --restarts (default: 300)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    with busy(options.load), quiet() as (noise, stacks):
        if options.restarts:
            verdict = chaos_with_successors(options.kills, options.seed, stacks)
        else:
            verdict = chaos(range(options.runs) if options.only is None else [options.only], options.seed, stacks)
        verdict.wrong += [f"on standard error:\n{text}" for text in (noise.read_text(),) if text]
    took = time.monotonic() - started
    for sentence in verdict.wrong:
        print(sentence)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in verdict.outcomes.most_common())
    killed = f", {verdict.kills} kills" if options.restarts else ""
    print(f"{sum(verdict.outcomes.values())} runs{killed} in {took:.0f} s: {outcomes}; {len(verdict.wrong)} wrong")
    if len(verdict.reported_ms) > 1:
        percentiles = quantiles(verdict.reported_ms, n=100, method="inclusive")
        print(
            f"from kill to report, ms: p50 {percentiles[49]:.1f}, p99 {percentiles[98]:.1f}, "
            f"most {max(verdict.reported_ms):.1f} ({len(verdict.reported_ms)} kills)"
        )
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
