"""What a program runs that is a worker: it starts as `multiprocessing` has it, and keeps where it finds its modules."""

from __future__ import annotations

import pickle
import sys
from multiprocessing import process, spawn

from ..lazy_dataclass import replace
from ..worker.surroundings import Surroundings
from .process_main import run_worker

__all__ = ["main"]


def main() -> None:
    """Run the worker that a file describes, whose descriptor is the program's argument."""
    this_process = process.current_process()
    # While it is, a main file that starts processes is told that it must not.
    vars(this_process)["_inheriting"] = True
    with open(int(sys.argv[1]), "rb") as parcel:  # noqa: PTH123  # a descriptor
        parcel.seek(0)
        surroundings: Surroundings
        # From here on the main process is told what this one raises.
        surroundings, preparation = pickle.load(parcel)
        surroundings = replace(surroundings, path=[*sys.path, *surroundings.path])
        surroundings.enter()
        spawn.prepare(
            preparation | {"sys_path": list(surroundings.path), "dir": surroundings.directory or preparation["dir"]}
        )
        surroundings.streams.put_input()
        surroundings.close()
        arguments = pickle.load(parcel)
    del vars(this_process)["_inheriting"]
    run_worker(*arguments)
