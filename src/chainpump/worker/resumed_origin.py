"""An origin that goes on: a source or a generator stage whose items that are done are dropped before later stages."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from types import AsyncGeneratorType
from typing import Any

from ..durable.notes import Notes
from ..durable.ranges import Ranges
from ..durable.samples import Sampler
from ..errors import Cancelled
from ..ipc.board import Cell
from ..ipc.wait_times import Wait
from ..plan.bound import Bound
from ..transport.allowance import Allowance
from .entries import ending, in_parts
from .limited_items import limited
from .sampled_items import sampled
from .stage_run import ItemSource, StageRun
from .work import Assignment

__all__ = ["ResumedOrigin", "without"]


class ResumedOrigin(StageRun):
    """A running source or generator stage of which some items are left out. The worker numbers the others, from 0 on.

    It makes the items that are left out once more: its function is the same as in the first attempt.
    note: takes what the journal is told. allowance: bounds its items; None if nothing does.
    """

    def __init__(
        self,
        assignment: Assignment,
        bound: Bound,
        source: ItemSource | None,
        row: memoryview,
        is_over: Callable[[], bool],
        note: Callable[[Notes], object],
        allowance: Allowance | None,
    ) -> None:
        super().__init__(assignment, bound, source, row, is_over)
        self._note = note
        self._allowance = allowance
        goes_on = assignment.goes_on
        self._sampler = (
            None
            if goes_on.samples is None
            else Sampler(goes_on.samples, max(goes_on.left_out.end, goes_on.stop or 0), note)
        )

    def start(self) -> Any:
        """Call the function. Returns its items without those that are done.

        Iterating raises JournalError if they are not those of the earlier attempts.
        """
        goes_on = self.assignment.goes_on
        items = super().start()
        if self._sampler is not None:
            items = sampled(items, self._sampler, goes_on.first)
        if goes_on.stop is not None:
            items = first_of(items, goes_on.stop - goes_on.first)
        if goes_on.left_out:
            items = without(items, goes_on.left_out, goes_on.first)
        return items if self._allowance is None else limited(items, partial(self._beyond, self._allowance))

    def _beyond(self, allowance: Allowance, number: int) -> int:
        """Wait until the item of this number of the run may be sent. Returns the limit. Raises Cancelled."""
        while (limit := allowance.limit) <= number:
            allowance.forget_wakeups()
            if self._is_over():
                raise Cancelled("the run was cancelled")
            if allowance.limit <= number:
                self._note(Notes(waits=True))
                with Wait(self.row, Cell.BLOCKED):
                    allowance.wait()
        return limit

    def close(self) -> None:
        """Close its generator, and pass on what was seen of its items."""
        if self._sampler is not None:
            self._sampler.tell()
        super().close()


def first_of(items: Any, count: int) -> Any:
    """The first items. Any: they may be asynchronous.

    >>> list(first_of("abc", 2))
    ['a', 'b']
    """
    if isinstance(items, AsyncIterable):
        return _async_first_of(items, count)
    return in_parts(items, [islice(items, count)])


async def _async_first_of(items: AsyncIterable[Any], count: int) -> AsyncIterator[Any]:
    try:
        if count:
            async for item in items:
                yield item
                count -= 1
                if not count:
                    break
    finally:
        if isinstance(items, AsyncGeneratorType):
            await items.aclose()


def without(items: Any, left_out: Ranges, first: int = 0) -> Any:
    """The items whose numbers are not left out. first: the number of the first one. Any: they may be asynchronous.

    >>> list(without("abcdef", Ranges([(0, 2), (3, 4)])))
    ['c', 'e', 'f']
    >>> list(without("bcdef", Ranges([(0, 2), (3, 4)]), 1))
    ['c', 'e', 'f']
    """
    if isinstance(items, AsyncIterable):
        return _async_without(items, left_out, first)
    return in_parts(items, _parts(ending(items), left_out, first))


def _parts(items: Iterator[Any], left_out: Ranges, number: int) -> Iterator[Iterable[Any]]:
    """Iterables of what is not left out. They and the drops run at the speed of C."""
    for start, stop in left_out:
        if start > number:
            yield islice(items, start - number)
            number = start
        if stop > number:
            # Without a result, `islice` consumes all that is before its start.
            next(islice(items, stop - number, stop - number), None)
            number = stop
    yield items


async def _async_without(items: AsyncIterable[Any], left_out: Ranges, number: int) -> AsyncIterator[Any]:
    try:
        async for item in items:
            if number not in left_out:
                yield item
            number += 1
    finally:
        if isinstance(items, AsyncGeneratorType):
            await items.aclose()
