"""A program with a run in it, for tests that end a whole program: `python program.py SCENARIO PLACE`.

The gate comes as a pickle on standard input.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from chainpump import Pipeline, per_worker, sink, source, stage, warm
from contract import lasting
from faults import set_ups, stages
from faults.executors import on
from support.gate import LIMIT, WHOLE, Gate

TESTS = Path(__file__).parents[1]
# What is open until the interpreter is gone.
KEPT: list[object] = []


# ------------------------------------------------------------------------------------------ what a test calls


@contextmanager
def started(scenario: Callable[[Gate, str], None], place: str, gate: Gate) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a session of its own; its signals do not reach the tests."""
    command = [sys.executable, "-W", "error", __file__, scenario.__name__, place]
    environment = os.environ | {"PYTHONPATH": str(TESTS), "PYTHONDEVMODE": ""}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(pickle.dumps(gate))
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Exit status and output, the line with its own process id left out."""
    out, err = process.communicate(timeout=WHOLE)
    return process.returncode, out.decode().partition("\n")[2], err.decode()


# ---------------------------------------------------------------------------------------- what the program does


def held_everywhere(gate: Gate, place: str) -> Pipeline[int]:
    """Four workers: each comes to the gate."""
    return (
        Pipeline(source(stages.held_source, gate), on=on(place))
        .then(stage(stages.announcing, gate), on=on(place))
        .then(stage(stages.announcing, gate), on=on(place, 2))
    )


def wait(gate: Gate, place: str) -> None:
    """Waits for an item that never comes; ends as the signal says."""
    # Workers that end well have the time to, however busy the machine is: one that is ended by force is told of.
    with held_everywhere(gate, place).open(grace=LIMIT) as run:
        list(run)


def wait_in_sink(gate: Gate, place: str) -> None:
    """Waits for a sink that never ends."""
    numbers = Pipeline(source(stages.held_source, gate), on=on(place)).then(
        stage(stages.announcing, gate), on=on(place)
    )
    numbers.into(sink(stages.announcing_tally, gate), on=on(place, 2)).run(grace=LIMIT)


def interrupted(gate: Gate, place: str) -> None:
    """Says how often it was interrupted, and how it went on."""
    times = 0
    try:
        wait(gate, place)
    except KeyboardInterrupt:
        times += 1
    print("interrupted", times, [thread.name for thread in threading.enumerate()])
    assert list(Pipeline(range(3)).then(stages.same, on=on(place))) == [0, 1, 2]


def idle(gate: Gate, place: str) -> None:
    """Has two idle processes, tells them to the test, and waits; leaves the pool open unless it is interrupted."""
    with ExitStack() as stack:
        # On a slow machine, processes that end by themselves must have the time for it.
        pool = stack.enter_context(warm(grace=LIMIT))
        list(Pipeline(range(3)).then(stages.same, on=on(place)).map(abs, on=on(place)))
        with gate.held.open("wb", buffering=0) as held:
            for pid in pool.idle_pids:
                held.write(b"%d\n" % pid)
        gate.wait_released()
        stack.pop_all()


def interrupted_while_closing(gate: Gate, place: str) -> None:
    """Closes a pool with a process that does not end."""
    pool = warm(grace=0.2)
    list(Pipeline([gate]).map(lasting.end_never, on=on(place)))
    try:
        pool.close()
    except KeyboardInterrupt:
        print("interrupted", pool)


def interrupted_while_ending(gate: Gate, place: str) -> None:
    """Its worker has given all items, and a thread of it waits for ever."""
    try:
        list(Pipeline(range(3)).then(stage(stages.leave_thread, gate), on=on(place)))
    except KeyboardInterrupt:
        print("interrupted")


def interrupted_among_threads(gate: Gate, place: str) -> None:
    """Is interrupted in a loop, and while it waits for a sink; its workers are threads, which hear of no signal."""
    numbers = Pipeline(source(stages.announced, gate, 1 << 60), on=on("threads"))
    endless = numbers.map(stages.awaited, on=on(place, 8)) if place == "tasks" else numbers.map(abs, on=on(place, 2))
    times = 0
    for run in (lambda: stages.tally(endless), lambda: endless.into(stages.tally, on=on("threads")).run(grace=LIMIT)):
        try:
            run()
        except KeyboardInterrupt:
            times += 1
    print("interrupted", times, [thread.name for thread in threading.enumerate()])


def interrupted_by_fork(gate: Gate, place: str) -> None:
    """Is interrupted, parent and child, at the moment of the second fork."""
    forks = 0

    def interrupt() -> None:
        nonlocal forks
        forks += 1
        if forks == 2:
            signal.raise_signal(signal.SIGINT)

    os.register_at_fork(after_in_parent=interrupt, after_in_child=interrupt)
    interrupted(gate, place)


def exit_with_open_iterator(gate: Gate, place: str) -> None:
    """Leaves a half-read iterator in a global."""
    if place == "tasks":
        numbers = Pipeline(source(stages.awaited_each, stages.count_for_ever), on=on(place))
        pipeline = numbers.map(stages.awaited, on=on(place, 2))
    else:
        pipeline = Pipeline(source(stages.count_for_ever), on=on(place)).then(stages.same, on=on(place, 2))
    # Processes have the time to end well, however busy the machine is.
    items = iter(pipeline.open(grace=LIMIT) if place in ("forkserver", "spawn", "fork") else pipeline)
    KEPT.append(items)
    assert next(items) is not None


def exit_with_open_run(gate: Gate, place: str) -> None:
    """Leaves an open run in a global; its workers are busy."""
    KEPT.append(held_everywhere(gate, place).open(grace=0.5 if place == "threads" else LIMIT))
    gate.announce()


def raise_with_open_iterator(gate: Gate, place: str) -> None:
    """Ends by an exception while an iterator is open."""
    exit_with_open_iterator(gate, place)
    sys.exit("bye")


def exit_with_left_behind_thread(gate: Gate, place: str) -> None:
    """A thread that waits for ever does not keep the program."""
    inside = threading.Event()
    with Pipeline(range(3)).then(stage(stages.say_and_hold, inside, gate), on=on(place)).open(grace=0.05):
        inside.wait()


def trace_after_stuck_thread(gate: Gate, place: str) -> None:
    """Traces a call, as a debugger does, while a thread that is to be interrupted still waits."""
    inside = threading.Event()
    with Pipeline(range(3)).then(stage(stages.say_and_hold, inside, gate), on=on(place)).open(grace=0.05):
        inside.wait()
    traced = []
    sys.settrace(lambda frame, *_: traced.append(frame.f_code.co_name))
    on(place)
    sys.settrace(None)
    print(traced)


def stuck_ignoring_sigterm(gate: Gate, place: str) -> None:
    """Its worker hears no SIGTERM."""
    list(Pipeline(range(3)).then(stage(stages.stuck_ignoring_sigterm, gate), on=on(place)))


def stuck_in_c(gate: Gate, place: str) -> None:
    """Its worker hears no signal that can be blocked."""
    list(Pipeline(range(3)).then(stage(stages.stuck_in_c, gate), on=on(place)))


def swallow_first_sigterm(gate: Gate, place: str) -> None:
    """Turns SIGTERM into an orderly exit, as servers do."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wait(gate, place)


