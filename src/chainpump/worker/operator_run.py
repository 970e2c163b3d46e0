"""A running element-wise stage: it calls the function for items or whole frames, and applies the policy."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import islice, repeat
from operator import length_hint
from typing import Any, TypeAlias

from ..errors import Cancelled, Failure
from ..ipc.board import Cell
from ..lazy_dataclass import dataclass, field, replace
from ..messages import item_texts
from ..messages.item_repr import short_repr
from ..plan.batches import parts_of
from ..plan.operators import STOPPED, Each, Operator
from ..policies import Action, Raise, decide
from ..transport.flow import FLUSH_NS
from ..transport.frames import Frame
from .input import Input
from .left_out import FailedItem, LeftOut, Tools
from .outcome import Failed, Outcome
from .output import Output
from .stage_run import ItemSource, StageFailed, StageRun
from .work import Assignment

__all__ = ["Condemned", "Left", "OperatorRun"]

# Items between two checks of the clock and of the results' size. One check takes as long as ten ints or two dicts.
# Until the next check, at most so many results wait for a slow one, or turn out to be large.
MOST_AT_ONCE = 64
MOST_SCALARS = 256
# If more time passes between two checks, the number of items is reduced.
TOO_MUCH_NS = 50_000


@dataclass(frozen=True, slots=True)
class Condemned:
    """An item that ended a predecessor. The policy gets this error, and the function is not called again.

    tries: the number of calls that it has cost. parts: the same for single items of a batch, by their position in it.
    error: None if only parts of it have ended a predecessor.
    """

    error: Exception | None
    tries: int
    parts: Mapping[int, Condemned] = field(default_factory=dict)


class Left(Enum):
    """What the policy makes of an item for which the function is not called again."""

    OUT = "left out"
    # The function is called for each of its items alone.
    SPLIT = "split"


# An item of a batch that is split: the item, which of the batches with its number it is in, and its position there.
PartOf: TypeAlias = tuple[Any, int, int]


class OperatorRun(StageRun):
    """A running element-wise stage: it calls its function for each item and applies its policy."""

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
        self._left_out = LeftOut(assignment, row, tools)
        self._failed_item: tuple[int, int, str] | None = None
        # The frame that `forward` is processing.
        self._frame: Frame | None = None
        # Raises the error that sending the results would raise, if the policy has to decide about it.
        self.check: Callable[[Iterable[Any]], None] | None = None
        # The same for the items of a batch that is split, also while whole frames are checked.
        self._check_parts: Callable[[Iterable[Any]], None] | None = None

    @property
    def tolerates(self) -> bool:
        """Whether the run may continue after a failure."""
        return not isinstance(self.operator.policy, Raise)

    def use(self, function: Callable[..., Any]) -> None:
        """Call this function for each item, in place of the factory that has made it."""
        self.bound = self.operator = replace(self.operator, function=function)

    def start(self) -> Any:
        """Yield the results one by one. `each` has no results and is finished when this call returns."""
        self._result = self._results()
        if isinstance(self.operator, Each):
            for _ in self._result:
                self._left_out.wait_until_taken()
            return None
        return self._result

    def _results(self) -> Generator[Any, None, None]:
        for item in self._source:
            results = self._of(item)
            yield from results
            del item, results

    def _of(
        self,
        item: Any,
        condemned: Condemned | None = None,
        item_id: tuple[int, int] | None = None,
        part_of: PartOf | None = None,
    ) -> Iterable[Any]:
        """Return the results of an item. If the function raises, the policy decides. Raises what the policy does not
        cover.

        condemned: the last error of earlier calls and their number, if there were any. item_id: origin and number of
        the item, if it is not the last one that was received. It is the only one with this number then. part_of: the
        item is a batch of one item of a batch that is split.
        """
        error = condemned.error if condemned is not None else None
        tries = condemned.tries if condemned is not None else 0
        while True:
            if error is not None:
                origin, index = item_id or (self.current_item() or (0, 0))[:2]
                own, part, position = part_of or (item, self._source.part() if item_id is None else 0, None)
                left = self.settle(error, tries, (origin, index, own), part=part, position=position)
                if left is Left.SPLIT:
                    return self._split(item, (origin, index), part, condemned.parts if condemned is not None else {})
                if isinstance(left, Left):
                    return ()
                self._pause(left)
            try:
                results = self.operator.results(item)
                return results if self.check is None else _checked(results, self.check)
            except StopIteration:
                error = RuntimeError(STOPPED)
            except Exception as raised:
                error = raised
            tries += 1

    def _split(
        self, batch: Any, item_id: tuple[int, int], part: int, condemned: Mapping[int, Condemned]
    ) -> Sequence[Any]:
        """Call the function for each item of a batch alone. Returns one batch of the results; who fails has none."""
        results: list[Any] = []
        check, self.check = self.check, self.check or self._check_parts
        try:
            with self._left_out.held():
                for position, (alone, item) in enumerate(parts_of(batch) or ()):
                    if self._is_over():
                        raise Cancelled("the run was cancelled")
                    if self.row[Cell.ITEM]:
                        self.row[Cell.PART], self.row[Cell.SINCE] = position + 1, time.monotonic_ns()
                    results += self._of(alone, condemned.get(position), item_id, (item, part, position))
        finally:
            self.check = check
            self.row[Cell.PART] = 0
        return tuple(self.operator.rejoined(results))

    def _pause(self, seconds: float) -> None:
        # The pause does not count as time of the call.
        self.row[Cell.ITEM], called = 0, self.row[Cell.ITEM]
        self._tools.pause(seconds)
        self.row[Cell.SINCE], self.row[Cell.ITEM] = time.monotonic_ns(), called

    def forward(self, worker_input: Input, output: Output) -> None:
        """Process whole frames: from the input of the worker directly to its output."""
        most = 1
        # Bad results are found when their frame is pickled, at no extra cost.
        check, self.check = self.check, None
        self._check_parts = check
        if check is not None:
            output.instead = self._instead
        for frame, items in worker_input.frames():
            self._frame = frame
            if check is not None and frame.numbers is not None and len(set(frame.numbers)) < len(frame.entries):
                # Check each result at once: several items have the same number, so it would not identify the bad one.
                self.check = check
                output.skip()
                for position, item in enumerate(items):
                    output.extend(tuple(self._of(item)), partial(repeat, frame.numbers[position]))
                    output.flush_full()
                self.check = None
            else:
                most = self._forward(frame, items, output, most)

    def _forward(self, frame: Frame, items: Iterator[Any], output: Output, most: int) -> int:
        """Process one frame. Returns the number of items between two checks of the clock."""
        entries, operator = frame.entries, self.operator
        numbers: Sequence[int] = frame.numbers or range(frame.span.start, frame.span.start + len(entries))
        spelled = frame.numbers is not None or operator.drops
        if spelled:
            output.skip()
        opened = began = time.monotonic_ns()
        called = 0
        while left := length_hint(items):
            at = len(entries) - left
            ahead = entries[at : at + most]
            try:
                operator.advance(items, ahead, numbers[at : at + most] if spelled else None, output)
            except Exception as error:
                failed: Exception | None = error
            else:
                failed = None
            called += time.monotonic_ns() - began
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
        self.row[Cell.CALLED] += called
        return most

    def _instead(self, number: int, error: Exception, tries: int) -> Sequence[Any]:
        """The replacement for a result that cannot be pickled. This is found only when its frame is sent."""
        frame = self._frame
        assert frame is not None
        position = number - frame.span.start if frame.numbers is None else bisect_left(frame.numbers, number)
        item_id = frame.span.origin, frame.item_index(position)
        try:
            return tuple(self._of(frame.entries[position], Condemned(error, tries), item_id))
        except Exception as raised:
            raise NotCovered from raised

    def guard(self, worker_input: Input, output: Output | None, condemned: Mapping[int, Condemned]) -> None:
        """Process items one by one in a worker that can be replaced, and publish each item before its call.

        Results are sent only between two items of different numbers, so that an item is never sent in part. condemned:
        items of the current frame, by position.
        """
        row = self.row
        # A predecessor may have died while it split a batch.
        row[Cell.PART] = 0
        for frame, items in worker_input.frames():
            begin = worker_input.first_entry
            # Results that were sent before must not be reported as dropped.
            if begin and output is not None:
                rest = frame.number(begin) if begin < len(frame.entries) else frame.span.stop
                output.open_span(frame.span._replace(start=rest), distinct=False)
            opened, dead_letters = time.monotonic_ns(), self._left_out.dead_letters
            for position, item in enumerate(islice(items, begin, None), begin):
                number = frame.number(position)
                index = self.assignment.done.original(frame.item_index(position))
                row[Cell.INDEX], row[Cell.SINCE] = index, time.monotonic_ns()
                row[Cell.ITEM] = position + 1
                made = tuple(self._of(item, condemned.get(position)))
                row[Cell.ITEM] = 0
                if output is not None:
                    output.extend(made, partial(repeat, number))
                is_last = position + 1 == len(frame.entries)
                is_due = (output is not None and output.is_full) or time.monotonic_ns() - opened > FLUSH_NS
                # Otherwise a replacement would send the dead letter again.
                is_due = is_due or self._left_out.dead_letters != dead_letters
                if not is_last and is_due and frame.number(position + 1) != number:
                    if output is not None:
                        self._left_out.wait_until_taken()
                        output.flush_below(frame.number(position + 1))
                    worker_input.put_position(position + 1)
                    opened, dead_letters = time.monotonic_ns(), self._left_out.dead_letters
                del item
            # The rest of the frame is sent at the next request.
            if output is not None:
                self._left_out.wait_until_taken()
            condemned = {}

    def settle(
        self,
        error: Exception,
        tries: int,
        current: tuple[int, int, Any],
        failure: Failure | None = None,
        *,
        part: int = 0,
        position: int | None = None,
    ) -> float | Left:
        """Apply the policy. Returns the seconds before the next try, or what becomes of the item without one.

        current: origin and number of the item, and the item. failure: the record of this error, if there is one. part:
        which of the items with this number it is. position: in the batch that is split, whose number this is. Raises
        StageFailed, and an error that the policy does not cover.
        """
        origin, index, item = current
        try:
            verdict = decide(self.operator.policy, error, tries)
        except Exception:
            self._failed_item = (origin, index, short_repr(item))
            raise
        if verdict.action is Action.RETRY:
            self.row[Cell.RETRIED] += 1
            return verdict.pause
        if verdict.action is Action.RAISE:
            if failure is not None:
                raise StageFailed(Failed(failure))
            self._failed_item = (origin, index, short_repr(item))
            raise error
        if verdict.split and position is None and (parts := parts_of(item)):
            if len(parts) > 1:
                return Left.SPLIT
            # It has failed alone.
            item, position = parts[0].item, 0
        failed = FailedItem(item, self.assignment.done.original(index), part, position)
        self._left_out.add(failed, error, verdict)
        return Left.OUT

    def too_late(self, stack: str, current: tuple[int, int, Any]) -> Failure:
        """The record of a call that took too long. stack: the call stack at that time, as text."""
        item = self.item(*current[:2], short_repr(current[2]))
        return item_texts.timed_out(self.assignment.who, os.getpid(), item, self.operator.timeout or 0.0, stack)

    def made_of(self) -> tuple[int, int] | None:
        """Origin and number of the last item that it received."""
        current = self.current_item()
        return current[:2] if current else None

    def _original(self, index: int) -> int:
        """As in StageRun: its results have the numbers of its items."""
        return self.assignment.done.original(index)

    def current_item(self) -> tuple[int, int, str] | None:
        """As in StageRun. If several items are in progress, the one that failed."""
        return self._failed_item or super().current_item()

    def explain(self, error: BaseException) -> Outcome:
        """As in StageRun. It also handles an error of the policy that was raised while results were sent."""
        if isinstance(error, NotCovered) and error.__cause__ is not None:
            error = error.__cause__
        return error.failed if isinstance(error, StageFailed) else super().explain(error)

    def _is_induced(self, error: BaseException) -> bool:
        """Only a Cancelled counts: the function does not see its input, so its other errors are its own."""
        return isinstance(error, Cancelled) and super()._is_induced(error)


def _checked(results: Iterable[Any], check: Callable[[Iterable[Any]], None]) -> Iterable[Any]:
    results = tuple(results)
    check(results)
    return results


class NotCovered(Exception):
    """Carries an error that the policy does not cover through the output, which treats an OSError as one of its own."""
