"""A run as its user sees it: `Run` gives the items of a pipeline, `SinkRun` the report of a pipeline with a sink."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from ..errors import Cancelled, RunError
from ..messages import run_texts
from ..plan.planned_stage import PlannedStage
from ..progress.report import Report
from ..worker.outcome import Outcome
from .execution import Execution
from .items import items_of
from .run_settings import RunSettings

__all__ = ["Run", "SinkRun"]

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Run(Execution, Generic[T]):
    """A running pipeline. Iterate over it for its items, in a `with` block: the end of the block cancels the run.

    Made by `Pipeline.open`.
    """

    def __init__(self, stages: Sequence[PlannedStage], settings: RunSettings) -> None:
        self._items: Generator[Iterable[T], None, Outcome] | None = None
        super().__init__(stages, settings)

    def __iter__(self) -> Iterator[T]:
        """The items of the last stage, each once. Raises RunError as soon as the run has failed.

        Threads may share it, or have an iterator each: every item goes to one of them, and an error to all.
        """
        return items_of(lambda: self, owned=False)

    def next_items(self) -> Iterable[T] | None:
        """The next items; None at the end. Raises the same errors as iteration, in each thread.

        Two threads may get the same iterable. It is an iterator over a list in this case: `next` of it is atomic, and
        raises no error of its own.
        """
        self._check_process()
        with self._caller_lock:
            if self._supervisor.requested_by is not None:
                raise RunError(run_texts.asked_within(self._who))
            self._supervisor.requested_by = threading.get_ident()
            try:
                return self._next_items()
            finally:
                self._supervisor.requested_by = None

    def _next_items(self) -> Iterable[T] | None:
        caller = self._caller
        if caller is not None:
            try:
                if self._items is None:
                    self._items = caller.chunks()
                return next(self._items)
            except StopIteration as end:
                outcome: Outcome = end.value
            except BaseException as error:
                # Ctrl-C cancels the run.
                self.close()
                if isinstance(error, KeyboardInterrupt):
                    self._carry_report(error)
                raise
            caller.close(outcome, self._report_caller)
        self._conclude()
        return None

    def take_ready(self, items: Iterator[T], spent_ns: int | None = None) -> list[T]:
        """The next items of an iterator over this run: at least one, and more if they are ready; none at the end.

        spent_ns: the time that the previous ones took, if other time has passed since then.
        """
        caller = self._caller
        if caller is not None and caller.sole_input is not None:
            caller.sole_input.spent_ns = spent_ns
        found = list(islice(items, 1))
        if found and caller is not None and caller.frame_input is not None:
            found += islice(items, caller.frame_input.ready)
        return found

    def is_ready(self) -> bool:
        """Whether the next item is here: then `take_ready` neither waits nor runs a function of the program.

        The next item is requested. The thread that calls this calls `take_ready` next.
        """
        received = self._caller.sole_input if self._caller is not None else None
        try:
            return received is not None and (received.ready > 0 or received.receive_now())
        except Cancelled:
            # `take_ready` raises the reason.
            return False

    def commit(self) -> None:
        """All items that the loop has got so far are done: a run with the same journal will not give them again.

        From the first call on, only commits say what is done. The journal is written a little later, and when the run
        is left. Without a journal, this does nothing. The thread that takes the items calls it.
        """
        self._recorder.commit()

    @property
    def position(self) -> str:
        """The position behind the item that the loop has got last, in a run that was opened with `start=`.

        It is a short text. A program stores it in the same transaction as its results, and gives it to the next
        `open(start=position)`, which goes on there. Raises JournalError in a run without `start=`.
        """
        return self._recorder.position()

    def report(self) -> Report[None]:
        """The report of the run. While the run goes on, the report covers the time so far."""
        return self._report(None)


class SinkRun(Execution, Generic[R_co]):
    """A running pipeline that ends in a sink. Use it in a `with` block: the end of the block cancels the run.

    >>> from chainpump import Inline, Pipeline
    >>> with Pipeline(range(4)).into(sum, on=Inline()).open() as run:
    ...     run.result().value
    6

    Made by `Runnable.open`.
    """

    def result(self) -> Report[R_co]:
        """Wait for the end of the run, and return its report. Ctrl-C in the wait cancels the run.

        Any number of threads may call it, also after the end.
        Raises the same errors as `Runnable.run`: the sink's own exception, or RunError. Raises RunCancelledError if the
        run was cancelled.
        """
        self._check_wait()
        with self._caller_lock:
            if self._caller is not None:
                self._supervisor.requested_by = threading.get_ident()
                try:
                    self._caller.run(self._report_caller)
                finally:
                    self._supervisor.requested_by = None
        self._conclude()
        return self._report(self._value())

    def report(self) -> Report[R_co | None]:
        """The report of the run. While the run goes on, the report covers the time so far.

        Its value is None unless the run is completed. Unlike `result`, this does not wait, and raises no error.
        """
        return self._report(self._value() if self.status == "completed" else None)

    def _value(self) -> Any:
        """What the sink has returned; with several workers, the list of what each has returned. None for `each`."""
        if self._wiring.groups[-1].is_element_wise:
            return None
        values = [slot.finished.value for slot in self._wiring.slots[-1] if slot.finished is not None]
        return values[0] if self._wiring.groups[-1].workers == 1 else values
