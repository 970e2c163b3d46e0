"""Kill and freeze random machines of random runs at random moments: `python -m tests.host_chaos`.

    python -m tests.host_chaos --kills 1000 --seed 1

Each run has a source here and up to three operators, of which at least one is on three machines, with `restarts=`. The
machines are agents on this one. They are lost again and again: an agent or all its processes are killed or frozen, some
for a moment only, some two at once, some with a worker before them. Each run must be whole and in order, with each dead
letter once, and the report must say so. Nothing may be left: no process, thread, descriptor or shared memory, not a
word on standard error.

    python -m tests.host_chaos --losses --runs 200 --seed 1

Without `restarts=` one machine is lost: the run must end with an error that names it, or whole if it was over by then;
what it gave before that must be right.

    python -m tests.host_chaos --workers --kills 300 --seed 1
    python -m tests.host_chaos --main --runs 100 --seed 1
    python -m tests.host_chaos --busy 30

Only workers are killed, and replaced; the main process is killed, after which nothing may be left; nobody is killed,
but the main process is busy in Python code for so many seconds, and no machine may be lost.

The last lines count what was wrong. Exit status 1 if anything was. What a run is comes from `--seed` and its index
alone, so that `--only INDEX` repeats it; the moments of the kills depend on the machine, too.
"""

from __future__ import annotations

import argparse
import logging
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

# As the tests have it, also in a worker that imports this module.
sys.path.insert(0, str(Path(__file__).parent))

from chainpump import DeadLetter, Executor, Hosts, Pipeline, Processes, RunError, WorkerLostError
from cluster.strikes import NAME, OF_MACHINES, STRIKES, Victims, striking
from support.checked_items import CHAINED, KINDS, checked, note_differences, number_of, numbers_behind, worked
from support.processes import become_reaper
from support.verdict import Verdict, limited, nothing_left, quiet

__all__ = ["Campaign", "main"]

MACHINES = ("n1", "n2", "n3")
# More than any run needs.
RESTARTS = 1000
# Items of the shortest run.
MOST = {"int": 2_000, "dict": 1_000, "1 MB array": 60}
# Seconds between two items. Else a source would be far ahead when it may end.
EVERY = {"int": 0.0002, "dict": 0.0005, "1 MB array": 0.005}
# Seconds that cancelled workers have, on a machine however busy: it would be said if they were ended by force.
GRACE = 30.0
# Strikes in one run, at most.
STRIKES_EACH = 12


# ------------------------------------------------------------------------------------------- what the pipelines do


def refused(value: Any) -> Any:
    """For `map`: some items are dead letters."""
    if number_of(value) % 50 == 7:
        raise ValueError(f"cannot take {number_of(value)}")
    return worked(value)


# As in `CHAINED`.
OPERATORS: dict[str, tuple[Any, Any, str]] = {
    **CHAINED,
    "refuse": (
        lambda pipeline, on, ordered: pipeline.map(refused, on=on, ordered=ordered, on_error=DeadLetter()),
        lambda number: int(number % 50 != 7),
        "refused",
    ),
}


@dataclass(frozen=True, slots=True)
class Link:
    """One operator of a chain. is_far: it is on the machines."""

    operator: str
    is_far: bool
    workers: int
    ordered: bool

    def on(self, restarts: int) -> Executor:
        """Where it is."""
        if not self.is_far:
            return Processes(self.workers, restarts=restarts)
        command = f"env {NAME}={{host}} {sys.executable}"
        return Hosts(MACHINES, self.workers, command=command, restarts=restarts, address="127.0.0.1")


