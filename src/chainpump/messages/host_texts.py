"""The texts of failures of other machines, on which workers of a run are."""

from __future__ import annotations

from ..errors import Failure, WorkerLostError
from .names import WorkerName
from .printable import printable

__all__ = ["gone_on", "host_broken", "lost_with_host", "uncounted", "unlinked"]

ADVICE = (
    "Look at the machine and at what its agent has printed.",
    "Workers with restarts left would have gone on elsewhere: see docs/cluster.md.",
)


def lost_with_host(who: WorkerName, pid: int | None, reason: str) -> Failure:
    """A worker is lost because its machine is. reason: names the machine, and says how that was noticed."""
    headline = f"{who.lost(pid or 0)}: {printable(reason)}."
    return who.failure(WorkerLostError, pid, headline, *ADVICE)


def uncounted(who: WorkerName, in_flight: int) -> str:
    """The items of a loop come from other machines, so that they cannot be counted."""
    return (
        f"{who.label} cannot have {in_flight} items in flight from stages on other machines:\n"
        "  credits are counted in the memory of one machine. Put a stage of this machine between."
    )


def host_broken(reason: str) -> Failure:
    """A machine is lost whose workers had finished, but not all of their results had left it. reason: as above."""
    return Failure(WorkerLostError, "", "", 0, None, f"the run lost a machine: {printable(reason)}.", ADVICE)


def gone_on(reason: str, name: str) -> str:
    """A machine is lost, and its workers go on. reason: as above. name: of the machine where they do."""
    return f"a machine is lost: {printable(reason)}. Its workers go on on {printable(name)}."


def unlinked(name: str, reason: str) -> str:
    """The system of a machine refuses connections. name: of the machine. reason: the text of the system."""
    return (
        f"{printable(name)} cannot accept links of other machines for now: {reason}. It tries again, but machines whose"
        " links are missing count as lost. If it has too few descriptors, raise the limit there (ulimit -n)."
    )
