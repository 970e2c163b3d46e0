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
from .control_pipe import tell
from .process_end import begin_afresh
from .signals import restore_in_forks, turn_deaf

__all__ = ["FirstName"]


class FirstName(str):
    """The name of a worker's process: the first thing that it reads, before it imports the program's main file.

    That may take seconds, and fail. As it reads its name, the process enters its surroundings, and becomes deaf to
    Ctrl-C, which is for the main process; from then on that is told what the import raises. said: a control pipe for
    this alone, since a descriptor can be handed over once.
    """

    __slots__ = ("_is_read", "_said", "_surroundings", "_who")
    _said: Descriptor | None
    _who: Who
    _surroundings: Surroundings | None
    _is_read: bool

    def __new__(cls, name: str, said: Descriptor | None, who: Who, surroundings: Surroundings | None) -> Self:
        """The name of a process that is to be started."""
        first = super().__new__(cls, name)
        first._said, first._who, first._surroundings, first._is_read = said, who, surroundings, False
        return first

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Twice where it travels: before all else, and as a part of the process that it names, by when it is read."""
        if self._is_read:
            return _read_before, ()
        self.mark_read()
        reading = _Call(_read, (str(self), self._said, self._who, self._surroundings, os.getpid()))
        if self._surroundings is None:
            return reading.__reduce__()
        # This package may be found nowhere but on the program's own search path, which a fresh interpreter lacks.
        finding = _Call(exec, (f"import sys; sys.path[:] = {list(self._surroundings.path)!r}",))
        return operator.getitem, ((finding, reading), 1)

    def mark_read(self) -> None:
        """It has been read in the process that it names."""
        self._is_read = True

    def begin(self) -> str:
        """In the process, once it has imported the program; returns the plain name, which nobody reads again."""
        # A fork, to which it has not travelled.
        if not self._is_read:
            _become_worker(self._surroundings)
        if isinstance(sys.excepthook, _ImportHook):
            sys.excepthook.close()
        if self._surroundings is not None:
            self._surroundings.streams.put_input()
            self._surroundings.close()
        return str(self)


class _Call:
    """A call that is made where this is unpickled."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def _read(name: str, said: Descriptor, who: Who, surroundings: Surroundings | None, parent: int) -> FirstName:
    _become_worker(surroundings)
    # `multiprocessing` says whose child this is only after the import. A main file that asks is to be told so at once.
    vars(process)["_parent_process"] = vars(process)["_ParentProcess"]("MainProcess", parent, None)  # pyright: ignore[reportIndexIssue]
    sys.excepthook = _ImportHook(said, who)
    if surroundings is not None:
        vars(spawn)["prepare"] = partial(_prepare, spawn.prepare, surroundings)  # pyright: ignore[reportIndexIssue]
    first = FirstName(name, None, who, surroundings)
    first.mark_read()
    return first


def _read_before() -> str:
    return process.current_process().name


def _become_worker(surroundings: Surroundings | None) -> None:
    """As it reads its name, or where it is a fork, which reads none."""
    become_worker()
    turn_deaf()
    # It leads a group, in which all that it starts can be found and ended: docs/adr/0024.
    os.setsid()
    begin_afresh()
    restore_in_forks()
    if surroundings is not None:
        surroundings.enter()


def _prepare(prepare: Callable[[dict[str, Any]], None], surroundings: Surroundings, data: dict[str, Any]) -> None:
    """As `multiprocessing` does, before it imports the main file; but as it was when the run started, not just now."""
    vars(spawn)["prepare"] = prepare  # pyright: ignore[reportIndexIssue]
    prepare(data | {"sys_path": list(surroundings.path), "dir": surroundings.directory or data["dir"]})


class _ImportHook:
    """Tells the main process what has ended this one before a worker ran in it."""

    def __init__(self, said: Descriptor, who: Who) -> None:
        self._said = said
        self._who = who

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and _imports(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        failure = failure_texts.not_started(self._who, error.with_traceback(traceback))
        tell(self._said, Failed(failure, error).packed(self._who))

    def close(self) -> None:
        """Nothing more to tell: the worker does that."""
        sys.excepthook = sys.__excepthook__
        self._said.close()


def _imports(path: str) -> bool:
    return path.startswith((process.__file__.removesuffix("process.py"), "<frozen ", "<string>", __file__))
