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
    this = process.current_process()
    # While it is, a main file that starts processes is told that it must not.
    vars(this)["_inheriting"] = True
    with open(int(sys.argv[1]), "rb") as parcel:  # noqa: PTH123  # a descriptor
        parcel.seek(0)
        around: Surroundings
        # From here on the main process is told what this one raises.
        around, preparation = pickle.load(parcel)
        around = replace(around, path=[*sys.path, *around.path])
        around.enter()
        spawn.prepare(preparation | {"sys_path": list(around.path), "dir": around.directory or preparation["dir"]})
        around.streams.put_input()
        around.close()
        arguments = pickle.load(parcel)
    del vars(this)["_inheriting"]
    run_worker(*arguments)