@dataclass(frozen=True, slots=True)
class Case:
    """One random run. n: how many items it has at least; the source goes on until nobody else is to be killed."""

    seed: int
    index: int
    kind: str
    n: int
    links: Sequence[Link]

    @classmethod
    def random(cls, seed: int, index: int) -> Case:
        """The case of this number."""
        rng = random.Random(f"host {seed} {index}")
        kind = rng.choice(list(MOST))
        far = rng.randrange(3)
        links = [
            Link(rng.choice(list(OPERATORS)), place == far or rng.random() < 0.6, rng.randint(2, 5), rng.random() < 0.8)
            for place in range(rng.randint(far + 1, 3))
        ]
        return cls(seed, index, kind, rng.randrange(MOST[kind]), links)

    def wanted(self, n: int, links: int = 3) -> list[int]:
        """The numbers that come out of the first links for n items."""
        return numbers_behind(n, [OPERATORS[link.operator][1] for link in self.links[:links]])

    def refused(self, n: int) -> Counter[int]:
        """The numbers that are dead letters."""
        places = [place for place, link in enumerate(self.links) if link.operator == "refuse"]
        return Counter(number for place in places for number in self.wanted(n, place) if number % 50 == 7)

    def pipeline(self, items: Source, restarts: int) -> Any:
        """The chain on these items."""
        pipeline: Any = Pipeline(items)
        for link in self.links:
            pipeline = OPERATORS[link.operator][0](pipeline, link.on(restarts), link.ordered)
        return pipeline


class Source:
    """Makes items until it may end. made: how many."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.made = 0
        self.may_end = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        make, every = KINDS[self._case.kind], EVERY[self._case.kind]
        while self.made < self._case.n or not self.may_end.is_set():
            self.made += 1
            yield make(self.made - 1)
            time.sleep(every)


# ------------------------------------------------------------------------------------------------------- the campaigns


class Losses(logging.Handler):
    """Counts what the library logs of machines that are lost and replaced; all else goes to standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        message = record.getMessage()
        if message.startswith("a machine is lost: "):
            self.count += 1
        else:
            print(message, file=sys.stderr)


class Campaign:
    """Runs, and what was seen of them.

    struck: how many machines or workers, by the kind of strike. losses: of machines that were replaced.
    """

    def __init__(self, seed: int, verdict: Verdict, stacks: TextIO | None = None) -> None:
        self.seed = seed
        self.verdict = verdict
        self.stacks = stacks
        self.struck: Counter[str] = Counter()
        self.losses = Losses()
        # How many there were at the start of the current run.
        self._losses_before = 0
        become_reaper()
        # The fork server is there from now on.
        list(Pipeline(range(1)).map(worked, on=Processes(1)))

    def __enter__(self) -> Self:
        logging.getLogger("chainpump").addHandler(self.losses)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("chainpump").removeHandler(self.losses)

    def replaced(self, index: int, only: str | None = None) -> None:
        """Machines are lost again and again, and replaced. only: strikes of this kind."""
        rng = random.Random(f"strikes {self.seed} {index}")
        weights = [weight for _, weight in STRIKES.values()]
        count = rng.randint(1, STRIKES_EACH)
        strikes = [only] * count if only else rng.choices(list(STRIKES), weights, k=count)
        case, victims = Case.random(self.seed, index), Victims(rng)
        items = Source(case)
        seen, error = self._run(case, case.pipeline(items, RESTARTS), striking(strikes, victims, items.may_end))
        self._count(victims)
        if error is None:
            note_differences(case, case.wanted(items.made), seen, self.verdict)
        else:
            self.verdict.outcomes[type(error).__name__] += 1
            self.verdict.note("blame", f"{error!r}: {dict(victims.struck)}: {case}")

    def lost(self, index: int) -> None:
        """One machine is lost, and not replaced."""
        rng = random.Random(f"loss {self.seed} {index}")
        case, victims = Case.random(self.seed, index), Victims(rng)
        items = Source(case)
        strikes = [rng.choice(OF_MACHINES)]
        seen, error = self._run(case, case.pipeline(items, 0), striking(strikes, victims, items.may_end))
        ended_at = time.monotonic()
        self._count(victims)
        if error is None:
            note_differences(case, case.wanted(items.made), sorted(seen), self.verdict)
            return
        self.verdict.outcomes["lost machine named"] += 1
        if not isinstance(error, WorkerLostError) or not any(name in str(error) for name in victims.lost):
            self.verdict.note("blame", f"{victims.lost} was lost, yet: {error!r}: {case}")
        elif victims.at is not None:
            self.verdict.reported_ms.append((ended_at - victims.at) * 1000)
        if wrong := Counter(seen) - Counter(case.wanted(items.made)):
            self.verdict.note("doubled", f"{wrong.total()} items doubled or damaged: {case}", wrong.total())

    def main_killed(self, index: int) -> None:
        """The main process is killed at a random moment. What it leaves is found as orphans of this process."""
        rng = random.Random(f"main {self.seed} {index}")
        command = [sys.executable, __file__, "--busy", "60", "--seed", str(self.seed), "--only", str(index)]
        with nothing_left(f"main {index}", self.verdict):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
                with suppress(subprocess.TimeoutExpired):
                    program.wait(4 * rng.random())
                program.kill()
            self.verdict.outcomes["main process killed" if program.returncode < 0 else "ended before"] += 1

    def busy(self, index: int, seconds: float) -> None:
        """This process is busy while the run goes on, and no machine may be lost."""
        case = Case.random(self.seed, index)
        items = Source(case)
        seen, error = self._run(case, case.pipeline(items, 0), _working(seconds, items))
        if error is None:
            note_differences(case, sorted(case.wanted(items.made)), sorted(seen), self.verdict)
        else:
            self.verdict.note("blame", f"nobody was lost, yet: {error!r}: {case}")

    def _run(self, case: Case, pipeline: Any, trouble: Any) -> tuple[list[int], RunError | None]:
        """What a run gave, and how it ended."""
        self._losses_before = self.losses.count
        seen: list[int] = []
        try:
            with nothing_left(case, self.verdict), ExitStack() as stack:
                run = stack.enter_context(pipeline.open(grace=GRACE))
                stack.enter_context(limited(run, case, self.verdict, self.stacks))
                stack.enter_context(trouble)
                seen.extend(map(checked, run))
                self.check_report(case, run.report())
        except RunError as error:
            return seen, error
        return seen, None

    def check_report(self, case: Case, report: Any) -> None:
        """Note what the report of a complete run has counted wrongly.

        A lost machine had sent its counts up to 20 ms before, and its work may have been done again. So they are exact
        only if no machine was lost; dead letters are exact in any case.
        """
        made = report.stages[0].sent
        for place, (link, counted) in enumerate(zip(case.links, report.stages[1:], strict=False)):
            right = [len(case.wanted(made, place)), len(case.wanted(made, place + 1))]
            found = [counted.received, counted.sent]
            if found != right and self.losses.count == self._losses_before:
                self.verdict.note("miscounted", f"{link.operator} counted {found}, not {right}: {case}")
        letters = Counter(number_of(each.item) for each in report.dead_letters)
        if letters != case.refused(made):
            self.verdict.note("miscounted", f"dead letters: {letters}, not {case.refused(made)}: {case}")

    def _count(self, victims: Victims) -> None:
        self.struck += victims.struck
        self.verdict.kills += victims.struck.total()


