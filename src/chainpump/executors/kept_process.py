"""A worker process that is kept for further workers, as seen from the main process.

`kept_loop` is the code that it runs between two workers. `ProcessHandle` supervises one worker in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..ipc import parcels
from ..ipc.descriptors import Descriptor
from ..logs.records import Levels
from ..messages.names import WorkerName
from ..worker.standard_streams import StandardStreams
from ..worker.worker import Worker
from .kept_loop import READY, End, NextWorker

__all__ = ["Fit", "KeptProcess"]


class Fit(NamedTuple):
    """All that must be equal for a process to run another worker.

    method: the start method. code: a hash of the functions with their arguments. Other fields: the surroundings in
    which the process has imported the program.
    """

    method: object
    who: WorkerName
    code: bytes
    environment: object
    directory: str | None
    path: tuple[str, ...]
    umask: int
    locale: str
    levels: Levels | None

    @classmethod
    def of(cls, worker: Worker, method: object) -> Fit | None:
        """What a process must have for this worker. None if the worker needs a new process in any case."""
        code, around, logs = worker.code.digest(), worker.surroundings, worker.logs
        if code is None or around is None or logs is None:
            return None
        rest = around.environment, around.directory, tuple(around.path), around.umask, around.locale
        return cls(method, worker.who, code, *rest, logs.levels)


class KeptProcess:
    """The main process's end of the connection to a process that is kept.

    give_back: gives the process to its keeper; see `Keeper`. Any: a `ProcessHandle`, whose module imports this one.
    """

    def __init__(self, fit: Fit, end: Descriptor, give_back: Callable[[Any], bool]) -> None:
        self.fit = fit
        self.give_back = give_back
        self._end = end
        self._is_ready = False

    @property
    def waitables(self) -> tuple[int, ...]:
        """The descriptor that becomes readable when the process is ready. None while it is."""
        return () if self._is_ready or self._end.closed else (self._end.fileno(),)

    def check_ready(self) -> bool:
        """Return whether the worker has finished and nothing of its run is left in the process. Never waits."""
        if not self._is_ready:
            self._end.socket().setblocking(False)
            try:
                self._is_ready = self._end.socket().recv(len(READY)) == READY
            except BlockingIOError:
                return False
            except OSError:
                # The process has died, and had not read all.
                pass
            if not self._is_ready:
                self.close()
        return self._is_ready

    def run(self, worker: Worker, report_pipe: Descriptor, stack: Descriptor) -> None:
        """Let the process run a worker. Raises OSError if it has died."""
        assert worker.surroundings is not None
        self._is_ready = False
        next_worker = NextWorker(worker, report_pipe, stack, worker.surroundings.streams)
        parcels.send(self._end, next_worker, known=[worker.code])

    def end(self) -> None:
        """Let the process end as a program does."""
        streams = None
        try:
            streams = StandardStreams.now()
            parcels.send(self._end, End(streams))
        except OSError:
            # The process has died, or no descriptor is left. It ends when its socket has no other end.
            pass
        finally:
            if streams is not None:
                streams.close()
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._end.close()
