"""Kill a worker at every line of the library that it comes to, one run for each: `python -m tests.crash_points`.

    python -m tests.crash_points --stage map --restarts 1
    python -m tests.crash_points --stage source --cancel

A small pipeline of processes: a source, a generator stage, a `map`, and a sink or the caller's loop; some of its items
travel in slabs. A worker of `--stage` is killed at the n-th line that it executes, for n = 1, 2 and so on until it ends
without coming to an n-th line. `--every K --offset O` takes each K-th only. With `--calls` it is killed in front of a
system call instead, and in the next run behind it, and so on: so also inside the interpreter and its libraries.

Each run must end in time, and nothing may be left of it. Either it names the worker, its process and the signal, after
items that are right and in order; or it is whole, if the worker had said that it was done. With `--restarts` it must be
whole. The last lines count what was wrong, and tell how long it took from a death to its report. Exit status 1 if
anything was wrong.

With `--cancel` nobody is killed: the worker stops in front of its n-th line, somebody cancels the run, and that finds
the worker there. Then the run must end without force, and every function that had begun must have cleaned up.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO, get_args

import numpy as np

# As the tests have it, also in a worker that imports this module.
sys.path.insert(0, str(Path(__file__).parent))

from chainpump import Pipeline, Processes, RunCancelledError, WorkerLostError, sink, source, stage
from chainpump.executors.start_methods import StartMethod
from chainpump.ipc.board import Cell, State
from chainpump.pipeline import opened
from chainpump.start import RunOptions
from support.bomb import Bomb
from support.gate import Gate, Journal
from support.processes import become_reaper, own_view
from support.ptrace import Tracer
from support.threads import meanwhile
from support.verdict import Verdict, limited, nothing_left, quiet

__all__ = ["STAGES", "Plan", "enumerate_points", "main", "run_point"]

STAGES = ("source", "stage", "map", "sink")
# Of a function.
BEGUN, CLEANED_UP = "begun", "cleaned up"
# How a run ends whose bomb goes off in time.
ENDS = {False: "lost worker named", True: "cancelled"}
# Times in a row that the worker has ended before the n-th step: how many it takes differs from run to run.
ENOUGH = 3


# ---------------------------------------------------------------------------------------------- what the pipeline does


@contextmanager
def noted(journal: Journal, name: str) -> Generator[None, None, None]:
    """Say that a function has begun, and then that it has cleaned up."""
    journal.write(f"{name} {BEGUN}")
    try:
        yield
    finally:
        journal.write(f"{name} {CLEANED_UP}")


def values() -> Iterator[Any]:
    """Small ones, and one that goes through a slab as bytes, two that do as arrays."""
    yield from range(20)
    yield b"x" * 300_000
    for number in range(2):
        yield np.full(200_000, number, np.uint8)
        yield {"number": number}


def made(journal: Journal) -> Iterator[Any]:
    """A source."""
    with noted(journal, "source"):
        yield from values()


def passed(items: Iterable[Any], journal: Journal) -> Iterator[Any]:
    """One item for each."""
    with noted(journal, "stage"):
        yield from items


def marked(value: Any) -> tuple[str, Any]:
    """For `map`."""
    return type(value).__name__, value


def summed(item: tuple[str, Any]) -> tuple[str, int]:
    """What tells an item from all others, and from one that was damaged."""
    name, value = item
    return name, zlib.crc32(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())


def sums(items: Iterable[Any], journal: Journal) -> list[tuple[str, int]]:
    """A sink."""
    with noted(journal, "sink"):
        return list(map(summed, items))


WANTED = [summed(marked(value)) for value in values()]


# ------------------------------------------------------------------------------------------------------ one run


@dataclass(frozen=True, slots=True)
class Plan:
    """Whose worker is killed, how workers start, and how often those of the `map` are replaced.

    cancels: the run is cancelled instead.
    """

    stage: str
    method: StartMethod = "fork"
    restarts: int = 0
    cancels: bool = False

    def open(self, journal: Journal) -> Any:
        """A run; it has a sink if that is to be killed, and is iterated else."""
        on = Processes(1, start_method=self.method)
        renewed = Processes(1, start_method=self.method, restarts=self.restarts)
        pipeline: Any = Pipeline(source(made, journal), on=on, name="source")
        pipeline = pipeline.then(stage(passed, journal), on=on, name="stage")
        pipeline = pipeline.map(marked, on=renewed, name="map")
        if self.stage != "sink":
            return pipeline.open()
        # A runnable has no `open`: its parts are what `run` is made of.
        return opened(pipeline.into(sink(sums, journal), on=on, name="sink"), RunOptions())


def run_point(plan: Plan, bomb: Bomb, journal: Journal, verdict: Verdict, stacks: TextIO | None = None) -> None:
    """One run with a bomb in it; note what is wrong."""
    name = f"{plan}, step {bomb.n}"
    with nothing_left(name, verdict):
        _run(plan, bomb, journal, name, verdict, stacks)


def _run(plan: Plan, bomb: Bomb, journal: Journal, name: str, verdict: Verdict, stacks: TextIO | None) -> None:
    seen: list[Any] = []
    error: Exception | None = None
    with bomb.planted(plan.method, plan.stage), plan.open(journal) as run, limited(run, name, verdict, stacks):
        group = run._wiring.groups[STAGES.index(plan.stage)]
        row = own_view(run._wiring.board, group.rows[-1][0])
        with _cancelled_by(bomb, run):
            try:
                seen.extend(map(summed, run) if plan.stage != "sink" else run.result().value)
            except Exception as raised:
                error = raised
            ended_at = time.monotonic()
    if error is not None and bomb.died_at is not None:
        verdict.reported_ms.append((ended_at - bomb.died_at) * 1000)
    was_done = row[Cell.STATE] >= State.DONE
    wrong = _judge_cancelled(error, bomb, seen, journal) if plan.cancels else _judge(plan, bomb, error, seen, was_done)
    for kind, what in wrong:
        verdict.note(kind, f"{name}: {what}; went off at: {bomb.where or None}")
    outcome = "whole" if error is None else ENDS[plan.cancels] if bomb.died_at else type(error).__name__
    verdict.outcomes[f"{outcome}, all the same" if bomb.died_at and error is None else outcome] += 1


@contextmanager
def _cancelled_by(bomb: Bomb, run: Any) -> Generator[None, None, None]:
    """Cancel the run as soon as its bomb has gone off, if that one does not kill."""
    gate = bomb.gate
    if gate is None:
        yield
        return

    def cancel() -> None:
        if gate.wait_held() != os.getpid():
            run.cancel()

    with meanwhile(cancel):
        yield
        # Nor will it: no worker is left.
        if bomb.died_at is None:
            gate.announce()


def _judge_cancelled(
    error: Exception | None, bomb: Bomb, seen: list[Any], journal: Journal
) -> Iterator[tuple[str, str]]:
    """The same of a run that was cancelled. That no force was used is seen by the silence of standard error."""
    if error is None and seen != WANTED:
        yield "lost", f"{len(seen)} of {len(WANTED)} items came, or others, and no error"
    if seen != WANTED[: len(seen)]:
        yield "damaged", "what came is not as it was made"
    if error is not None and (type(error) is not RunCancelledError or bomb.died_at is None):
        yield "blame", repr(error)
    lines = journal.lines
    for name in STAGES:
        if f"{name} {BEGUN}" in lines and f"{name} {CLEANED_UP}" not in lines:
            yield "unclean", f"'{name}' has not cleaned up"


def _judge(
    plan: Plan, bomb: Bomb, error: Exception | None, seen: list[Any], was_done: bool
) -> Iterator[tuple[str, str]]:
    """What is wrong, and of which kind.

    1. An end without an error: whole, and of a worker that had said that it was done, or has a successor.
    2. The loss of the worker, named in full, after items that are right; unless it was to be replaced.
    3. Anything else is wrong.
    """
    if error is None:
        if seen != WANTED:
            yield "lost", f"{len(seen)} of {len(WANTED)} items came, or others"
        if bomb.died_at and not (was_done or plan.restarts):
            yield "blame", "no error, although the worker was not done"
        return
    if seen != WANTED[: len(seen)]:
        yield "damaged", "what came before the error is not as it was made"
    named = (error.stage, error.worker, error.pid, error.signal) if isinstance(error, WorkerLostError) else ()
    if named != (plan.stage, 1, bomb.pid, signal.SIGKILL) or plan.restarts:
        yield "blame", f"{error!r}, although pid {bomb.pid} died"
    elif len(error.failures) != 1:  # type: ignore[attr-defined]  # it is a WorkerLostError
        yield "blame", f"one worker died, yet: {error}"


# ----------------------------------------------------------------------------------------------------- all points


def enumerate_points(
    plan: Plan, every: int, offset: int, verdict: Verdict, stacks: TextIO | None = None, *, calls: bool = False
) -> int:
    """Kill at each of these steps; returns how many steps a worker takes at most. calls: count system calls."""
    become_reaper()
    most = missed = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        # What `multiprocessing` keeps for good is there from now on.
        with plan.open(Journal(folder / "journal")):
            pass
        tracer = stack.enter_context(Tracer.running(folder)) if calls else None
        for n in count(1 + offset, every):
            with TemporaryDirectory(dir=folder) as own, Gate(Path(own)) if plan.cancels else nullcontext() as gate:
                bomb = Bomb(Path(own) / "bomb", n, tracer, gate)
                run_point(plan, bomb, Journal(Path(own) / "journal"), verdict, stacks)
            most = max(most, bomb.steps)
            missed = 0 if bomb.died_at else missed + 1
            if missed == ENOUGH:
                return most
    raise AssertionError("unreachable")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash_points", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--stage", choices=STAGES, action="append", help="whose worker is killed (default: each)")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="at each K-th step only (default: at all)")
    parser.add_argument("--offset", type=int, default=0, metavar="O", help="leave out so many steps (default: none)")
    parser.add_argument(
        "--method", choices=get_args(StartMethod), default="fork", help="how they start (default: fork)"
    )
    parser.add_argument("--calls", action="store_true", help="count system calls and their returns, instead of lines")
    parser.add_argument("--cancel", action="store_true", help="cancel the run there, instead of killing the worker")
    parser.add_argument("--restarts", type=int, default=0, help="of each worker of the `map` (default: none)")
    options = parser.parse_args(arguments)
    if options.cancel and (options.calls or options.restarts):
        parser.error("--cancel stops a worker at lines, and kills none: leave out --calls and --restarts")
    wrong = False
    for stage_name in options.stage or STAGES:
        started = time.monotonic()
        verdict = Verdict(cause="cancellation" if options.cancel else "death")
        plan = Plan(stage_name, options.method, options.restarts, options.cancel)
        with quiet(verdict) as stacks:
            most = enumerate_points(plan, options.every, options.offset, verdict, stacks, calls=options.calls)
        print(f"{plan}: {most} steps", *verdict.lines(time.monotonic() - started), sep="\n  ", flush=True)
        wrong |= bool(verdict.wrong)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
