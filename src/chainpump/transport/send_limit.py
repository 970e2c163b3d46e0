"""The limit of sending ahead: how far ahead of the next item in order a worker may send.

    origin ──► [gate] ──► first stage ──► [gate] ──► ... ──► reorder point (ReorderBuffer)
                 ▲                          ▲                      │
                 └──────────────────────────┴── limit, on the board: item numbers below it may be sent
                                                wake-ups: one counter in the kernel per waiting worker

Only the origin and the first stage behind it wait here. Both process items in the order of their numbers, so the next
item in order is never behind a waiting one. A later stage may receive that item last, so it must not wait. The bound on
its input is enough. If lost work is done again on other machines, the first stage, too, may receive the next item last:
then only the origin waits.
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

# More than the waiting workers can take.
WAKE_ALL = 1 << 32


class Gate:
    """The side of one worker that sends. `open` must be called first. Then one thread at a time may use it.

    row: the board row of the worker. limit: the board row of the worker that restores the order.
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
        """Prepare it in the worker that uses it."""
        self._own, self._there = map(board.row, self._rows)

    def may_send(self, span: Span) -> bool:
        """Whether a frame may be sent. If not, `wait` ends when it may be sent.

        If an item is sent in parts, its parts may be as large as many items. So while the reorder buffer holds many
        bytes, only the parts of the next item may be sent.
        """
        number, cell = span.position[0], Cell.LIMIT_OF_PARTS if span.prefix else Cell.LIMIT
        if number < self._there[cell]:
            return True
        # The order of these steps matters. First old wake-ups are removed. A later wake-up stays in the counter until
        # this worker waits, even if the limit goes down again. The other worker moves the limit first and looks for
        # waiting workers afterwards. So one of the two always notices the other.
        with suppress(BlockingIOError):
            self._wake.take()
        self._own[Cell.WAITS_FOR] = 2 * (number + 1) + bool(span.prefix)
        may = number < self._there[cell]
        if may:
            self._own[Cell.WAITS_FOR] = 0
        return may

    def wait(self) -> None:
        """Wait until the limit may have moved. The caller must check the cancel flag before and afterwards."""
        self._wake.wait()

    def close(self) -> None:
        """Close these descriptors of the counter."""
        self._wake.close()

    def __getstate__(self) -> tuple[Counter, int, int]:
        return self._wake, *self._rows

    def __setstate__(self, state: tuple[Counter, int, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # as it was before it was opened


class Limit:
    """The side of the worker that restores the order: it moves the limit and wakes the workers that may send again.

    row: the worker's own row. waiting: the rows and counters of the workers that may wait. least: this many items may
    always be ahead of the next one, for items of any size.
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
        """Prepare it in the worker that uses it."""
        self._own = board.row(self._row)
        self._others = [(board.row(row), wake) for row, wake in self._waiting]

    def resume(self, passed: int) -> None:
        """Do nothing: the limit is on the board."""

    def hold(self, below: int) -> None:
        """Give no more room, but let all items below this number be sent."""
        limit = max(self._own[Cell.LIMIT], below)
        self._set(limit, below, enough=limit)

    def move(self, passed: int, held: int, each: float, arrived: int) -> None:
        """All items below `passed` have passed in order.

        held: bytes of the frames that wait for earlier ones. each: recent average of the bytes of one item's results.
        arrived: the number of items that have arrived so far.
        """
        room = next_window(held, each, self._least)
        window = min(room, first_window(arrived, self._least))
        limit = passed + window
        limit_of_parts = limit if room > self._least else passed + 1
        # Wake workers rarely: each wake-up costs a system call in both workers.
        self._set(limit, limit_of_parts, enough=max(passed + self._least, limit - window // 8))

    def wake(self) -> None:
        """Wake the workers that may send by the limits that are on the board, because another machine has set them."""
        self._wake(self._own[Cell.LIMIT], self._own[Cell.LIMIT_OF_PARTS])

    def _set(self, limit: int, limit_of_parts: int, enough: int) -> None:
        """Set the limits, and wake the workers that wait for a number below them, but not below `enough`."""
        self._own[Cell.LIMIT], self._own[Cell.LIMIT_OF_PARTS] = limit, limit_of_parts
        self._wake(enough, limit_of_parts)

    def _wake(self, enough: int, limit_of_parts: int) -> None:
        for row, wake in self._others:
            waits_for, is_part = divmod(row[Cell.WAITS_FOR], 2)
            if waits_for and waits_for - 1 < (limit_of_parts if is_part else enough):
                # Clear the cell first: the worker may wait again as soon as it is woken.
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
    """The main process's side of the gates in front of one reorder buffer.

    row: the row of the worker that restores the order. rows: the rows of the workers that may wait.
    """

    is_exact = False

    def __init__(self, row: int, rows: Sequence[int], least: int) -> None:
        self._row = row
        self._least = least
        self._wakes = {each: counter(0, one_by_one=False) for each in rows}

    def begin(self, board: Board) -> None:
        """Write the first limit to the board: no item has arrived yet."""
        row = board.row(self._row)
        row[Cell.LIMIT] = row[Cell.LIMIT_OF_PARTS] = first_window(0, self._least)

    def sending(self, row: int) -> Gate | None:
        """The gate of a worker, by its row. None if it has none."""
        return Gate(self._wakes[row].dup(), row, self._row) if row in self._wakes else None

    def returning(self) -> Limit:
        """The side that moves the limit for all gates."""
        return Limit(self._row, [(row, wake.dup()) for row, wake in self._wakes.items()], self._least)

    def wake_all(self) -> None:
        """Wake all waiting workers permanently: the run is cancelled."""
        for wake in self._wakes.values():
            wake.give(WAKE_ALL)

    def close(self) -> None:
        """Close these descriptors of the counters."""
        for wake in self._wakes.values():
            wake.close()
