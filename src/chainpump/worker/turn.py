"""The turn of a worker that starts beside its predecessor: it waits until the predecessor has retired."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from ..ipc.descriptors import Descriptor, pipe
from ..lazy_dataclass import dataclass

__all__ = ["Turn", "turn"]

GO = b"!"


class Turn:
    """The end of the worker that waits. It travels to the worker. waited: how many seconds it has waited."""

    def __init__(self, end: Descriptor) -> None:
        self._end = end
        self.waited = 0.0

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return (self._end,)

    def wait(self) -> bool:
        """Wait for the turn. Returns False if the worker is not needed."""
        began = time.monotonic()
        is_needed = os.read(self._end.fileno(), len(GO)) == GO
        self.waited = time.monotonic() - began
        self.close()
        return is_needed

    def close(self) -> None:
        """Close this end."""
        self._end.close()


@dataclass(frozen=True, slots=True)
class TurnGiver:
    """The end of the main process."""

    end: Descriptor

    def give(self) -> None:
        """Give the worker its turn. It may have died."""
        try:
            os.write(self.end.fileno(), GO)
        except BrokenPipeError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close this end. A worker that still waits is not needed."""
        self.end.close()


def turn() -> tuple[Turn, TurnGiver]:
    """Both ends."""
    waiting, giving = pipe()
    return Turn(waiting), TurnGiver(giving)
