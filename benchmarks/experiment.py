"""What every experiment takes and gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.runner import Outcome, run_case
from benchmarks.table import Table


@dataclass(frozen=True, slots=True)
class Settings:
    """payloads, systems: names, for throughput; repeats: runs per case, of which the best or the median counts;
    seconds: about the length of a measured run; limit: seconds after which a case is killed.
    """

    payloads: Sequence[str]
    systems: Sequence[str]
    repeats: int
    seconds: float
    limit: float

    def case(self, function: str, **arguments: object) -> Outcome:
        """Run `module:function` of this package as a case, within the limit."""
        return run_case(f"benchmarks.{function}", arguments, self.limit)


@dataclass(frozen=True, slots=True)
class Result:
    """table: for reading; records: the figures behind it (seconds, items); failed: a case broke."""

    table: Table
    records: Sequence[Mapping[str, object]]
    failed: bool = False


Experiment = Callable[[Settings], Result]
