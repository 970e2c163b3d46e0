"""The progress of a run as a short text, to be stored in the same transaction as its results."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..errors import JournalError
from ..lazy_dataclass import dataclass
from .content import Checkpoint
from .ranges import Ranges

__all__ = ["Position"]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Which items are done, and the checkpoints of the stages in front. shape: of the fingerprint of the chain."""

    done: Ranges
    checkpoints: Sequence[Checkpoint] = ()
    shape: str = ""

    def to_text(self) -> str:
        """The position as text, for `from_text`.

        >>> Position(Ranges([(0, 7)])).to_text()
        '{"chainpump":1,"shape":"","done":[[0,7]],"checkpoints":[]}'
        """
        checkpoints = [(each.origin, each.made, each.taken) for each in self.checkpoints]
        found = {"chainpump": FORMAT, "shape": self.shape, "done": list(self.done), "checkpoints": checkpoints}
        return json.dumps(found, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Position:
        """Read the text of `to_text`. Raises JournalError if it is no such text."""
        try:
            found = json.loads(text)
            version = found["chainpump"]
            if version == FORMAT:
                checkpoints = [Checkpoint(*map(_whole, each)) for each in found["checkpoints"]]
                done = Ranges((_whole(start), _whole(stop)) for start, stop in found["done"])
                return cls(done, checkpoints, _text(found["shape"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise JournalError(
                f"start: it is no position of a run: {text!r:.200}.\n"
                "  Store `run.position` as it is, and give it to `open(start=...)` unchanged; start='' "
                "begins again."
            ) from error
        raise JournalError(
            f"start: the position has format {version!r:.50}, and this chainpump reads format {FORMAT}.\n"
            "  Use the chainpump that has made it, or a newer one."
        )


def _whole(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(number)
    return number


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
