"""What a process has from where it was started, read in the main process as a run starts, and given to its workers.

Whatever the start method, and however late in the run a worker starts: a fork server would give it what was there as
that server started, a fork what is there at that moment.
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

from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass, replace
from .standard_streams import StandardStreams

__all__ = ["Surroundings"]

MOST_CAREFUL = 0o077  # a umask for a moment: what another thread creates meanwhile is open to nobody else


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The surroundings of a program. Its owner closes them.

    environment: its variables. directory: the working directory; None if it was deleted. path: where modules are looked
    for. locale: as `locale.setlocale` takes it.
    """

    environment: Mapping[bytes, bytes]
    directory: str | None
    path: Sequence[str]
    umask: int
    locale: str
    streams: StandardStreams

    @classmethod
    def now(cls) -> Surroundings:
        """Those of this process. Raises OSError where no descriptor is left."""
        return cls(
            dict(os.environb),
            _directory(),
            search_path(),
            _umask(),
            _locale.setlocale(_locale.LC_ALL, None),
            StandardStreams.now(),
        )

    def without_input(self) -> Surroundings:
        """The same for a worker that is not to read standard input."""
        return replace(self, streams=self.streams.without_input())

    @property
    def descriptors(self) -> Sequence[Descriptor]:
        """What a worker must keep when it is forked."""
        return [end for end in self.streams.descriptors if end is not None]

    def enter(self) -> None:
        """Give them to this process, which has imported nothing of the program yet; all but standard input."""
        self._set_variables()
        os.umask(self.umask)
        if _locale.setlocale(_locale.LC_ALL, None) != self.locale:
            locale_error: type[Exception] = vars(_locale)["Error"]  # unknown to type checkers
            with suppress(locale_error):  # the system has taken it away since
                _locale.setlocale(_locale.LC_ALL, self.locale)
        self.find_modules()
        self.streams.put_output()

    def find_modules(self) -> None:
        """Give this process the working directory and the search path."""
        if self.directory is not None and self.directory != _directory():
            os.chdir(self.directory)
        if list(self.path) != search_path():
            sys.path[:] = self.path

    def close(self) -> None:
        """Release the descriptors."""
        self.streams.close()

    def _set_variables(self) -> None:
        """Through `os.environb`, which tells the C library, too. Who looks there as it is loaded finds them."""
        found = dict(os.environb)
        for name in found.keys() - self.environment.keys():
            del os.environb[name]
        for name, value in self.environment.items():
            if found.get(name) != value:
                os.environb[name] = value
        time.tzset()  # a program that starts with these reads TZ; a fork has not, if the main process has only set it


def search_path() -> list[str]:
    """`sys.path`; for the empty string, as `multiprocessing` does, the directory in which the program was started."""
    started_in = vars(process)["ORIGINAL_DIR"]
    found: list[object] = [*sys.path]  # nothing keeps a program from adding a `Path`, which finds no module
    return [started_in if entry == "" and started_in else entry for entry in found if isinstance(entry, str)]


def _directory() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None


def _umask() -> int:
    """Without a change, where the kernel tells."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(MOST_CAREFUL)
    os.umask(umask)
    return umask
