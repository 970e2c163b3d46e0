"""Kill a random process of a random pipeline at a random moment, and see that the run says so: `python -m tests.chaos`.

    python -m tests.chaos --runs 200 --seed 1 --load 10

Workers of "auto" stages come and go by chance meanwhile. Each run must end in time. A success must be whole, and no
worker killed before it had said that it was done. A failure must name the stage, the worker, the process and the
signal. Nothing may be left of it: no process, thread, descriptor or shared memory, not a word on standard error.

Every item carries a checksum, made by the source and checked by whoever takes it at the end, and every stage logs each
item that it is given. So losses, duplicates and damage are counted item by item. In a run that fails, too, nobody may
have been given an item twice, or one that nobody before it was given.

The last lines count what was wrong, and tell how long it took from the kill until the caller had the error. Exit status
1 if anything was wrong. What a run is comes from `--seed` and its index alone, so that `--only INDEX` repeats it.

    python -m tests.chaos --restarts --kills 300 --seed 1

Here the workers of element-wise stages are replaced, and killed again and again; every run must be whole, in order.

    python -m tests.chaos --faults --runs 200 --seed 1

Here nobody is killed from outside, but calls inside the library fail as `CHAINPUMP_FAULTS` asks: a run that ends early
must name a stage of its own and a fault that was asked for; where workers are replaced it must be whole.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

# As the tests have it, also in a worker that imports this module.
sys.path.insert(0, str(Path(__file__).parent))

from chainpump import (
    Executor,
    Inline,
    Pipeline,
    Processes,
    Run,
    RunError,
    Threads,
    WorkerLostError,
    sink,
    source,
    stage,
)
from chainpump.engine.fault_rules import EXIT_CODE, VARIABLE
from chainpump.ipc.board import Cell, State
from chainpump.pipeline import opened
from chainpump.plan.placement import AUTO, Workers, copies_of
from chainpump.start import RunOptions
from support.checked_items import (
    CHAINED,
    DAMAGED,
    KINDS,
    checked,
    made,
    note_differences,
    number_of,
    numbers_behind,
)
from support.processes import become_reaper, own_view
from support.verdict import Verdict, limited, nothing_left, quiet

__all__ = ["chaos", "chaos_with_faults", "chaos_with_successors", "main"]


# ------------------------------------------------------------------------------------------- what the pipelines do


# Items: about a tenth of a second.
MOST = {"int": 20_000, "dict": 5_000, "64 KB": 300, "300 KB": 80, "1 MB array": 60}
# Of them, where `in_flight` bounds a channel.
MOST_ONE_BY_ONE = 2_000


def items(n: int, kind: str, log: Log) -> Iterator[Any]:
    """n items of a kind, logged."""
    yield from log.through(made(n, kind))


class Log:
    """Which items have gone through one place of a run; the kernel appends whole records, whoever is killed."""

    # Place and number.
    RECORD = struct.Struct("<2I")

    def __init__(self, path: Path, place: int) -> None:
        self._path = path
        self._place = place

    def through(self, values: Iterable[Any]) -> Iterator[Any]:
        """Log each, and pass it on."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            for value in values:
                os.write(file, self.RECORD.pack(self._place, number_of(value)))
                yield value
        finally:
            os.close(file)

    @classmethod
    def read(cls, path: Path, places: int) -> list[Counter[int]]:
        """How often which item went through each place."""
        found: list[Counter[int]] = [Counter() for _ in range(places)]
        for place, number in cls.RECORD.iter_unpack(path.read_bytes() if path.exists() else b""):
            found[place][number] += 1
        return found


def as_it_is(values: Iterable[Any], log: Log) -> Iterator[Any]:
    """One item for each."""
    yield from log.through(values)


def in_tens(values: Iterable[Any], log: Log) -> Iterator[Any]:
    """Hold ten back, then give them."""
    held: list[Any] = []
    for value in log.through(values):
        held.append(value)
        if len(held) == 10:
            yield from held
            held.clear()
    yield from held