def large_items(gate: Gate, place: str) -> None:
    """Three workers with all that the transport has: slabs, slots, and the memory of one that may be replaced."""
    arrays = Pipeline(source(stages.announced_arrays, gate, 1 << 60, 2 << 20), on=on(place))
    passed = arrays.then(stage(stages.announcing, gate), on=on(place), in_flight=2)
    with passed.map(gate.hold, on=on(place), timeout=LIMIT).open(grace=LIMIT) as run:
        assert next(iter(run)).nbytes == 2 << 20


def in_a_program(gate: Gate, place: str) -> None:
    """Its worker waits for a program that hears no SIGTERM."""
    list(Pipeline(range(2)).map(partial(stages.in_a_program, gate=gate, is_deaf=True), on=on(place)))


def interrupted_after_set_up(gate: Gate, place: str) -> None:
    """Its workers are set up. No process gets an item; between threads, items move for ever."""
    factory: Any = set_ups.announced_async if place == "tasks" else set_ups.announced
    of_threads = place in ("threads", "tasks", "inline")
    numbers = Pipeline(count()) if of_threads else Pipeline(source(stages.held_source, gate), on=on(place))
    try:
        with numbers.map(per_worker(factory, gate), on=on(place, 2)).open(grace=LIMIT) as run:
            stages.tally(run)
    except KeyboardInterrupt:
        print("interrupted")


def held_up_in_native_code(gate: Gate, place: str) -> None:
    """Its worker waits at the gate; no thread of the main process runs any more."""
    with Pipeline(source(range, 3), on=on(place)).map(gate.hold, on=on(place), name="hold").open():
        gate.announce()
        ctypes.PyDLL(None).pause()


class StuckHandler(logging.Handler):
    """Never done with its first record."""

    def emit(self, record: logging.LogRecord) -> None:
        """Wait for ever."""
        threading.Event().wait()


def stuck_handler(gate: Gate, place: str) -> None:
    """Its worker logs more than there is room for."""
    logging.getLogger().addHandler(StuckHandler())
    list(Pipeline(source(stages.log_for_ever, gate), on=on(place)))


if __name__ == "__main__":
    # It is ignored where a shell started the tests behind `&`.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(os.getpid(), flush=True)
    globals()[sys.argv[1]](pickle.load(sys.stdin.buffer), sys.argv[2])
