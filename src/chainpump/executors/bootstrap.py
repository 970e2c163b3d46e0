"""The name of a worker process. It brings what the process needs before the process imports the user's program.

A process of `multiprocessing` unpickles its name first. Then it changes to the working directory and search path of the
main process, and imports the program's main file. Only after that it unpickles its target function. There is no public
way to run code before the import, so the name runs it.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import process, spawn
from types import TracebackType
from typing import Any, Self

from ..ipc.descriptors import Descriptor
from ..messages import failure_texts
from ..messages.names import WorkerName
from ..pickling.loading import become_worker
from ..worker.current_worker import set_for_process
from ..worker.outcome import Failed
from ..worker.surroundings import Surroundings
from ..worker.work import Assignment
from .process_end import discard_inherited_exit_work
from .report_pipe import send_report
from .signals import ignore_ctrl_c, restore_signals_in_forks

__all__ = ["BootstrapName"]


class BootstrapName(str):
    """The name of a worker process. The process unpickles it before it imports the program's main file.

    That import may take seconds, and it may fail. When the name is unpickled, the process takes over the surroundings
    of the program, and ignores Ctrl-C, which the main process handles. From then on an exception that the import raises
    is reported to the main process.
    report_pipe: a duplicate for this object alone, because a descriptor can be passed to a process only once.
    """

    __slots__ = ("_assignment", "_report_pipe", "_surroundings", "_was_transferred")
    _report_pipe: Descriptor | None
    _assignment: Assignment
    _surroundings: Surroundings | None
    _was_transferred: bool

    def __new__(
        cls, name: str, report_pipe: Descriptor | None, assignment: Assignment, surroundings: Surroundings | None
    ) -> Self:
        """Create the name of a process that is about to be started."""
        self = super().__new__(cls, name)
        self._report_pipe, self._assignment = report_pipe, assignment
        self._surroundings, self._was_transferred = surroundings, False
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickled twice: first as the name itself, and later as a part of the process object, which reads it again."""
        if self._was_transferred:
            return _unpickle_again, ()
        self.set_transferred()
        this_name = _DeferredCall(
            _unpickle, (str(self), self._report_pipe, self._assignment, self._surroundings, os.getpid())
        )
        if self._surroundings is None:
            return this_name.__reduce__()
        # A new interpreter does not have the program's search path yet, and may find this package only there.
        find_modules = _DeferredCall(exec, (f"import sys; sys.path[:] = {list(self._surroundings.path)!r}",))
        return operator.getitem, ((find_modules, this_name), 1)

    def set_transferred(self) -> None:
        """Record that the process has unpickled its name, or will do so."""
        self._was_transferred = True

    def finish(self) -> str:
        """Finish the set-up after the process has imported the program. Returns the plain name of the process."""
        # A forked process unpickles nothing, so it is set up here.
        if not self._was_transferred:
            _set_up_process(self._surroundings, self._assignment)
        if isinstance(sys.excepthook, _ImportErrorHook):
            sys.excepthook.close()
        if self._surroundings is not None:
            self._surroundings.streams.put_input()
            self._surroundings.close()
        return str(self)


class _DeferredCall:
    """A function call that is executed when this object is unpickled."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def _unpickle(
    name: str, report_pipe: Descriptor, assignment: Assignment, surroundings: Surroundings | None, parent: int
) -> BootstrapName:
    _set_up_process(surroundings, assignment)
    # `multiprocessing` sets the parent process only after the import. The main file may read it before that.
    vars(process)["_parent_process"] = vars(process)["_ParentProcess"]("MainProcess", parent, None)  # pyright: ignore[reportIndexIssue]
    sys.excepthook = _ImportErrorHook(report_pipe, assignment.who)
    if surroundings is not None:
        vars(spawn)["prepare"] = partial(_prepare, spawn.prepare, surroundings)  # pyright: ignore[reportIndexIssue]
    bootstrap_name = BootstrapName(name, None, assignment, surroundings)
    bootstrap_name.set_transferred()
    return bootstrap_name


def _unpickle_again() -> str:
    return process.current_process().name


def _set_up_process(surroundings: Surroundings | None, assignment: Assignment) -> None:
    """Set up this process when its name is unpickled, or when it begins as a fork, which unpickles no name."""
    become_worker()
    set_for_process(assignment.current_worker)
    ignore_ctrl_c()
    # The process leads a group, so that all processes that it starts can be found and ended: docs/adr/0024.
    os.setsid()
    discard_inherited_exit_work()
    restore_signals_in_forks()
    if surroundings is not None:
        surroundings.enter()


def _prepare(prepare: Callable[[dict[str, Any]], None], surroundings: Surroundings, data: dict[str, Any]) -> None:
    """Prepare the import of the main file, as `multiprocessing` does."""
    vars(spawn)["prepare"] = prepare  # pyright: ignore[reportIndexIssue]
    prepare(surroundings.preparation(data))


class _ImportErrorHook:
    """An exception hook that reports to the main process why this process ended before its worker ran."""

    def __init__(self, report_pipe: Descriptor, who: WorkerName) -> None:
        self._report_pipe = report_pipe
        self._who = who

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and _is_import_code(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        failure = failure_texts.not_started(self._who, error.with_traceback(traceback))
        send_report(self._report_pipe, Failed(failure, error).packed(self._who))

    def close(self) -> None:
        """Remove the hook. From now on the worker itself reports its failures."""
        sys.excepthook = sys.__excepthook__
        self._report_pipe.close()


def _is_import_code(path: str) -> bool:
    folders = process.__file__.removesuffix("process.py"), __file__.removesuffix("bootstrap.py")
    return path.startswith((*folders, "<frozen ", "<string>"))
