"""An element-wise stage while it runs: its function, item by item or by whole frames, and its policy."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, repeat
from operator import length_hint
from typing import Any

from ..errors import Cancelled, DeadItem, Failure
from ..ipc.board import Cell
from ..lazy_dataclass import dataclass
from ..messages import failure_texts
from ..messages.call_stacks import user_traceback
from ..messages.item_repr import short_repr
from ..plan.operators import STOPPED, Each, Operator
from ..policies import Action, Raise, decide
from ..transport.flow import FLUSH_NS
from ..transport.frames import Frame
from .input import Input
from .outcome import Failed, Outcome
from .output import Output
from .stage_run import Assignment, Blamed, ItemSource, StageRun

__all__ = ["Condemned", "OperatorRun", "Tools"]

LATEST = 5  # failures that are listed when there have been too many
# Items between two looks at the clock and at the size of results: so many at most wait for a slow one among them, and
# so many may be large, before it is seen that they are. A look takes as long as ten ints, or two dicts.
MOST_AT_ONCE = 64
MOST_SCALARS = 256
TOO_MUCH_NS = 50_000  # that long between two looks at the clock is too long


@dataclass(frozen=True, slots=True)
class Tools:
    """What an element-wise stage needs besides its function.

    rows: of all workers of the stage, on the board. pause: waits for so many seconds, or raises Cancelled.
    bury: takes a dead letter to the main process.
    """

    rows: Sequence[memoryview]
    pause: Callable[[float], None]
    bury: Callable[[DeadItem], object]


@dataclass(frozen=True, slots=True)
class Condemned:
    """An item that has cost a predecessor: what to tell the policy instead of calling the function again.

    tries: how many calls it has cost.
    """

    error: Exception
    tries: int


class OperatorRun(StageRun):
    """An element-wise stage while it runs: calls its function for each item, and applies its policy."""

    def __init__(
        self,
        assignment: Assignment,
        bound: Operator[Any, Any],
        source: ItemSource,
        row: memoryview,
        is_over: Callable[[], bool],
        tools: Tools,
    ) -> None:
        super().__init__(assignment, bound, source, row, is_over)
        self.operator = bound
        self._source = source
        self._tools = tools
        self._latest: deque[str] = deque(maxlen=LATEST)
        self._culprit: tuple[int, int, str] | None = None
        self._frame: Frame | None = None  # that `forward` has in hand
        # Raises what sending results would raise, where the policy is to decide about that as well.
        self.check: Callable[[Iterable[Any]], None] | None = None

    @property
    def tolerates(self) -> bool:
        """Whether a failure need not end the run."""
        return not isinstance(self.operator.policy, Raise)

    def start(self) -> Any:
        """Its results, one by one; `each` has none, and is over when this returns."""
        self._result = self._results()
        if isinstance(self.operator, Each):
            for _ in self._result:
                pass
            return None
        return self._result

    def _results(self) -> Generator[Any, None, None]:
        for item in self._source:
            results = self._of(item)
            yield from results
            del item, results

    def _of(self, item: Any, condemned: Condemned | None = None, place: tuple[int, int] | None = None) -> Iterable[Any]:
        """What comes of an item, by the policy if the function raises. Raises what the policy does not cover.

        condemned: what it has raised last, and how many calls have failed, if it has been called before. place: its
        origin and number, if it is not the one that was given last.
        """
        error = condemned.error if condemned is not None else None
        tries = condemned.tries if condemned is not None else 0
        while True:
            if error is not None:
                origin, index = place or (self.in_hand() or (0, 0))[:2]
                pause = self.settle(error, tries, (origin, index, item))
                if pause is None:
                    return ()
                self.row[Cell.ITEM], called = 0, self.row[Cell.ITEM]  # no time of the call is spent meanwhile
                self._tools.pause(pause)
                self.row[Cell.SINCE], self.row[Cell.ITEM] = time.monotonic_ns(), called
            try:
                results = self.operator.results(item)
                return results if self.check is None else self._checked(results)
            except StopIteration:
                error = RuntimeError(STOPPED)
            except Exception as raised:
                error = raised
            tries += 1

    def _checked(self, results: Iterable[Any]) -> Iterable[Any]:
        assert self.check is not None
        results = tuple(results)
        self.check(results)
        return results

    def forward(self, worker_input: Input, output: Output) -> None:
        """The same, frame by frame: straight from its input to the worker's output."""
        most = 1
        check, self.check = self.check, None  # results are seen to be wrong as their frame leaves, which costs nothing
        if check is not None:
            output.instead = self._instead
        for frame, items in worker_input.frames():
            self._frame = frame
            if check is not None and frame.numbers is not None and len(set(frame.numbers)) < len(frame.entries):
                self.check = check  # at once: its number would not tell which of several items it was
                output.skip()
                for position, item in enumerate(items):
                    output.extend(tuple(self._of(item)), partial(repeat, frame.numbers[position]))
                    output.flush_full()
                self.check = None
            else:
                most = self._forward(frame, items, output, most)

    def _forward(self, frame: Frame, items: Iterator[Any], output: Output, most: int) -> int:
        """Deal with one frame; returns how many items may go between two looks at the clock."""
        entries, operator = frame.entries, self.operator
        numbers: Sequence[int] = frame.numbers or range(frame.span.start, frame.span.start + len(entries))
        spelled = frame.numbers is not None or operator.drops
        if spelled:
            output.skip()
        opened = began = time.monotonic_ns()
        while left := length_hint(items):
            at = len(entries) - left
            ahead = entries[at : at + most]
            try:
                operator.advance(items, ahead, numbers[at : at + most] if spelled else None, output)
            except Exception as error:
                failed: Exception | None = error
            else:
                failed = None
            if failed is not None:
                at = len(entries) - length_hint(items) - 1
                made = list(self._of(entries[at], Condemned(failed, 1)))
                if not made and not spelled:
                    spelled = True
                    output.skip()
                output.extend(made, partial(repeat, numbers[at]) if spelled else None)
            at_once = MOST_SCALARS if output.holds_scalars else MOST_AT_ONCE
            output.flush_full()
            now = time.monotonic_ns()
            most = max(most // 4, 1) if now - began > TOO_MUCH_NS else min(most * 2, at_once)
            began = now
            if now - opened > FLUSH_NS:
                output.flush()
                opened = now
        return most

    def _instead(self, number: int, error: Exception, tries: int) -> Sequence[Any]:
        """What to send of an item whose result cannot be pickled, as is seen only as its frame leaves."""
        frame = self._frame
        assert frame is not None
        position = number - frame.span.start if frame.numbers is None else bisect_left(frame.numbers, number)
        place = frame.span.origin, frame.item_index(position)
        try:
            return tuple(self._of(frame.entries[position], Condemned(error, tries), place))
        except Exception as raised:
            raise Unsent from raised

    def guard(self, worker_input: Input, output: Output | None, condemned: Mapping[int, Condemned]) -> None:
        """The same, where a successor may have to go on: item by item, each marked before its call.

        What was made leaves between two items of different numbers, so that no item is ever sent in part.
        condemned: of the frame in hand, by position.
        """
        row = self.row
        for frame, items in worker_input.frames():
            begin = worker_input.marked
            if begin and output is not None:  # what has left must not be said to have come to nothing
                rest = frame.number(begin) if begin < len(frame.entries) else frame.span.stop
                output.open_span(frame.span._replace(start=rest), distinct=False)
            opened, buried = time.monotonic_ns(), row[Cell.DEAD]
            for position, item in enumerate(islice(items, begin, None), begin):
                number = frame.number(position)
                row[Cell.INDEX], row[Cell.SINCE] = frame.item_index(position), time.monotonic_ns()
                row[Cell.ITEM] = position + 1
                made = tuple(self._of(item, condemned.get(position)))
                row[Cell.ITEM] = 0
                if output is not None:
                    output.extend(made, partial(repeat, number))
                is_last = position + 1 == len(frame.entries)
                is_due = (output is not None and output.is_full) or time.monotonic_ns() - opened > FLUSH_NS
                is_due = is_due or row[Cell.DEAD] != buried  # a successor would put it aside once more
                if not is_last and is_due and frame.number(position + 1) != number:
                    if output is not None:
                        output.flush_below(frame.number(position + 1))
                    worker_input.put_position(position + 1)
                    opened, buried = time.monotonic_ns(), row[Cell.DEAD]
                del item
            condemned = {}

    def settle(
        self, error: Exception, tries: int, hand: tuple[int, int, Any], failure: Failure | None = None
    ) -> float | None:
        """Apply the policy: the seconds to wait before another try, or None if the item is left out.

        hand: origin and number of the item, and the item. failure: the record of this error, if there is one already.
        Raises Blamed, and the error that no policy covers.
        """
        origin, index, item = hand
        try:
            verdict = decide(self.operator.policy, error, tries)
        except Exception:
            self._culprit = (origin, index, short_repr(item))
            raise
        if verdict.action is Action.RETRY:
            self.row[Cell.RETRIED] += 1
            return verdict.pause
        if verdict.action is Action.RAISE:
            if failure is not None:
                raise Blamed(Failed(failure))
            self._culprit = (origin, index, short_repr(item))
            raise error
        buried = verdict.action is Action.DEAD_LETTER
        cell = Cell.DEAD if buried else Cell.SKIPPED
        self.row[cell] += 1
        self._latest.append(f"item {index}: {type(error).__name__}: {error}")
        if verdict.limit is not None and sum(row[cell] for row in self._tools.rows) > verdict.limit:
            failure = failure_texts.too_many(self.assignment.who, os.getpid(), verdict.limit, tuple(self._latest))
            raise Blamed(Failed(failure)) from error
        if buried:
            letter = DeadItem(self.assignment.who.stage, index, item, error, user_traceback(error))
            try:
                self._tools.bury(letter)
            except OSError as refused:
                what = "put a dead letter aside"
                failure = failure_texts.channel_failed(self.assignment.who, os.getpid(), refused, what)
                raise Blamed(Failed(failure, refused)) from refused
        return None

    def too_late(self, stack: str, hand: tuple[int, int, Any]) -> Failure:
        """The record of a call that took too long. stack: where it was, as text."""
        item = self.item(*hand[:2], short_repr(hand[2]))
        return failure_texts.timed_out(self.assignment.who, os.getpid(), item, self.operator.timeout or 0.0, stack)

    def made_of(self) -> tuple[int, int] | None:
        """The item that it was given last."""
        hand = self.in_hand()
        return hand[:2] if hand else None

    def in_hand(self) -> tuple[int, int, str] | None:
        """As for every stage; where many items are in hand, the one on which it failed."""
        return self._culprit or super().in_hand()

    def explain(self, error: BaseException) -> Outcome:
        """As for every stage, also of what a policy has not covered as the results were sent."""
        if isinstance(error, Unsent) and error.__cause__ is not None:
            error = error.__cause__
        return error.failed if isinstance(error, Blamed) else super().explain(error)

    def _is_induced(self, error: BaseException) -> bool:
        """Its function never meets its input, which a thread of its own may read: it has failed by itself."""
        return isinstance(error, Cancelled) and super()._is_induced(error)


class Unsent(Exception):
    """What a policy has not covered, on its way through the output, which would take an OSError for its own."""
