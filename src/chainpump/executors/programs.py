"""Workers that run in programs of their own on this machine. A user's executor starts them.

    main process                                    program
    parcel, a file in memory  ----------------->    read by `program_main`, which runs the worker

The program may be any Python that has this package. The reports of the worker, and the detection of its death, are the
same as for `processes`.
"""

from __future__ import annotations

import os
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from multiprocessing import spawn
from typing import TYPE_CHECKING, Any, TypeAlias

from ..ipc.descriptors import Descriptor, pipe
from ..ipc.system import is_portable, text_file
from ..lazy_dataclass import dataclass, field, replace
from ..plan.placement import Capabilities, Workers, check_whole, check_workers
from ..worker.worker import Worker
from .base import WorkerHandle
from .bootstrap import BootstrapName
from .process_handle import ProcessHandle
from .process_main import GO
from .program_process import Program, passed_descriptors
from .start_methods import StartedProcess, watch_by_kernel

if TYPE_CHECKING:
    import subprocess

__all__ = ["ProgramExecutor"]

Launch: TypeAlias = "Callable[[Sequence[str], Sequence[int]], subprocess.Popen[Any]]"

# The name of the file in memory. It is visible in `/proc`.
PARCEL = "chainpump-program"
MAIN = f"from {__package__}.program_main import main; main()"


@dataclass(frozen=True)
class ProgramExecutor(ABC):
    """Run a stage in programs on this machine. A subclass is a frozen dataclass with the method `launch`.

    Such a worker has all features of a worker of `Processes`: restarts, timeouts, logs, and errors that name it. The
    program must be a Python that has this version of chainpump installed. It searches for modules in its own path
    first, and then in the path of the running program.
    workers, restarts: as for `Processes`.
    Raises StageOptionError if workers < 1 or restarts < 0.
    """

    workers: Workers = 1
    restarts: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_workers(self, self.workers, or_auto=True)
        check_whole(self.restarts, f"{type(self).__name__}: restarts", least=0)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of processes that import the program's main file."""
        return Capabilities(own_process=True, pickles_functions=True, restarts=self.restarts)

    @abstractmethod
    def launch(self, arguments: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[Any]:
        """Start a Python with these arguments. It must inherit these descriptors under the same numbers.

        From then on the library owns the process: it waits for it, sends it signals, and reads its exit code.
        Raises OSError if it cannot be started.
        """

    def start(self, worker: Worker) -> WorkerHandle:
        """Start one program."""
        return ProcessHandle(worker, partial(_start, launch=self.launch))


def _start(worker: Worker, report_pipe: Descriptor, stack: Descriptor, launch: Launch) -> StartedProcess:
    """Start a worker in a program.

    If this raises, a program that was started ends at once, because it never receives GO.
    """
    who = worker.who
    lifeline_reader, lifeline = pipe()
    bootstrap_pipe = report_pipe.dup()
    name = BootstrapName(f"chainpump-{who.stage}-{who.number}", bootstrap_pipe, worker.assignments[-1], None)
    program: Program | None = None
    try:
        with closing(text_file(PARCEL)) as parcel:
            passed = _write_parcel(parcel, name, worker, (worker, report_pipe, lifeline_reader, stack, is_portable()))
            arguments = ("-P", "-c", MAIN, str(parcel.fileno()))
            program = Program(str(name), launch(arguments, (*passed, parcel.fileno())))
        death_watch = watch_by_kernel(program)
        os.write(lifeline.fileno(), GO)
    except BaseException:
        lifeline.close()
        if program is not None:
            program.join()
        raise
    finally:
        lifeline_reader.close()
        bootstrap_pipe.close()
    return StartedProcess(program, lifeline, death_watch)


def _write_parcel(parcel: Descriptor, name: BootstrapName, worker: Worker, arguments: tuple[Any, ...]) -> Sequence[int]:
    """Write the parcel that `program_main` reads. Returns the numbers of the descriptors that the parcel refers to."""
    # The run sets this for every worker that is a process.
    assert worker.surroundings is not None
    with passed_descriptors() as passed:
        path = _program_path(worker.surroundings.path)
        setup = replace(worker.surroundings, path=path), spawn.get_preparation_data(name)
        with open(parcel.fileno(), "wb", closefd=False) as file:
            pickle.dump(setup, file, pickle.HIGHEST_PROTOCOL)
            pickle.dump(arguments, file, pickle.HIGHEST_PROTOCOL)
    return passed


def _program_path(path: Sequence[str]) -> Sequence[str]:
    """The search path of this program without the paths of its interpreter. The other interpreter has its own."""
    import site
    import sysconfig

    paths = sysconfig.get_paths()
    installed = {paths["purelib"], paths["platlib"], site.getusersitepackages(), *site.getsitepackages()}
    return [
        each
        for each in path
        if each not in installed and not f"{each}{os.sep}".startswith(f"{paths['stdlib']}{os.sep}")
    ]
