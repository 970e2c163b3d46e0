"""Texts about Ray clusters that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..errors import Failure, RunError
from .names import text_of
from .printable import printable, printable_lines

__all__ = ["CLIENT", "NOT_INSTALLED", "actor_ended", "no_room", "refused"]

NOT_INSTALLED = "Ray(...) needs ray, which is not installed.\n  Run: pip install 'chainpump[ray]'"
CLIENT = (
    "Ray(...) cannot be used through Ray Client (ray://...): the machines of the cluster must reach this process.\n"
    "  Run the program on a machine of the cluster, for example by `ray job submit`."
)
MOST_LETTERS = 300


def refused(error: Exception) -> Failure:
    """Ray cannot be started or reached, or it refuses an option."""
    return _failure(
        f"the run could not start: Ray has refused: {_line(error)}",
        "Look at the options of Ray(...), at RAY_ADDRESS and at the cluster.",
    )


def no_room(
    bundles: Sequence[Mapping[str, float]], seconds: float, in_all: Mapping[str, float], free: Mapping[str, float]
) -> Failure:
    """Ray has not found room for the workers. bundles: what each of them needs."""
    wanted = Counter(_amounts(bundle) for bundle in bundles)
    workers = " and ".join(f"{n} worker{'s' * (n > 1)} with {text}{' each' * (n > 1)}" for text, n in wanted.items())
    names = sorted({name for bundle in bundles for name in bundle})
    has, is_free = (_amounts({name: of.get(name, 0) for name in names}) for of in (in_all, free))
    return _failure(
        f"the run could not start: Ray has found no room for {workers} within {seconds:g} s.",
        f"The cluster has {has}; free: {is_free}.",
        "Ask for fewer workers, or less for each of them, or add machines.",
    )


def actor_ended(host: str, error: BaseException) -> str:
    """The actor that runs an agent has ended, or has not started."""
    return f"the actor of Ray that runs the agent of {host} has ended: {_line(error)}"


def _line(error: BaseException) -> str:
    """The text of an error of Ray, which may have many lines."""
    text = " ".join(text_of(error).split())
    return printable(f"{type(error).__name__}: {text[:MOST_LETTERS]}{'...' * (len(text) > MOST_LETTERS)}")


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in resources.items())


def _failure(headline: str, *details: str) -> Failure:
    return Failure(RunError, "", "", 0, None, printable_lines(headline), tuple(map(printable_lines, details)))
