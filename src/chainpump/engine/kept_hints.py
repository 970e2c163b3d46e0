"""The batch sizes that a run has found, for the next run of the same stages."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from ..ipc.board import Board
from ..plan.planned_stage import PlannedStage

__all__ = ["KeptHints"]

# Chains of stages. A program that builds its functions anew for each run would fill the memory.
MOST = 64


class KeptHints:
    """For each chain of stages: how many items the consumers of each junction want in a frame. Any thread may use it.

    Two chains are the same if their stages have the same names and functions. The arguments, such as the files of an
    epoch, may differ: the hints only say where the search for the best size begins.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The functions are kept, because another object could get the id of one that is freed.
        self._hints: OrderedDict[object, tuple[Sequence[int], Sequence[object]]] = OrderedDict()

    def recall(self, stages: Sequence[PlannedStage], board: Board) -> None:
        """Begin with the hints of the last run."""
        with self._lock:
            hints, _ = self._hints.get(_key(stages), ((), ()))
        for junction, hint in enumerate(hints):
            board.hint(junction)[0] = hint

    def remember(self, stages: Sequence[PlannedStage], board: Board, junctions: int) -> None:
        """Keep the hints of a run, if it has found any."""
        hints = [int(board.hint(junction)[0]) for junction in range(junctions)]
        if not any(hints):
            return
        with self._lock:
            self._hints[_key(stages)] = hints, [stage.call.function for stage in stages]
            self._hints.move_to_end(_key(stages))
            if len(self._hints) > MOST:
                self._hints.popitem(last=False)


def _key(stages: Sequence[PlannedStage]) -> object:
    return tuple((stage.name, id(stage.call.function), stage.on.workers) for stage in stages)