def with_work(values: Iterable[Any], log: Log) -> Iterator[Any]:
    """A little work for each item."""
    for value in log.through(values):
        sum(range(500))
        yield value


def numbers(values: Iterable[Any], log: Log) -> list[int]:
    """A sink: the number of each item."""
    return [checked(value) for value in log.through(values)]


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
        return copies_of(self.links[-1][1])


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
    if any(in_flight is not None for _, _, in_flight in links):
        # Each item waits for the one before it: on a busy machine that takes milliseconds.
        n = min(n, MOST_ONE_BY_ONE)
    victim = None if rng.random() < 0.1 else rng.randrange(100)
    by_count = iterated and rng.random() < 0.5
    after = rng.randrange(n + 1) if by_count else rng.random() ** 2 * 0.3
    first = _executor(rng, most=1)
    # The value of a sink cannot be in parts.
    can_be = len(links) - (not iterated)
    links = [
        (shape, _recycled(rng, on, n) if place < can_be else on, in_flight)
        for place, (shape, on, in_flight) in enumerate(links)
    ]
    return Case(index, kind, n, first, links, iterated, victim, after)


def _recycled(rng: random.Random, on: Executor, n: int) -> Executor:
    """The same, in a third of all cases with workers that are recycled, a few times in the run."""
    part = rng.choice((None, None, None, None, 2, 5))
    return replace(on, recycle_after=n // part + 1) if isinstance(on, Processes) and part else on


def _executor(rng: random.Random, most: int = 3) -> Executor:
    workers: Workers = AUTO if most > 1 and rng.random() < 0.2 else rng.randint(1, most)
    draw = rng.random()
    if draw < 0.65:
        return Processes(workers)
    if draw < 0.75:
        return Processes(workers, start_method="fork")
    if draw < 0.80:
        return Processes(workers, start_method="spawn")
    return Threads(workers) if draw < 0.93 else Inline()


class Kill:
    """The death of one worker: whose, and when. `state` is what its row on the board says, also afterwards."""

    def __init__(self, run: Any, choice: int) -> None:
        workers = [(slot, slot.worker) for slot in run._wiring.all_slots]
        processes = [(slot, worker.pid) for slot, worker in workers if worker is not None and worker.pid != os.getpid()]
        self.victim = processes[choice % len(processes)] if processes else None
        self.at: float | None = None
        if self.victim is None:
            return
        slot, self.pid = self.victim
        group = slot.group
        try:
            self._row = own_view(run._wiring.board, group.rows[-1][slot.number])
        except ValueError:
            # The run is over, and its board released.
            self.victim = None
            return
        self.worker: int = slot.number + 1
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


def run_case(case: Case, verdict: Verdict, stacks: TextIO | None = None, judge: Judge | None = None) -> None:
    """Run it, and note what is wrong. judge: of its end."""
    with TemporaryDirectory() as folder, nothing_left(case, verdict), _scaled_by_chance(case.index):
        _run(case, Path(folder) / "log", verdict, stacks, judge or judge_kill)


@contextmanager
def _scaled_by_chance(seed: int) -> Iterator[None]:
    """Workers of auto stages come and go, some of them every few milliseconds."""
    # Not in a worker, which imports this module as well.
    import pytest

    from support.scaling import ForcedScaling

    with pytest.MonkeyPatch.context() as patches:
        ForcedScaling(patches).shuffle(seed)
        yield


def _run(case: Case, path: Path, verdict: Verdict, stacks: TextIO | None, judge: Judge) -> None:
    pipeline: Any = Pipeline(source(items, case.n, case.kind, Log(path, 0)), on=case.source, name="source")
    *between, last = case.links
    for place, (function, executor, in_flight) in enumerate(between, start=1):
        bound = stage(function, Log(path, place))
        pipeline = pipeline.then(bound, on=executor, in_flight=in_flight, name=f"stage {place}")
    function, executor, in_flight = last
    log = Log(path, len(case.links))
    if case.iterated:
        pipeline = pipeline.then(stage(function, log), on=executor, in_flight=in_flight, name="last")
    else:
        pipeline = pipeline.into(sink(numbers, log), on=executor, in_flight=in_flight, name="last")
    seen: list[int] = []
    error: BaseException | None = None
    kill: Kill | None = None
    with ExitStack() as stack:
        try:
            run = stack.enter_context(opened(pipeline, RunOptions()))
            stack.enter_context(limited(run, case, verdict, stacks))
            kill = Kill(run, case.victim) if case.victim is not None else None
            stack.enter_context(_striking(kill, case))
            if isinstance(run, Run):
                for value in run:
                    if kill and len(seen) == case.after:
                        kill.strike()
                    seen.append(checked(value))
            else:
                value = run.result().value
                seen = value if case.workers == 1 else [number for part in value for number in part]
        except BaseException as raised:
            error = raised
        ended_at = time.monotonic()
    judge(case, kill, error, ended_at, verdict)
    passages = [*Log.read(path, len(case.links) + 1), Counter(seen)]
    account(case, passages, whole=error is None, verdict=verdict)
    if kill:
        kill.close()


def account(case: Case, passages: list[Counter[int]], *, whole: bool, verdict: Verdict) -> None:
    """Note what was lost, doubled or damaged, item by item.

    passages: how often each item went through each place, the caller last. whole: all that were made have to have gone
    through all places; else, those that went through one have to have gone through the one before.
    """
    for place, (before, here) in enumerate(zip([Counter(range(case.n)), *passages], passages, strict=False)):
        damaged, lost, doubled = here.pop(DAMAGED, 0), before - here if whole else Counter(), here - before
        for kind, count in (("damaged", damaged), ("lost", lost.total()), ("doubled", doubled.total())):
            if count:
                which = sorted(lost if kind == "lost" else doubled)[:5]
                verdict.note(kind, f"{count} items {kind} at place {place}, such as {which}: {case}", count)


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


Judge = Callable[[Case, Kill | None, BaseException | None, float, Verdict], None]


def judge_kill(case: Case, kill: Kill | None, error: BaseException | None, ended_at: float, verdict: Verdict) -> None:
    def wrong(what: str) -> None:
        verdict.note("blame", f"{what}: {case}")

    # 1. Success: who was killed must have been done. A sink's value had to be said, too. (`account` sees to the items.)
    # 2. Nobody was killed, or only somebody who had ended: it must succeed.
    # 3. The loss of the one who was killed: it must be named in full.
    # 4. Anything else is wrong.
    struck = kill is not None and kill.at is not None
    if error is None:
        if struck and not kill.was_done:  # type: ignore[union-attr]  # mypy does not follow `struck`
            wrong(f"{kill.stage} was killed before it was done, and the run succeeded")  # type: ignore[union-attr]
        verdict.outcomes["whole, after a kill" if struck else "whole"] += 1
        return
    verdict.outcomes["lost worker named" if isinstance(error, WorkerLostError) else type(error).__name__] += 1
    if kill is None or kill.at is None:
        wrong(f"nobody was killed, yet: {error!r}")
    elif not isinstance(error, WorkerLostError):
        wrong(f"{kill.stage} was killed, yet: {error!r}")
    else:
        verdict.reported_ms.append((ended_at - kill.at) * 1000)
        named = (error.stage, error.worker, error.pid, error.signal)
        if named != (kill.stage, kill.worker, kill.pid, signal.SIGKILL):
            wrong(f"{kill.stage}, worker {kill.worker}, pid {kill.pid} was killed, yet: {error}")
        if len(error.failures) != 1:
            wrong(f"one worker was killed, yet: {error}")


# ------------------------------------------------------------------------------------------------ with successors

# More than any run needs.
RESTARTS = 1000
# Seconds between two kills, at most; a worker takes about as long to start.
PAUSE = 0.2
# In one run, at most.
KILLS_EACH = 30


# Items.
CHAIN_MOST = {"int": 2_000, "dict": 1_000, "1 MB array": 100}


@dataclass(frozen=True, slots=True)
class Chain:
    """One random run of stages whose workers are replaced.

    links: operator, workers, whether order is asked for, and after how many items workers are recycled.
    """

    index: int
    kind: str
    n: int
    links: Sequence[tuple[str, int, bool, int | None]]

    @property
    def wanted(self) -> list[int]:
        """The numbers that are to come."""
        return numbers_behind(self.n, [CHAINED[operator][1] for operator, *_ in self.links])


def random_chain(seed: int, index: int) -> Chain:
    """The chain of this number."""
    rng = random.Random(f"chain {seed} {index}")
    kind = rng.choice(list(CHAIN_MOST))
    links = [
        (rng.choice(list(CHAINED)), rng.randint(2, 3), rng.random() < 0.8, rng.choice((None, None, 20, 200)))
        for _ in range(rng.randint(1, 3))
    ]
    return Chain(index, kind, rng.randrange(CHAIN_MOST[kind]), links)


def kill_again_and_again(run: Any, rng: random.Random, over: threading.Event, verdict: Verdict) -> None:
    """Kill workers that are replaced, so many times at most: else they might never get beyond their start."""
    most = verdict.kills + rng.randint(1, KILLS_EACH)
    while verdict.kills < most and not over.wait(rng.random() * PAUSE):
        try:
            slots = [slot for slot in run._wiring.all_slots if slot.group.replaceable]
            waiting = [successor.worker for slot in slots if (successor := slot.successor) is not None]
            workers = [each.handle.pid for each in (*(slot.worker for slot in slots), *waiting) if each is not None]
        except (AssertionError, ValueError):
            # One is being replaced at this moment.
            continue
        if workers:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                verdict.kills += 1


def run_chain(chain: Chain, verdict: Verdict, stacks: TextIO | None, trouble: Trouble) -> None:
    """Run it, and note what is wrong. trouble: what happens to it meanwhile."""
    with nothing_left(chain, verdict):
        _run_chain(chain, verdict, stacks, trouble)


def _run_chain(chain: Chain, verdict: Verdict, stacks: TextIO | None, trouble: Trouble) -> None:
    pipeline: Any = Pipeline(source(made, chain.n, chain.kind), on=Processes(1), name="source")
    for operator, workers, ordered, share in chain.links:
        on = Processes(workers, restarts=RESTARTS, recycle_after=share)
        pipeline = CHAINED[operator][0](pipeline, on, ordered)
    seen: list[int] = []
    with pipeline.open() as run, limited(run, chain, verdict, stacks), trouble(run):
        try:
            seen.extend(map(checked, run))
        except RunError as error:
            verdict.outcomes[type(error).__name__] += 1
            verdict.note("blame", f"{error}; {chain}")
            return
    note_differences(chain, chain.wanted, seen, verdict)


Trouble = Callable[[Any], AbstractContextManager[None]]


@contextmanager
def killer(rng: random.Random, verdict: Verdict, run: Any) -> Iterator[None]:
    """Kills while the block runs."""
    over = threading.Event()
    thread = threading.Thread(target=kill_again_and_again, args=(run, rng, over, verdict))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def chaos_with_successors(kills: int, seed: int, verdict: Verdict, stacks: TextIO | None = None) -> None:
    """Run chains until so many workers have been killed."""
    _get_ready()
    index = 0
    while verdict.kills < kills:
        rng = random.Random(f"kills {seed} {index}")
        run_chain(random_chain(seed, index), verdict, stacks, partial(killer, rng, verdict))
        index += 1


# ------------------------------------------------------------------------------------------------ with faults

ENDING = ("exit", "kill")
# The most that a call is to wait with.
SLOW = 0.02
# Of each point; a worker that cannot say how it ended would print that.
ACTIONS = {
    "spawn": ("raise", "delay"),
    "start": ("raise", *ENDING, "delay"),
    "send": ("raise", *ENDING, "delay"),
    "receive": ("raise", *ENDING, "delay"),
    "slab": ("raise", *ENDING, "delay"),
    "control": (*ENDING, "delay"),
}


def random_faults(rng: random.Random, names: Sequence[str], only: Sequence[str], most: float) -> str:
    """What to ask for: one to three of these actions, at some of these stages, with this probability at most."""
    rules = []
    for _ in range(rng.randint(1, 3)):
        point = rng.choice(list(ACTIONS))
        action = rng.choice([each for each in ACTIONS[point] if each in only])
        chance = min(most, SLOW if action == "delay" else 1.0) * 10 ** -rng.uniform(0, 2)
        when = f"#{rng.randint(1, 20)}" if rng.random() < 0.3 else f"{chance:.6f}"
        rules.append(f"{point}@{rng.choice(names)}={when}:{action}")
    return f"{','.join(rules)};seed={rng.randrange(1000)}"


@contextmanager
def asked(text: str) -> Iterator[None]:
    """Ask for faults of the runs inside the block."""
    os.environ[VARIABLE] = text
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def judge_faults(
    text: str, case: Case, _: Kill | None, error: BaseException | None, ended_at: float, verdict: Verdict
) -> None:
    """Whether a run that met faults has ended by one of them. (`account` sees to the items.)"""
    verdict.outcomes["whole" if error is None else type(error).__name__] += 1
    if error is None:
        return
    told = f"{error} {error.__cause__}"
    if isinstance(error, WorkerLostError):
        ended = {("exit", EXIT_CODE), ("kill", -signal.SIGKILL)}
        is_right = any(f":{action}" in text and error.exit_code == code for action, code in ended)
    else:
        is_right = f"{VARIABLE} asked for a fault at" in told
    if isinstance(error, RunError):
        is_right &= f"@{error.stage}=" in text
    if not is_right:
        verdict.note("blame", f"{text} was asked for, yet: {error!r}: {case}")


def chaos_with_faults(runs: Iterable[int], seed: int, verdict: Verdict, stacks: TextIO | None = None) -> None:
    """Run cases, and chains whose workers are replaced, in turn, with random faults."""
    _get_ready()
    for index in runs:
        rng = random.Random(f"faults {seed} {index}")
        if index % 2:
            chain = random_chain(seed, index)
            names = [CHAINED[operator][2] for operator, *_ in chain.links]
            with asked(random_faults(rng, names, [*ENDING, "delay"], most=0.01)):
                run_chain(chain, verdict, stacks, lambda _: nullcontext())
        else:
            case = replace(random_case(seed, index), victim=None)
            names = ["source", *(f"stage {place}" for place in range(1, len(case.links))), "last", "iteration"]
            text = random_faults(rng, names, ["raise", *ENDING, "delay"], most=0.3)
            with asked(text):
                run_case(case, verdict, stacks, partial(judge_faults, text))


# -------------------------------------------------------------------------------------------------------- all runs


def chaos(runs: Iterable[int], seed: int, verdict: Verdict, stacks: TextIO | None = None) -> None:
    """Run the cases of these numbers. stacks: where a hang tells where all threads were."""
    _get_ready()
    for index in runs:
        run_case(random_case(seed, index), verdict, stacks)


def _get_ready() -> None:
    become_reaper()
    # The fork server is there from now on.
    list(Pipeline(source(range, 1), on=Processes(1)))


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Have this many other processes compete for the processors."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    parser.add_argument("--load", type=int, default=0, metavar="K", help="busy processes beside them (default: none)")
    parser.add_argument("--only", type=int, metavar="INDEX", help="the run of this number alone")
    parser.add_argument("--restarts", action="store_true", help="replace workers, and kill them again and again")
    parser.add_argument("--faults", action="store_true", help="let calls inside the library fail instead")
    parser.add_argument("--kills", type=int, default=300, help="how many, with --restarts (default: 300)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    verdict = Verdict()
    with busy(options.load), quiet(verdict) as stacks:
        if options.restarts:
            chaos_with_successors(options.kills, options.seed, verdict, stacks)
        else:
            runs = range(options.runs) if options.only is None else [options.only]
            (chaos_with_faults if options.faults else chaos)(runs, options.seed, verdict, stacks)
    print(*verdict.lines(time.monotonic() - started), sep="\n")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
