"""Where workers wait whose items are put in order further on: how far ahead of the next one they may send.

    origin ──► [gate] ──► first stage ──► [gate] ──► ... ──► reorder point (ReorderBuffer)
                 ▲                          ▲                      │
                 └──────────────────────────┴── limit, on the board: item numbers below it may be sent
                                                wake-ups: one counter in the kernel per waiting worker

Only the origin and the first stage behind it wait here. Both meet items in the order of their numbers, so the item that
is next in turn is never behind one that waits. A later stage may meet it last, and must not wait; its input is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..ipc.board import Board, Cell
from ..ipc.counters import Counter, counter
from ..ipc.descriptors import Descriptor
from .credits import Credits
from .flow import first_window, next_window
from .frames import Span

__all__ = ["Gate", "Gates", "Limit"]

# More than anybody takes.
FLOOD = 1 << 32


class Gate:
    """One worker's side. `open` first; then for one thread at a time.

    row: the worker's, on the board. limit: the row of the worker that puts the items in order.
    """

    credits: Sequence[Credits] = ()

    def __init__(self, wake: Counter, row: int, limit: int) -> None:
        self._wake = wake
        self._rows = (row, limit)
        self._own = self._there = memoryview(b"")

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return self._wake.descriptors

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses it."""
        self._own, self._there = map(board.row, self._rows)

    def may_send(self, span: Span) -> bool:
        """Whether a frame may be sent; if not, `wait` ends once it may be.

        The parts of an item that is made in parts may be as large as many items, so only those of the next one are sent
        while much is held.
        """
        number, cell = span.position[0], Cell.LIMIT_OF_PARTS if span.prefix else Cell.LIMIT
        if number < self._there[cell]:
            return True
        # In this order: what wakes it from here on stays there until it waits, even if the limit has gone down again.
        # And who moves the limit looks afterwards for those that wait: so one of the two sees the other.
        with suppress(BlockingIOError):
            self._wake.take()
        self._own[Cell.WAITS_FOR] = 2 * (number + 1) + bool(span.prefix)
        may = number < self._there[cell]
        if may:
            self._own[Cell.WAITS_FOR] = 0
        return may

    def wait(self) -> None:
        """Wait until the limit may have moved. Who waits must look at the cancel flag before and afterwards."""
        self._wake.wait()

    def close(self) -> None:
        """Close these descriptors of the counter."""
        self._wake.close()

    def __getstate__(self) -> tuple[Counter, int, int]:
        return self._wake, *self._rows

    def __setstate__(self, state: tuple[Counter, int, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # as it was before it was opened


class Limit:
    """The side of the worker that puts items in order: it moves the limit, and wakes those for whom that is enough.

    row: the worker's own. waiting: rows and counters of those that may wait. least: so many items may be ahead of the
    next one, however large they are.
    """

    is_exact = False

    def __init__(self, row: int, waiting: Sequence[tuple[int, Counter]], least: int) -> None:
        self._row = row
        self._waiting = waiting
        self._least = least
        self._own = memoryview(b"")
        self._others: Sequence[tuple[memoryview, Counter]] = ()

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return [descriptor for _, wake in self._waiting for descriptor in wake.descriptors]

    def open(self, board: Board) -> None:
        """Get ready, in the worker that uses it."""
        self._own = board.row(self._row)
        self._others = [(board.row(row), wake) for row, wake in self._waiting]

    def move(self, passed: int, held: int, each: float, arrived: int) -> None:
        """All items below `passed` have had their turn.

        held: bytes of what waits for its turn. each: bytes of what was made of one item, lately. arrived: how many
        items have come here so far.
        """
        room = next_window(held, each, self._least)
        window = min(room, first_window(arrived, self._least))
        limit = passed + window
        limit_of_parts = limit if room > self._least else passed + 1
        self._own[Cell.LIMIT], self._own[Cell.LIMIT_OF_PARTS] = limit, limit_of_parts
        # Seldom: to wake a worker costs a system call here, and one there.
        enough = max(passed + self._least, limit - window // 8)
        for row, wake in self._others:
            waits_for, is_part = divmod(row[Cell.WAITS_FOR], 2)
            if waits_for and waits_for - 1 < (limit_of_parts if is_part else enough):
                # First: it may wait again as soon as it is woken.
                row[Cell.WAITS_FOR] = 0
                wake.give(1)

    def close(self) -> None:
        """Close these descriptors of the counters."""
        for _, wake in self._waiting:
            wake.close()

    def __getstate__(self) -> tuple[int, Sequence[tuple[int, Counter]], int]:
        return self._row, self._waiting, self._least

    def __setstate__(self, state: tuple[int, Sequence[tuple[int, Counter]], int]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # as it was before it was opened


class Gates:
    """The main process's hold on the gates of one reorder point.

    row: of the worker that puts the items in order. rows: of those that may wait.
    """

    is_exact = False

    def __init__(self, row: int, rows: Sequence[int], least: int) -> None:
        self._row = row
        self._least = least
        self._wakes = {each: counter(0, one_by_one=False) for each in rows}

    def begin(self, board: Board) -> None:
        """Nothing has come so far."""
        row = board.row(self._row)
        row[Cell.LIMIT] = row[Cell.LIMIT_OF_PARTS] = first_window(0, self._least)

    def sending(self, row: int) -> Gate | None:
        """The gate of a worker, by its row; None if it has none."""
        return Gate(self._wakes[row].dup(), row, self._row) if row in self._wakes else None

    def returning(self) -> Limit:
        """The other side of all of them."""
        return Limit(self._row, [(row, wake.dup()) for row, wake in self._wakes.items()], self._least)

    def flood(self) -> None:
        """Wake whoever waits, for good: the run is cancelled."""
        for wake in self._wakes.values():
            wake.give(FLOOD)

    def close(self) -> None:
        """Close these descriptors of the counters."""
        for wake in self._wakes.values():
            wake.close()
