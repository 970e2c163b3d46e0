"""Nested sources: each pipeline in the source of a pipeline is a run of its own, inside the outer run.

    pipeline a ── Run ──┐
    pipeline b ── Run ──┴──► Concat, Merge or InTurn: the source of the outer run ──► its stages

The inner runs end with the outer run in every case. A failure of an inner run is the failure of the outer run,
unchanged.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Protocol

from ..errors import Cancelled, RunCancelledError, RunError
from ..lazy_dataclass import replace
from ..plan.nested_source import NestedSource, Stages
from ..plan.planned_stage import PlannedStage
from ..transport.thread_channel import MemoryChannel
from ..worker.stage_run import Nested
from .handing_on import items_received, send_items
from .opening import Opening
from .run import Run
from .run_settings import RunSettings

__all__ = ["Concat", "InTurn", "Merge", "with_inner_runs"]


class Start(Protocol):
    """Starts an inner run. apart: with its own thread instead of the caller's thread.

    bounded: no worker at its end makes an item before its last one was taken.
    """

    def __call__(self, *, apart: bool = False, bounded: bool = False) -> Run[Any]: ...


def with_inner_runs(stages: Sequence[PlannedStage], settings: RunSettings) -> Sequence[PlannedStage]:
    """The stages of a run, of which a nested source starts its inner runs when they are needed."""

    def inner(stages: Stages, index: int, *, apart: bool = False, bounded: bool = False) -> Run[Any]:
        of_part = settings.of_part(index, apart=apart, in_flight=stages[-1].at_once if bounded else None)
        return Run(with_inner_runs(stages, of_part), of_part)

    first, *others = stages
    if isinstance(first.call, NestedSource):
        first = replace(first, call=first.call.starting(inner))
    return (first, *others)


class _Runs(Nested):
    """The common part of the nested sources. The thread that opens an inner run closes it; any thread may cancel all.

    A thread that opens a run first adds its opening, and then the run, to `_open`; it reads `_is_cancelled` after each
    of them. A thread that cancels first sets `_is_cancelled` and then reads `_open`. So no run is missed without a
    lock, which Ctrl-C or `kill` could interrupt.
    """

    def __init__(self, starts: Sequence[Start]) -> None:
        self._starts = starts
        self._open: list[Run[Any] | Opening] = []
        self._is_cancelled = False
        self._items: Generator[Any, None, None] | None = None

    def __iter__(self) -> Iterator[Any]:
        self._items = self._iterate()
        return self._items

    @abstractmethod
    def _iterate(self) -> Generator[Any, None, None]:
        """The items of all inner runs. At the end, all of them are closed."""

    def cancel(self) -> None:
        """Cancel the inner runs. Threads that wait in them wake at once."""
        self._is_cancelled = True
        for run in tuple(self._open):
            run.cancel()

    def close(self) -> None:
        """Close the inner runs, and wait until they have completely ended."""
        if self._items is not None:
            self._items.close()

    @contextmanager
    def _opened(self, begin: Start, **options: bool) -> Generator[Run[Any], None, None]:
        """An open inner run. Raises Cancelled if it ended early because `cancel` was called."""
        opening = Opening()
        self._open.append(opening)
        try:
            self._check()
            with opening:
                run = begin(**options)
        finally:
            self._open.remove(opening)
        try:
            self._open.append(run)
            self._check()
            yield run
        except RunCancelledError:
            if self._is_cancelled:
                raise Cancelled("the run was cancelled") from None
            raise
        finally:
            _wait_surely(run.close)
            self._open.remove(run)

    def _check(self) -> None:
        if self._is_cancelled:
            raise Cancelled("the run was cancelled")


class Concat(_Runs):
    """The items of one run after the other. Each run starts when the previous one has ended."""

    def _iterate(self) -> Generator[Any, None, None]:
        for begin in self._starts:
            with self._opened(begin) as run:
                yield from run


class InTurn(_Runs):
    """One item of each run in turn, until all runs have ended. It replaces `Merge` if there is only one thread."""

    def _iterate(self) -> Generator[Any, None, None]:
        turns = [self._of_one(begin) for begin in self._starts]
        try:
            while turns:
                for turn in tuple(turns):
                    try:
                        item = next(turn)
                    except StopIteration:
                        turns.remove(turn)
                    else:
                        yield item
                        # No reference to an earlier item remains while this waits.
                        del item
        finally:
            for turn in turns:
                turn.close()

    def _of_one(self, begin: Start) -> Generator[Any, None, None]:
        with self._opened(begin) as run:
            yield from run


class Merge(_Runs):
    """The items of all runs as they come. One thread for each run takes its items, and waits while the channel is full.

    The first failure cancels the other runs. `_errors` needs no lock, because `append` is atomic. in_flight: how many
    items may be taken from the runs and not be finished; None for a bound in bytes. The channel is closed when it is
    dropped: a late `cancel` may still use it.
    """

    def __init__(self, starts: Sequence[Start], in_flight: int | None = None) -> None:
        super().__init__(starts)
        self._errors: list[BaseException] = []
        self._channel = MemoryChannel(len(starts), 1, in_flight)

    def cancel(self) -> None:
        """Cancel the inner runs, and wake all threads that wait for the channel."""
        super().cancel()
        self._channel.hang_up()

    def _iterate(self) -> Generator[Any, None, None]:
        takers = [
            threading.Thread(
                target=copy_context().run,
                args=(self._take, begin, index),
                name=f"chainpump merge {index + 1}",
                daemon=True,
            )
            for index, begin in enumerate(self._starts)
        ]
        receiver = self._channel.receiver()
        try:
            for taker in takers:
                taker.start()
            yield from items_received(receiver)
            was_cancelled = self._is_cancelled
        finally:
            self.cancel()
            for taker in takers:
                if taker.ident is not None:
                    _wait_surely(taker.join)
        if was_cancelled:
            raise self._reason()

    def _take(self, begin: Start, index: int) -> None:
        sender = self._channel.sender(index)
        try:
            # With `apart`, an inline stage that blocks for ever can be left behind by the supervisor of its run.
            with self._opened(begin, apart=True, bounded=sender.credits is not None) as run:
                send_items(run, [sender])
        except BaseException as error:
            # The thread that iterates raises it again.
            self._errors.append(error)
            self.cancel()
        finally:
            sender.close()

    def _reason(self) -> BaseException:
        """The exception of an early end: the first failure, which lists the others; Cancelled if there is none."""
        errors = [error for error in self._errors if not isinstance(error, Cancelled)]
        first, *others = errors or [Cancelled("the run was cancelled")]
        if not isinstance(first, RunError):
            return first
        return first.along_with([failure for each in others if isinstance(each, RunError) for failure in each.failures])


def _wait_surely(wait: Callable[[], object]) -> None:
    """Wait for an end that is certain to come. `kill` may interrupt the wait once."""
    try:
        wait()
    except Cancelled:
        wait()
