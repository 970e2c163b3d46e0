"""What a campaign of many runs has seen: how they ended, what was wrong, and what was left of them."""

from __future__ import annotations

import faulthandler
import gc
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from support.processes import descendants, descriptors, gone, kill_and_reap, mappings, watching
from support.threads import threads_that_stay

__all__ = ["KINDS_OF_WRONG", "Verdict", "limited", "nothing_left", "quiet"]

# Seconds for an orphan to end, which should be gone already.
WITHIN = 60.0
# Seconds for one run.
LIMIT = 120.0
# Name -> as a summary counts them.
KINDS_OF_WRONG = {
    "hang": "hangs",
    "lost": "losses",
    "doubled": "duplicates",
    "damaged": "damaged",
    "misplaced": "misplaced",
    "blame": "wrong blames",
    "miscounted": "wrong counts",
    "unclean": "missing clean-ups",
    "orphan": "orphans",
    "leak": "leaks",
    "noise": "words on standard error",
}


@dataclass(slots=True)
class Verdict:
    """What was seen of all runs.

    wrong: sentences. kinds: how many of each. outcomes: how runs ended. reported_ms: from a death to its report.
    kills: of workers that are replaced. cause: what is told of in place of a death.
    """

    wrong: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reported_ms: list[float] = field(default_factory=list)
    kills: int = 0
    cause: str = "death"

    def note(self, kind: str, sentence: str, count: int = 1) -> None:
        """Something is wrong: of one of `KINDS_OF_WRONG`, so many times."""
        self.wrong.append(sentence)
        self.kinds[kind] += count

    def lines(self, took: float) -> Iterator[str]:
        """What to print of it. took: seconds."""
        yield from self.wrong
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        killed = f", {self.kills} kills" if self.kills else ""
        yield f"{sum(self.outcomes.values())} runs{killed} in {took:.0f} s: {outcomes}"
        yield ", ".join(f"{self.kinds[kind]} {name}" for kind, name in KINDS_OF_WRONG.items())
        if len(self.reported_ms) > 1:
            percentiles = quantiles(self.reported_ms, n=100, method="inclusive")
            yield (
                f"from {self.cause} to report, ms: p50 {percentiles[49]:.1f}, p99 {percentiles[98]:.1f}, "
                f"most {max(self.reported_ms):.1f} ({len(self.reported_ms)} times)"
            )


@contextmanager
def limited(run: Any, name: Any, verdict: Verdict, stacks: TextIO | None = None) -> Iterator[None]:
    """Cancel a run that hangs inside the block, and note it; if that does not help, end the program.

    stacks: where to tell where all threads are then.
    """
    file = stacks or sys.stderr

    def cancel() -> None:
        verdict.note("hang", f"{name}: no end within {LIMIT:g} s")
        faulthandler.dump_traceback(file)
        run.cancel()

    timer = threading.Timer(LIMIT, cancel)
    timer.start()
    faulthandler.dump_traceback_later(2 * LIMIT, exit=True, file=file)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()
        timer.join()


@contextmanager
def nothing_left(name: Any, verdict: Verdict) -> Iterator[None]:
    """Note what is left of the block's run: processes, threads, descriptors, shared memory."""
    before, others = descriptors(), descendants()
    yield
    gc.collect()
    orphans = descendants() - others
    with watching(orphans) as ends:
        if not gone(ends, WITHIN):
            orphans &= descendants()
            verdict.note("orphan", f"{name}: processes are left: {orphans}", len(orphans))
            kill_and_reap(orphans)
    threads: Sequence[threading.Thread] = threads_that_stay()
    for what, left in (("threads", threads), ("descriptors", descriptors() - before), ("mappings", mappings())):
        if left:
            verdict.note("leak", f"{name}: {what} are left: {left}", len(left))


# What a worker prints whose agent dies while it starts: its fork server could not tell it more.
ORPHAN = re.compile(
    r"Traceback \(most recent call last\):\n(  .*\n)*?  .*forkserver.*\n(  .*\n)*EOFError: Ran out of input\n"
)


@contextmanager
def quiet(verdict: Verdict) -> Iterator[TextIO]:
    """Send standard error, that of all workers too, to a file, where nothing is to come; gives what it was before."""
    with TemporaryDirectory() as folder, os.fdopen(os.dup(2), "w") as before:
        path = Path(folder) / "stderr"
        with path.open("ab") as file:
            os.dup2(file.fileno(), 2)
        try:
            yield before
        finally:
            os.dup2(before.fileno(), 2)
        if text := ORPHAN.sub("", path.read_text()):
            verdict.note("noise", f"on standard error:\n{text}")
