"""Takes numbers from an iterator at the speed of C, while many of them come at once.

Numbers cannot change, so nothing happens to each of them but that it is appended. C does that, until the pending items
are sent: then it stops after one more, so that the flusher learns of it as of every first item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from ..pickling.sizes import SCALARS

__all__ = ["IN_A_ROW", "take_numbers"]

# Numbers that come one after another before this pays.
IN_A_ROW = 16
# The most that are taken before a look at how many there are.
MOST_AT_ONCE = 256
# It has no items, so that `next(NO_ITEM, item)` returns the item, without a call of Python.
NO_ITEM: Iterator[Any] = iter(())


def take_numbers(
    items: Iterator[Any],
    pending: list[Any],
    places: list[Any],
    frame_items: Callable[[], int],
    flush: Callable[[], object],
    first_pending: Callable[[], object],
) -> tuple[Any, ...]:
    """Append the numbers that come next. Returns the first item that is none; nothing if `items` has ended.

    places: one for each number that may still be appended. Whoever takes items out of `pending` clears it afterwards.
    frame_items, flush, first_pending: as in `Output`. Raises what they raise, and what `items` raises.
    """
    # It takes no item of another type, nor lets `items` go on, before the group is finished.
    for kind, group in groupby(items, type):
        if kind not in SCALARS:
            return (next(group),)
        for number in group:
            limit = frame_items()
            # Before the append: if the number is sent at once, the places are cleared.
            places[:] = [NO_ITEM] * min(limit - len(pending) - 1, MOST_AT_ONCE)
            pending.append(number)
            if len(pending) == 1 and places:
                first_pending()
            # For each number, `map` first looks for a place.
            pending.extend(map(next, places, group))  # noqa: B031  # the loop and `map` take turns
            if len(pending) >= limit:
                flush()
            elif not places and pending:
                # The others were sent meanwhile, and the flusher does not know of a later one. It goes on here:
                # `groupby` has taken the next item of another type already, if there is one.
                first_pending()
    return ()
