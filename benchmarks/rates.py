"""Items per second and CPU per item of a case that takes n items: without start-up, or with a remark why not.

Rate: n / (T(n) - T(2)), best of the repeats; a pilot chooses n so that a run takes about `Settings.seconds`. CPU per
item: (CPU(n) - CPU(2)) / n over all processes. T(2) and T(n) come from cases of their own: in one process, the
second would not pay for the start-up that the first has paid.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from time import perf_counter

# Arguments are JSON.
from typing import Any

from benchmarks.experiment import Settings
from benchmarks.runner import CaseError, Outcome
from benchmarks.timing import STARTS, Timing

# Items of the runs that measure start-up.
FEW = 2
# Items of a measured run: what is allocated beforehand flatters a shorter one.
LEAST = 20
# Least length of a pilot beyond start-up; and half the start-up, which varies by as much.
PILOT_SECONDS = 0.05
# Times as many items as in a run that was too short.
PILOT_GROWTH = 8
# Tries to reach half of the seconds asked for, before the row is shown with a remark.
SIZINGS = 4
# Of the net time: above, a rate is shown with a remark, and no verdict rests on it.
DOUBT = 0.3
# Times all cores: a rate that takes more CPU time than this is an artefact.
CPU_MARGIN = 1.25


# Run in the process of a case.


def pilot(measured: str, arguments: Mapping[str, Any], seconds: float) -> int:
    """About how many items take that many seconds in `module:function`, which is called with these arguments and n."""
    module, _, function = measured.partition(":")
    send: Callable[..., float] = getattr(import_module(f"benchmarks.{module}"), function)
    start_up = min(send(**arguments, n=FEW) for _ in range(2))
    n = LEAST
    while (elapsed := send(**arguments, n=n) - start_up) < max(PILOT_SECONDS, start_up / 2):
        n *= PILOT_GROWTH
    return max(LEAST, round(n * seconds / elapsed))


# Run in the main process.


@dataclass(slots=True)
class Rate:
    """One case: the seconds and CPU seconds of all its runs.

    function: `module:function`; it takes the arguments and n, and returns seconds, start-up included.
    missing: how to install what it needs, if that is not there.
    """

    function: str
    arguments: Mapping[str, Any]
    missing: str | None = None
    problem: str | None = None
    n: int = 0
    seconds: Timing = field(default_factory=Timing)
    cpu: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        self.problem = self.missing

    @property
    def failed(self) -> bool:
        """Whether a case broke, rather than had nothing to run with."""
        return self.problem is not None and self.missing is None

    @property
    def per_second(self) -> float | None:
        """Items per second, or None without a figure."""
        return None if self.problem or self.seconds.net <= 0 else self.n / self.seconds.net

    @property
    def cpu_per_item(self) -> float | None:
        """CPU seconds per item, or None without a figure."""
        return None if self.problem or self.cpu.net <= 0 else self.cpu.net / self.n

    @property
    def remark(self) -> str:
        """Why there is no figure, or why it is not to be trusted; empty if it is."""
        if self.problem:
            return self.problem
        if not self.seconds.supports(DOUBT):
            return "start-up varies too much"
        if (self.per_second or 0) * (self.cpu_per_item or 0) > CPU_MARGIN * (os.cpu_count() or 1):
            return "more CPU than there is"
        return ""

    def record(self) -> dict[str, object]:
        """The figures, for JSON."""
        timings = {"seconds": self.seconds, "cpu": self.cpu}
        samples = {
            name: {"start_ups": timing.start_ups, "totals": timing.totals, "net": timing.net if timing.totals else None}
            for name, timing in timings.items()
        }
        rates = {"rate": self.per_second, "cpu_per_item": self.cpu_per_item}
        return {**self.arguments, "n": self.n, "remark": self.remark, **samples, **rates}


def seconds_to_send(n: int, send: Callable[[], int]) -> float:
    """Seconds that a system takes for n items, start-up included. Raises if it has not counted n at its end."""
    started = perf_counter()
    counted = send()
    elapsed = perf_counter() - started
    if counted != n:
        raise RuntimeError(f"items were lost: sent {n}, counted {counted}")
    return elapsed


def measure(rates: Sequence[Rate], settings: Settings) -> None:
    """Fill these in, interleaved."""
    for rate in rates:
        _attempt(rate, settings, _first)
    for _ in range(settings.repeats - 1):
        for rate in rates:
            _attempt(rate, settings, again)


def _attempt(rate: Rate, settings: Settings, step: Callable[[Rate, Settings], None]) -> None:
    """Take one step, unless an earlier one has failed."""
    if rate.problem:
        return
    try:
        step(rate, settings)
    except CaseError as error:
        rate.problem = error.problem


def _first(rate: Rate, settings: Settings) -> None:
    """Choose n by a pilot and by the measured run itself, which a busy moment may have cut too short."""
    about = settings.seconds
    rate.n = settings.case("rates:pilot", measured=rate.function, arguments=rate.arguments, seconds=about).value
    for _ in range(SIZINGS):
        rate.seconds, rate.cpu = Timing(), Timing()
        again(rate, settings)
        if rate.seconds.net >= about / 2:
            break
        rate.n = round(rate.n * min(PILOT_GROWTH, about / max(rate.seconds.net, about / PILOT_GROWTH)))


def again(rate: Rate, settings: Settings) -> None:
    """One measured run more of `rate.n` items, with its runs for start-up."""

    def measured(n: int) -> Outcome:
        return settings.case(rate.function, **rate.arguments, n=n)

    starts, total = [measured(FEW) for _ in range(STARTS)], measured(rate.n)
    rate.seconds.start_ups += [start.value for start in starts]
    rate.cpu.start_ups += [start.cpu for start in starts]
    rate.seconds.totals.append(total.value)
    rate.cpu.totals.append(total.cpu)
