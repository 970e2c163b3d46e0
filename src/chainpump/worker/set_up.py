"""What a worker sets up before its first item and tears down at its end: the functions that factories make.

`SetUps` are those of all stages of a worker. They do not depend on a run: whoever keeps a worker from run to run may
keep its `SetUps`, too, and leave them later.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from ..errors import Cancelled, Failure
from ..ipc import wait_times
from ..ipc.board import Cell
from ..logs.records import warn
from ..messages.set_up_texts import not_set_up, not_torn_down
from ..plan.bound import Bound
from ..plan.operators import Operator
from ..plan.per_worker import PerWorker
from .current_worker import runs_stages
from .operator_run import OperatorRun
from .outcome import Failed
from .stage_run import StageFailed, StageRun
from .turn import Turn
from .work import Assignment

__all__ = ["Loop", "SetUps", "entered_async"]

Function: TypeAlias = Callable[..., Any]


class Loop(Protocol):
    """The event loop of a worker. Any: the result of a coroutine."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine; the end of the run cancels it."""
        ...

    def run_last(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end, also after the end of the run."""
        ...

    def close(self) -> None:
        """Close the loop."""
        ...


class SetUps:
    """The functions that the factories of a worker have made, until they are left. They belong to the worker's thread.

    loop: the event loop of the worker, if it has one. It is closed at the end.
    outlives_worker: `leave` does nothing, because the next worker of this process may use them.
    """

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.outlives_worker = False
        # By the index of the stage in the worker.
        self._entered: dict[int, _Entered] = {}
        # The ns that factories have taken before the turn of the worker, when another one used its row of the board.
        self._taken: dict[int, int] = {}

    def enter(self, stages: Sequence[StageRun]) -> None:
        """Let the stages that have a factory use its function. It is made unless it is there from an earlier run.

        Raises StageFailed if a factory raises.
        """
        for index, stage in enumerate(stages):
            if isinstance(stage, OperatorRun) and (factory := stage.operator.factory) is not None:
                with wait_times.Wait(stage.row, Cell.SET_UP):
                    stage.use(self._function(index, stage.assignment, factory))
                stage.row[Cell.SET_UP] += self._taken.pop(index, 0)

    def wait_for(self, turn: Turn, assignments: Sequence[Assignment], calls: Sequence[Bound]) -> bool:
        """Make the functions of the stages, and wait for the turn of the worker. Returns False if it is not needed.

        Raises StageFailed if a factory raises.
        """
        for index, (assignment, call) in enumerate(zip(assignments, calls, strict=False)):
            if isinstance(call, Operator) and call.factory is not None:
                began = time.monotonic_ns()
                self._function(index, assignment, call.factory)
                self._taken[index] = time.monotonic_ns() - began
        return turn.wait()

    def _function(self, index: int, assignment: Assignment, factory: PerWorker[Any]) -> Function:
        if index not in self._entered:
            entered = _InThread(assignment, factory) if self.loop is None else _InLoop(assignment, factory, self.loop)
            # It is stored first: an interruption may arrive after the last line of the factory.
            self._entered[index] = entered
            entered.enter()
        return self._entered[index].function

    def leave(self, *, with_process: bool = False) -> None:
        """Leave all, the last first, at the end of a worker that has finished. Raises StageFailed if one raises.

        with_process: no other worker follows in this process.
        """
        for failed in self._leave(None) if with_process or not self.outlives_worker else ():
            raise StageFailed(failed)

    def leave_with_process(self) -> None:
        """Leave all at the end of the process. What is raised now belongs to no run, so it is only logged."""
        for failed in self._leave(None):
            warn(str(failed.failure))

    def leave_after(self, error: BaseException) -> None:
        """Leave all after a failure. What is raised now is not the reason of the run's end, so it is only logged.

        error: context managers get it, and cannot suppress it.
        """
        # A thread that is killed after the grace period raises Cancelled.
        with suppress(Exception, Cancelled):
            for failed in self._leave(error):
                if isinstance(failed.error, Exception):
                    warn(str(failed.failure))
                else:
                    # Ctrl-C is for the caller.
                    raise failed.error

    def _leave(self, error: BaseException | None) -> Sequence[Failed]:
        failures = []
        while self._entered:
            _, entered = self._entered.popitem()
            try:
                entered.leave(error)
            except BaseException as raised:
                failures.append(Failed(entered.not_torn_down(raised), raised))
        loop, self.loop = self.loop, None
        if loop is not None:
            loop.close()
        return failures


class _Entered(ABC):
    """One factory in one worker."""

    def __init__(self, assignment: Assignment, factory: PerWorker[Any]) -> None:
        self.assignment = assignment
        self.factory = factory
        self.function: Function = factory.function

    @runs_stages(lambda entered: entered.assignment.current_worker())
    def enter(self) -> None:
        """Call the factory, and enter what it returns. Raises StageFailed."""
        try:
            self.function = self._enter()
        except Cancelled:
            # It is not known here who has raised it.
            raise
        except BaseException as error:
            what = str(error) if isinstance(error, NoFunctionError) else ""
            failure = not_set_up(self.assignment.who, os.getpid(), self.factory.name, error, what)
            raise StageFailed(Failed(failure, error)) from error

    @runs_stages(lambda entered: entered.assignment.current_worker())
    def leave(self, error: BaseException | None) -> None:
        """Leave what was entered, if it was. error: why the worker ends; None if it has finished."""
        self._leave(type(error) if error is not None else None, error, error.__traceback__ if error else None)

    def not_torn_down(self, error: BaseException) -> Failure:
        """The failure if `leave` has raised this."""
        return not_torn_down(self.assignment.who, os.getpid(), self.factory.name, error)

    @abstractmethod
    def _enter(self) -> Function: ...

    @abstractmethod
    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class _InThread(_Entered):
    def __init__(self, assignment: Assignment, factory: PerWorker[Any]) -> None:
        super().__init__(assignment, factory)
        self._manager = _entered(factory)

    def _enter(self) -> Function:
        return self._manager.__enter__()

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Otherwise an interruption has ended it before it was entered.
        if self._manager.gen.gi_suspended:  # type: ignore[attr-defined]  # the stubs of Generator do not have it
            self._manager.__exit__(kind, error, traceback)


class _InLoop(_Entered):
    def __init__(self, assignment: Assignment, factory: PerWorker[Any], loop: Loop) -> None:
        super().__init__(assignment, factory)
        self._manager = entered_async(factory)
        self._loop = loop
        self._is_entered = False

    def _enter(self) -> Function:
        function: Function = self._loop.run(self._manager.__aenter__())
        self._is_entered = True
        return function

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_entered:
            self._loop.run_last(self._manager.__aexit__(kind, error, traceback))


class NoFunctionError(TypeError):
    """A factory has not made a function of one item. The text follows the name of the factory."""


# A `with` statement, and not the two calls that it stands for: no interruption can arrive between the end of
# `__enter__` and the block.
@contextmanager
def _entered(factory: PerWorker[Any]) -> Generator[Function]:
    made = factory.call()
    if hasattr(type(made), "__enter__"):
        with made as function:
            yield _checked(factory, function)
    else:
        yield _checked(factory, made)


@asynccontextmanager
async def entered_async(factory: PerWorker[Any]) -> AsyncGenerator[Function]:
    """Call a factory and enter what it returns, in an event loop: each of the two may be async."""
    made = factory.call()
    # Some objects can be entered and awaited, with the same result. Only what is entered is left again.
    if not hasattr(type(made), "__aenter__") and isinstance(made, Awaitable):
        made = await made
    if hasattr(type(made), "__aenter__"):
        async with made as function:
            yield _checked(factory, function)
    elif hasattr(type(made), "__enter__"):
        with made as function:
            yield _checked(factory, function)
    else:
        yield _checked(factory, made)


def _checked(factory: PerWorker[Any], made: Any) -> Function:
    """The function, adapted. Raises NoFunctionError if it cannot be called with an item."""
    if callable(made):
        return factory.adapted(made)
    kind = type(made).__name__
    if isinstance(made, Awaitable) or hasattr(type(made), "__aenter__"):
        if isinstance(made, Coroutine):
            # Otherwise Python warns that nothing has awaited it.
            made.close()
        raise NoFunctionError(f"has made a {kind}, which only an event loop can await or enter: on=Tasks(...)")
    if isinstance(made, Generator):
        raise NoFunctionError("is a generator function: decorate it with contextlib.contextmanager")
    raise NoFunctionError(f"has made a {kind}, which cannot be called with an item")