@contextmanager
def _working(seconds: float, items: Source) -> Iterator[None]:
    """Keep the interpreter busy for so long, in a thread; the source goes on meanwhile."""

    def work() -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            sum(range(10_000))
        items.may_end.set()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.host_chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="how many, with restarts (default: 100)")
    parser.add_argument("--runs", type=int, default=20, help="how many, with --losses and --main (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="which runs (default: 0)")
    parser.add_argument("--only", type=int, metavar="INDEX", help="the run of this number alone")
    parser.add_argument("--kind", choices=STRIKES, help="only strikes of this kind")
    parser.add_argument("--losses", action="store_true", help="without restarts: the run ends")
    parser.add_argument("--workers", action="store_true", help="kill only workers")
    parser.add_argument("--main", action="store_true", help="kill the main process")
    parser.add_argument("--busy", type=float, metavar="SECONDS", help="kill nobody, be busy for so long")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    verdict = Verdict()
    runs = range(options.runs) if options.only is None else [options.only]
    with quiet(verdict) as stacks, Campaign(options.seed, verdict, stacks) as campaign:
        if options.busy is not None:
            campaign.busy(options.only or 0, options.busy)
        elif options.losses or options.main:
            for index in runs:
                (campaign.lost if options.losses else campaign.main_killed)(index)
        elif options.only is not None:
            campaign.replaced(options.only, "worker killed" if options.workers else options.kind)
        else:
            index = 0
            while verdict.kills < options.kills:
                campaign.replaced(index, "worker killed" if options.workers else options.kind)
                index += 1
    print(*verdict.lines(time.monotonic() - started), sep="\n")
    print(*(f"{count} {name}" for name, count in campaign.struck.most_common()), sep=", ", end="; ")
    print(f"{campaign.losses.count} machines replaced")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
