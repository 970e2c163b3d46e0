"""The surroundings of a program. The main process reads them when a run starts, and gives them to its workers.

So all workers have the same surroundings, with any start method and at any time of the run. A fork server would give a
worker the surroundings of the server's start, and a fork would give it those of the moment.
"""

from __future__ import annotations

import _locale
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import process
from pathlib import Path
from typing import Any

from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass, replace
from .standard_streams import StandardStreams

__all__ = ["Surroundings", "search_path", "working_directory"]

# A temporary umask. Files that other threads create in the meantime are not accessible to other users.
MOST_CAREFUL = 0o077
# What `multiprocessing` tells a new process about the main file.
IMPORTS_MAIN = ("init_main_from_name", "init_main_from_path")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The surroundings of a program. The owner closes them.

    environment: the environment variables. directory: the working directory, or None if it was deleted. path: the
    search path of modules. locale: in the format of `locale.setlocale`. imports_main: whether a worker process imports
    the main file of the process that starts it. It does not if that is not the program.
    """

    environment: Mapping[bytes, bytes]
    directory: str | None
    path: Sequence[str]
    umask: int
    locale: str
    streams: StandardStreams
    imports_main: bool = True

    @classmethod
    def now(cls) -> Surroundings:
        """The surroundings of this process. Raises OSError if no descriptor is left."""
        return cls(
            dict(os.environb),
            working_directory(),
            search_path(),
            _umask(),
            _locale.setlocale(_locale.LC_ALL, None),
            StandardStreams.now(),
        )

    def with_output(self, end: Descriptor) -> Surroundings:
        """The same for workers that write to this end in place of a terminal. See `StandardStreams.with_output`."""
        return replace(self, streams=self.streams.with_output(end))

    def without_input(self) -> Surroundings:
        """The same for a worker that must not read standard input."""
        return replace(self, streams=self.streams.without_input())

    def with_variables(self, variables: Mapping[bytes, bytes]) -> Surroundings:
        """The same with more environment variables."""
        return replace(self, environment={**self.environment, **variables})

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """The descriptors that a forked worker keeps open."""
        return [end for end in self.streams.descriptors if end is not None]

    def enter(self) -> None:
        """Apply all but standard input to this process, which has not imported the program yet."""
        self._set_variables()
        os.umask(self.umask)
        if _locale.setlocale(_locale.LC_ALL, None) != self.locale:
            # Type checkers do not know this name.
            locale_error: type[Exception] = vars(_locale)["Error"]
            # The locale may have been removed from the system.
            with suppress(locale_error):
                _locale.setlocale(_locale.LC_ALL, self.locale)
        self.find_modules()
        self.streams.put_output()

    def find_modules(self) -> None:
        """Set the working directory and the search path of this process."""
        if self.directory is not None and self.directory != working_directory():
            os.chdir(self.directory)
        if list(self.path) != search_path():
            sys.path[:] = self.path

    def preparation(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What `multiprocessing` prepares in a new process, from what it would prepare. Any: values of many types.

        The search path and directory are those at the start of the run, and not the current ones of the main process.
        """
        dropped = () if self.imports_main else IMPORTS_MAIN
        kept = {name: value for name, value in data.items() if name not in dropped}
        return kept | {"sys_path": list(self.path), "dir": self.directory or data["dir"]}

    def close(self) -> None:
        """Close the descriptors."""
        self.streams.close()

    def _set_variables(self) -> None:
        """Set the variables with `os.environb`, so that C libraries find them when they are loaded."""
        found = dict(os.environb)
        for name in found.keys() - self.environment.keys():
            del os.environb[name]
        for name, value in self.environment.items():
            if found.get(name) != value:
                os.environb[name] = value
        # A new program reads TZ when it starts. A forked process may not have read it after the main process set it.
        time.tzset()


def search_path() -> list[str]:
    """`sys.path` with the start directory in place of the empty string, as in `multiprocessing`."""
    started_in = vars(process)["ORIGINAL_DIR"]
    # A program may have added a `Path` object, which Python ignores.
    found: list[object] = [*sys.path]
    return [started_in if entry == "" and started_in else entry for entry in found if isinstance(entry, str)]


def working_directory() -> str | None:
    """The working directory of this process; None if it was deleted."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None


def _umask() -> int:
    """Read the umask from the kernel if possible, because the other way changes it for a moment."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(MOST_CAREFUL)
    os.umask(umask)
    return umask
