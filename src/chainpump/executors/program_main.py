"""The main function of a worker that runs in a program of its own. Its own module search path comes first."""

from __future__ import annotations

import pickle
import sys
from multiprocessing import process, spawn

from ..lazy_dataclass import replace
from ..worker.surroundings import Surroundings
from .process_main import run_worker

__all__ = ["main"]


def main() -> None:
    """Run the worker that a file describes. The descriptor of the file is the argument of the program."""
    this_process = process.current_process()
    # While this is set, `multiprocessing` refuses to start processes from the main file, with an error that explains
    # it.
    vars(this_process)["_inheriting"] = True
    with open(int(sys.argv[1]), "rb") as parcel:  # noqa: PTH123  # it is a descriptor
        parcel.seek(0)
        surroundings: Surroundings
        # Loading this also sets up the process. From then on its exceptions are reported to the main process.
        surroundings, preparation = pickle.load(parcel)
        surroundings = replace(surroundings, path=[*sys.path, *surroundings.path])
        surroundings.enter()
        spawn.prepare(surroundings.preparation(preparation))
        surroundings.streams.put_input()
        surroundings.close()
        arguments = pickle.load(parcel)
    del vars(this_process)["_inheriting"]
    run_worker(*arguments)
