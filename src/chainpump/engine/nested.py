"""How a nested source runs: each pipeline in it is a run of its own, inside the run around it.

    pipeline a ── Run ──┐
    pipeline b ── Run ──┴──► Concat, Merge or InTurn: the source of the run around them ──► its stages

The runs within end with the one around them, however that ends; and what fails in them fails it, as it is.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Protocol

from ..errors import Cancelled, RunError
from ..lazy_dataclass import replace
from ..plan.nested_source import NestedSource, Stages
from ..plan.planned_stage import PlannedStage
from ..transport.frames import Span
from ..transport.thread_channel import MemoryChannel
from ..worker.stage_run import Nested
from .run import Run
from .run_settings import RunSettings

__all__ = ["Concat", "InTurn", "Merge", "start_run"]


class Start(Protocol):
    """Starts one of the runs within. apart: with a thread of its own where it would run in the caller's."""

    def __call__(self, *, apart: bool = False) -> Run[Any]: ...


def start_run(stages: Sequence[PlannedStage], settings: RunSettings) -> Run[Any]:
    """Start a run of these stages, and, as they are needed, the runs within it."""

    def inner(stages: Stages, place: int, *, apart: bool = False) -> Run[Any]:
        return start_run(stages, settings.of_part(place, apart=apart))

    first, *others = stages
    if isinstance(first.call, NestedSource):
        first = replace(first, call=first.call.starting(inner))
    return Run((first, *others), settings)


class _Runs(Nested):
    """What the ways of running have in common: who opens a run closes it, and anybody may cancel all of them.

    Who opens a run adds it to `_open` and then looks at `_is_cancelled`; who cancels writes that and then looks at
    `_open`. So no run is missed, and a lock, which Ctrl-C or `kill` could break into, is not needed.
    """

    def __init__(self, starts: Sequence[Start]) -> None:
        self._starts = starts
        self._open: list[Run[Any]] = []
        self._is_cancelled = False
        self._items: Generator[Any, None, None] | None = None

    def __iter__(self) -> Iterator[Any]:
        self._items = self._iterate()
        return self._items

    @abstractmethod
    def _iterate(self) -> Generator[Any, None, None]:
        """The items of all runs. Leaves none of them open."""

    def cancel(self) -> None:
        """Cancel the runs within: whoever waits in them wakes at once."""
        self._is_cancelled = True
        for run in tuple(self._open):
            run.cancel()

    def close(self) -> None:
        """Close the runs within, and wait until nothing of them is left."""
        if self._items is not None:
            self._items.close()

    @contextmanager
    def _opened(self, begin: Start, *, apart: bool = False) -> Generator[Run[Any], None, None]:
        """One of the runs. Raises Cancelled where it ended early because it was cancelled from here."""
        self._check()
        run = begin(apart=apart)
        try:
            self._open.append(run)
            self._check()
            yield run
        except RunError as error:
            # It was left: there is nothing to blame.
            if self._is_cancelled and error.failures[0].error is RunError:
                raise Cancelled("the run was cancelled") from None
            raise
        finally:
            _surely(run.close)
            self._open.remove(run)

    def _check(self) -> None:
        if self._is_cancelled:
            raise Cancelled("the run was cancelled")


class Concat(_Runs):
    """The items of one run after the other; each starts when the one before has ended."""

    def _iterate(self) -> Generator[Any, None, None]:
        for begin in self._starts:
            with self._opened(begin) as run:
                yield from run


class InTurn(_Runs):
    """An item of each run in turn, until all have ended: what `Merge` is in one thread."""

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
                        # Who waits holds nothing of what came before.
                        del item
        finally:
            for turn in turns:
                turn.close()

    def _of_one(self, begin: Start) -> Generator[Any, None, None]:
        with self._opened(begin) as run:
            yield from run


class Merge(_Runs):
    """The items of all runs as they come: a thread for each takes them, and waits while nobody wants them.

    The first failure cancels the others. `_errors` grows by `append` alone, which is atomic.
    """

    def __init__(self, starts: Sequence[Start]) -> None:
        super().__init__(starts)
        self._errors: list[BaseException] = []
        self._channel = MemoryChannel(len(starts), 1, None)

    def cancel(self) -> None:
        """As for all, and wake who waits here."""
        super().cancel()
        self._channel.hang_up()

    def _iterate(self) -> Generator[Any, None, None]:
        takers = [
            threading.Thread(
                target=copy_context().run,
                args=(self._take, begin, place),
                name=f"chainpump merge {place + 1}",
                daemon=True,
            )
            for place, begin in enumerate(self._starts)
        ]
        receiver = self._channel.receiver()
        try:
            for taker in takers:
                taker.start()
            while (frame := receiver.receive(wait=True)) is not None:
                entries = frame.entries
                # Who waits holds nothing of what came before.
                del frame
                yield from entries
                del entries
            broke_off = self._is_cancelled
        finally:
            self.cancel()
            for taker in takers:
                if taker.ident is not None:
                    _surely(taker.join)
        if broke_off:
            raise self._reason()

    def _take(self, begin: Start, place: int) -> None:
        sender = self._channel.sender(place)
        taken = 0
        try:
            # Apart, so that a part that runs inline and blocks for ever is left behind by its own supervisor.
            with self._opened(begin, apart=True) as run:
                items = iter(run)
                while found := run.take_ready(items):
                    sender.send(found, False, Span(taken, taken + len(found)), None)
                    taken += len(found)
                    del found
        except BaseException as error:
            # Raised again where the items are asked for.
            self._errors.append(error)
            self.cancel()
        finally:
            sender.close()

    def _reason(self) -> BaseException:
        """Why it ended early: the first failure, which lists the others; Cancelled if there is none."""
        errors = [error for error in self._errors if not isinstance(error, Cancelled)]
        first, *others = errors or [Cancelled("the run was cancelled")]
        if not isinstance(first, RunError):
            return first
        return first.along_with([failure for each in others if isinstance(each, RunError) for failure in each.failures])


def _surely(wait: Callable[[], object]) -> None:
    """Wait for an end that is sure to come, also when `kill` breaks in, which it does once."""
    try:
        wait()
    except Cancelled:
        wait()
