"""The program of the switchboard. Its argument is the descriptor of a file that describes the run."""

from __future__ import annotations

import pickle
import sys
import types

from .switchboard import serve
from .switchboard_parts import Setup

__all__ = ["main"]


def main() -> None:
    """Run the switchboard of a run until it has ended."""
    sys.modules["__main__"] = types.ModuleType("__main__")
    with open(int(sys.argv[1]), "rb") as parcel:  # noqa: PTH123  # it is a descriptor
        parcel.seek(0)
        setup: Setup = pickle.load(parcel)
    serve(setup)
