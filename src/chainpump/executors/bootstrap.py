"""The name of a worker process, by which it gets what it needs before it imports anything of the program.

A process of `multiprocessing` reads its name, then changes to the directory and search path of the main process, then
imports the program's main file, and only then reads what it is to run. There is no public way in between.
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
from ..messages.names import Who
from ..pickling.loading import become_worker
from ..worker.outcome import Failed
from ..worker.surroundings import Surroundings
from .process_end import discard_inherited_exit_work
from .report_pipe import send_report
from .signals import ignore_ctrl_c, restore_signals_in_forks

__all__ = ["BootstrapName"]


class BootstrapName(str):
    """The name of a worker's process: the first thing that it reads, before it imports the program's main file.

    That may take seconds, and fail. As it reads its name, the process enters its surroundings, and becomes deaf to
    Ctrl-C, which is for the main process; from then on that is told what the import raises. said: a control pipe for
    this alone, since a descriptor can be handed over once.
    """

    __slots__ = ("_report_pipe", "_surroundings", "_was_transferred", "_who")
    _report_pipe: Descriptor | None
    _who: Who
    _surroundings: Surroundings | None
    _was_transferred: bool

    def __new__(cls, name: str, report_pipe: Descriptor | None, who: Who, surroundings: Surroundings | None) -> Self:
        """The name of a process that is to be started."""
        self = super().__new__(cls, name)
        self._report_pipe, self._who, self._surroundings, self._was_transferred = report_pipe, who, surroundings, False
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Twice where it travels: before all else, and as a part of the process that it names, by when it is read."""
        if self._was_transferred:
            return _unpickle_again, ()
        self.set_transferred()
        this_name = _DeferredCall(_unpickle, (str(self), self._report_pipe, self._who, self._surroundings, os.getpid()))
        if self._surroundings is None:
            return this_name.__reduce__()
        # This package may be found nowhere but on the program's own search path, which a fresh interpreter lacks.
        find_modules = _DeferredCall(exec, (f"import sys; sys.path[:] = {list(self._surroundings.path)!r}",))
        return operator.getitem, ((find_modules, this_name), 1)

    def set_transferred(self) -> None:
        """It has been read in the process that it names."""
        self._was_transferred = True

    def finish(self) -> str:
        """In the process, once it has imported the program; returns the plain name, which nobody reads again."""
        # A fork, to which it has not travelled.
        if not self._was_transferred:
            _set_up_process(self._surroundings)
        if isinstance(sys.excepthook, _ImportErrorHook):
            sys.excepthook.close()
        if self._surroundings is not None:
            self._surroundings.streams.put_input()
            self._surroundings.close()
        return str(self)


class _DeferredCall:
    """A call that is made where this is unpickled."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def _unpickle(
    name: str, report_pipe: Descriptor, who: Who, surroundings: Surroundings | None, parent: int
) -> BootstrapName:
    _set_up_process(surroundings)
    # `multiprocessing` says whose child this is only after the import. A main file that asks is to be told so at once.
    vars(process)["_parent_process"] = vars(process)["_ParentProcess"]("MainProcess", parent, None)  # pyright: ignore[reportIndexIssue]
    sys.excepthook = _ImportErrorHook(report_pipe, who)
    if surroundings is not None:
        vars(spawn)["prepare"] = partial(_prepare, spawn.prepare, surroundings)  # pyright: ignore[reportIndexIssue]
    bootstrap_name = BootstrapName(name, None, who, surroundings)
    bootstrap_name.set_transferred()
    return bootstrap_name


def _unpickle_again() -> str:
    return process.current_process().name


def _set_up_process(surroundings: Surroundings | None) -> None:
    """As it reads its name, or where it is a fork, which reads none."""
    become_worker()
    ignore_ctrl_c()
    # It leads a group, in which all that it starts can be found and ended: docs/adr/0024.
    os.setsid()
    discard_inherited_exit_work()
    restore_signals_in_forks()
    if surroundings is not None:
        surroundings.enter()


def _prepare(prepare: Callable[[dict[str, Any]], None], surroundings: Surroundings, data: dict[str, Any]) -> None:
    """As `multiprocessing` does, before it imports the main file; but as it was when the run started, not just now."""
    vars(spawn)["prepare"] = prepare  # pyright: ignore[reportIndexIssue]
    prepare(data | {"sys_path": list(surroundings.path), "dir": surroundings.directory or data["dir"]})


class _ImportErrorHook:
    """Tells the main process what has ended this one before a worker ran in it."""

    def __init__(self, report_pipe: Descriptor, who: Who) -> None:
        self._report_pipe = report_pipe
        self._who = who

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and _is_import_code(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        failure = failure_texts.not_started(self._who, error.with_traceback(traceback))
        send_report(self._report_pipe, Failed(failure, error).packed(self._who))

    def close(self) -> None:
        """Nothing more to tell: the worker does that."""
        sys.excepthook = sys.__excepthook__
        self._report_pipe.close()


def _is_import_code(path: str) -> bool:
    return path.startswith((process.__file__.removesuffix("process.py"), "<frozen ", "<string>", __file__))
