"""What a kept process does between two workers: it waits for the next one, or for its end.

    main process                                   kept process
    parcels  ----- NextWorker ----------------->   runs it
             ----- End ------------------------>   ends as a program does
             <---- READY ----------------------    its worker has finished, and nothing of that run is left

The process keeps its functions and all that they have made: set-ups (`per_worker`), modules, global variables, threads.
"""

from __future__ import annotations

import signal
from types import FrameType

from ..ipc import parcels
from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass
from ..pickling.shared_functions import Loadable
from ..worker.current_worker import set_for_process
from ..worker.standard_streams import StandardStreams
from ..worker.worker import Worker
from .process_run import ProcessRun, reset_peak_memory

__all__ = ["READY", "End", "NextWorker", "run_next_workers"]

READY = b"+"


@dataclass(frozen=True, slots=True)
class NextWorker:
    """The next worker of a process, with what `run_worker` gets for the first one."""

    worker: Worker
    report_pipe: Descriptor
    stack: Descriptor
    streams: StandardStreams


@dataclass(frozen=True, slots=True)
class End:
    """The process is to end. streams: for what its clean-up prints; None if no descriptor was left for them."""

    streams: StandardStreams | None


class _Terminated(BaseException):
    """SIGTERM has arrived while the process had no worker."""


def run_next_workers(run: ProcessRun, source: Descriptor) -> ProcessRun:
    """Run one worker after the other, until one does not end well or the main process ends this process.

    Returns the last run.
    """
    try:
        while run.has_ended_well:
            code = run.code
            # The handler of the worker needs the worker, which is released now.
            signal.signal(signal.SIGTERM, _terminate)
            run.release()
            StandardStreams.detach()
            message = _next_message(source, code)
            if message.streams is not None:
                _use(message.streams)
            if isinstance(message, End):
                break
            reset_peak_memory()
            set_for_process(message.worker.assignments[-1].current_worker)
            run = ProcessRun(message.worker, message.report_pipe, message.stack, run)
            del message
            run.run(_do_nothing)
    except _Terminated:
        run.was_terminated = True
    # What factories have made is left now, whatever signal comes. An interrupted worker has left it already.
    signal.signal(signal.SIGTERM, _ignore)
    run.set_ups.leave_with_process()
    return run


def _next_message(source: Descriptor, code: Loadable) -> NextWorker | End:
    """Report that this process is ready, and wait for what it is to do. code: the functions that it has."""
    try:
        source.socket().send(READY)
        message: NextWorker | End = parcels.receive(source, known=[code])
    except (EOFError, OSError):
        # The main process has closed the connection, or a stage has done so.
        return End(None)
    return message


def _terminate(_: int, __: FrameType | None) -> None:
    raise _Terminated


def _ignore(_: int, __: FrameType | None) -> None:
    pass


def _use(streams: StandardStreams) -> None:
    streams.put_output()
    streams.put_input()
    streams.close()


def _do_nothing() -> None:
    """The process has been set up already."""
