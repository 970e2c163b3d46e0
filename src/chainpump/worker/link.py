"""The previous stage in the same worker as the input of the next one: by items, or by pieces.

Items are passed one by one where code of the program may run for each of them. Elsewhere they are passed in pieces that
take about 1 ms, at the speed of C: what a stage of the library has made of a sequence, the items of a container, and
those that `batch` gathers anyway.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import length_hint
from typing import Any

from ..errors import Cancelled
from ..ipc.board import Cell
from ..messages.item_repr import short_repr
from ..plan.bound import Bound
from ..plan.generator_stages import batch
from ..plan.operators import Operator
from ..plan.sequence_stages import by_sequences
from ..policies import Raise
from ..transport.flow import next_hint, next_service_ns
from .current_worker import runs_stages
from .entries import CONTAINERS, ending
from .outcome import Interrupted, Outcome
from .stage_run import StageRun

__all__ = ["Link"]


class Link:
    """Pulls items from the previous stage, and counts them.

    downstream: the function of the next stage, and its row. watched: publish when each item was passed. looks_ahead:
    whether items of a container may be taken before they are requested.
    """

    def __init__(
        self, upstream: StageRun, downstream: Bound, row: memoryview, *, watched: bool, looks_ahead: bool
    ) -> None:
        self._upstream = upstream
        self._watched = watched
        self._rows = (upstream.row, row)
        self._started: Iterator[Any] | None = None
        self._outcome: Outcome | None = None
        # How many items have left the previous stage.
        self._total = 0
        # The last item, until the next one is requested; or the last piece, and what is left of it.
        self._current: list[Any] = []
        self._cursor: Iterator[Any] = iter(())
        self.cancelled = False
        self.ended = False
        # Whether the next stage may leave out items, which do not count as finished.
        self._leaves_out = isinstance(downstream, Operator) and not isinstance(downstream.policy, Raise)
        # What pieces are made of: iterables, and the rest of the current one.
        self._by_sequences = by_sequences(upstream.bound, upstream.gets_single_items)
        self._gathers = downstream.args[0] if downstream.function is batch else 0
        self._rest: Iterator[Any] = iter(())
        self._most, self._ns_per_item, self._passed_ns = 1, 0.0, 0
        is_container = upstream.bound.function is iter and type(upstream.bound.args[0]) in CONTAINERS
        may = self._by_sequences is not None or self._gathers or (is_container and looks_ahead)
        self._by_pieces = bool(may) and not watched

    @property
    def by_items(self) -> bool:
        """Whether each item is passed alone."""
        return not self._by_pieces

    @property
    def delivered(self) -> int:
        """The number of items that the next stage has got."""
        return self._total - length_hint(self._cursor)

    def part(self) -> int:
        """Nothing here comes twice, so that nobody asks which item it is."""
        return 0

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.chunks()) if self._by_pieces else self._items()

    @runs_stages(lambda link: link._upstream.assignment.current_worker())  # noqa: SLF001
    def _items(self) -> Iterator[Any]:
        sent, received = self._rows
        try:
            if self._started is None:
                self._started = iter(self._upstream.start())
            upstream, current, watched, leaves_out = self._upstream, self._current, self._watched, self._leaves_out
            for item in self._started:
                # In one thread, no channel tells the stages that the run was cancelled.
                if upstream.was_woken:
                    self._outcome = Interrupted()
                    break
                current.append(item)
                total = self._total = self._total + 1
                # It counts as finished now, because the stage may return without another request.
                sent[Cell.SENT] = received[Cell.RECEIVED] = received[Cell.FINISHED] = total
                if watched:
                    received[Cell.SINCE] = time.monotonic_ns()
                # Delete it, so that a waiting stage does not keep the previous item alive.
                del item
                if leaves_out:
                    self._count()
                yield current[0]
                if leaves_out:
                    self._count()
                current.clear()
            self._outcome = self._outcome or self._upstream.check_returned()
        except GeneratorExit:
            raise
        except BaseException as error:
            self._outcome = self._upstream.explain(error)
        if self._outcome is not None:
            self._cancel()
        self.ended = True

    def _cancel(self) -> None:
        self.cancelled = True
        raise Cancelled("the stage before has failed")

    def _count(self) -> None:
        row = self._rows[1]
        row[Cell.FINISHED] = self.delivered - row[Cell.SKIPPED] - row[Cell.DEAD]

    def settle(self) -> None:
        """The next stage has ended. What it has not requested of a piece does not count."""
        sent, received = self._rows
        sent[Cell.SENT] = received[Cell.RECEIVED] = self.delivered
        self._count()

    def chunks(self) -> Iterator[Iterable[Any]]:
        """Yield iterables of all items. Exceptions are raised here, never by the iterables."""
        if not self._by_pieces:
            for item in self._items():
                yield (item,)
                # Delete it for the same reason as in `_items`.
                del item
            return
        while length_hint(self._cursor) or self._next_piece():
            yield self._cursor

    @runs_stages(lambda link: link._upstream.assignment.current_worker())  # noqa: SLF001
    def _next_piece(self) -> bool:
        """Get the next piece. False at the end. Raises Cancelled."""
        if self.ended:
            return False
        self._settle_piece()
        try:
            if self._started is None:
                self._started = self._sequences()
            self._current = self._piece(self._started)
            if self._upstream.was_woken:
                self._outcome = Interrupted()
            elif not self._current:
                self._outcome = self._upstream.check_returned()
        except BaseException as error:
            self._outcome = self._upstream.explain(error)
        if self._outcome is not None:
            self._cancel()
        if not self._current:
            self.ended = True
            return False
        sent, received = self._rows
        received[Cell.FIRST] = self._total
        self._total += len(self._current)
        self._cursor = iter(self._current)
        sent[Cell.SENT] = received[Cell.RECEIVED] = self._total
        return True

    def _settle_piece(self) -> None:
        """The last piece is used up: drop it, and decide about the size of the next one."""
        now = time.monotonic_ns()
        if self._current:
            self._count()
            self._ns_per_item = next_service_ns(self._ns_per_item, now - self._passed_ns, len(self._current))
            self._most = next_hint(self._most, self._ns_per_item)
            self._current = []
        self._passed_ns = now

    def _sequences(self) -> Iterator[Iterable[Any]]:
        if self._by_sequences is not None:
            return self._upstream.start_by_sequences(self._by_sequences)
        # `_piece` asks once more behind the end.
        return iter((ending(self._upstream.start()),))

    def _piece(self, sequences: Iterator[Iterable[Any]]) -> list[Any]:
        """The next items; none at the end."""
        while True:
            # What a batch does not need yet may be late, and would be kept here.
            most = min(self._most, self._gathers - self._total % self._gathers) if self._gathers else self._most
            if found := list(islice(self._rest, most)):
                return found
            following = next(sequences, None)
            if following is None:
                return []
            self._rest = iter(following)

    def more(self) -> bool:
        """Whether one more item comes. Raises Cancelled."""
        for _ in self:
            return True
        return False

    def current_item(self) -> tuple[int, int, str] | None:
        """The last item, until the next one is requested. Behind element-wise stages, the original item."""
        position = len(self._current) - length_hint(self._cursor) - 1
        if position < 0:
            return None
        origin, index = self._upstream.made_of() or (0, self.delivered - 1)
        return origin, index, short_repr(self._current[position])

    def reason(self, stage: StageRun) -> Outcome | None:
        """The outcome of the previous stage, if it failed."""
        return self._outcome

    def wait(self, seconds: float) -> bool:
        """Return True: the previous stage runs only when an item is requested, so there is nothing to wait for."""
        return True
