"""Press Ctrl-C at every moment at which the interpreter looks for it: `python -m tests.ctrl_c_points`.

    python -m tests.ctrl_c_points --place forkserver --every 10

A short run, by iteration, with a sink or opened with a sink, is interrupted at the n-th such moment of the main thread
within the library, for n = 1, 2 and so on until it ends before. CPython looks for signals behind each call, as a
function begins, and as a loop begins again: so also behind the call by which Python code has taken a lock, in front of
what would give it back.

Each run must raise KeyboardInterrupt, and nothing may be left of it. The last lines count what was wrong, and tell how
long it took until the run was over. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import dis
import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TextIO

# As the tests have it, also in a worker that imports this module.
sys.path.insert(0, str(Path(__file__).parent))

import chainpump
from chainpump import Inline, Pipeline, Processes, Threads, sink, source
from support.processes import become_reaper
from support.verdict import LIMIT, Verdict, nothing_left, quiet

__all__ = ["PLACES", "WAYS", "Finger", "main", "press_at_each", "slowly", "total"]

PLACES: dict[str, Any] = {
    "threads": Threads(1),
    "forkserver": Processes(1),
    "spawn": Processes(1, start_method="spawn"),
    "fork": Processes(1, start_method="fork"),
    "inline": Inline(),
}
# Where the main thread of a run is: here, and in what of the standard library takes locks, or undoes what was begun.
WITHIN = (str(Path(chainpump.__file__).parent), threading.__file__, contextlib.__file__)
# Behind these, it looks for signals.
LOOKS = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD"}
ITEMS = 30


# ---------------------------------------------------------------------------------------------- what the pipeline does


def slowly() -> Iterator[int]:
    """Its consumers have to wait."""
    for number in range(ITEMS):
        yield number
        time.sleep(0.0002)


def total(numbers: Iterable[int]) -> int:
    """A sink."""
    return sum(numbers)


def _iterated(place: str) -> int:
    on = PLACES[place]
    return sum(Pipeline(source(slowly), on=on).map(abs, on=on))


def _into_a_sink(place: str) -> int:
    on = PLACES[place]
    return Pipeline(source(slowly), on=on).map(abs, on=on).into(sink(total), on=on).run().value


def _opened(place: str) -> int:
    on = PLACES[place]
    with Pipeline(source(slowly), on=on).map(abs, on=on).into(sink(total), on=on).open() as run:
        run.wait()
        return run.result().value


WAYS: dict[str, Callable[[str], int]] = {"iterated": _iterated, "sink": _into_a_sink, "opened": _opened}


# ------------------------------------------------------------------------------------------------------ one run


class Finger:
    """Presses Ctrl-C at the n-th moment of this thread."""

    def __init__(self, n: int) -> None:
        self._left = n
        # By frame: the instruction that it has done last.
        self._done: dict[int, int] = {}
        # Seconds of the monotonic clock.
        self.pressed_at: float | None = None
        self.where = ""

    def run(self, work: Callable[[], object]) -> None:
        """Do it, and count. Raises what it raises; KeyboardInterrupt ends the counting."""
        # Of any frame: 3.12 asks for it before it traces.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._step)
        try:
            work()
        finally:
            sys.settrace(None)

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(WITHIN):
            return None
        frame.f_trace_opcodes = True
        if event == "call":
            self._done.pop(id(frame), None)
        elif event == "opcode":
            done = self._done.get(id(frame))
            self._done[id(frame)] = frame.f_lasti
            if done is not None and frame.f_lasti in _moments(frame.f_code).get(done, ()) and not _is_finalizer(frame):
                self._left -= 1
                if self._left == 0:
                    self._press(frame)
        return self._step

    def _press(self, frame: FrameType) -> None:
        self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        self.pressed_at = time.monotonic()
        signal.raise_signal(signal.SIGINT)


def _is_finalizer(frame: FrameType | None) -> bool:
    """Whether what is raised here is printed, and lost: that is so in every program."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


@cache
def _moments(code: CodeType) -> dict[int, set[int]]:
    """By each instruction behind which signals are looked for: those that can follow, where the same `with` protects.

    What is raised then counts as raised by the first of them. It can only be raised here in front of the second: in
    front of one that another `with` protects, or none, it would be raised in a place where it never is.
    """
    # Unknown to its stubs.
    entries = vars(dis.Bytecode(code))["exception_entries"]
    offsets = {
        each.offset: [entry.target for entry in entries if entry.start <= each.offset < entry.end]
        for each in dis.get_instructions(code)
    }
    looks = [each.offset for each in dis.get_instructions(code) if each.opname in LOOKS]
    return {look: {other for other, targets in offsets.items() if targets == offsets[look]} for look in looks}


def _press_at(place: str, way: str, n: int, verdict: Verdict) -> bool:
    """One run; note what is wrong. Returns whether it came to that moment."""
    finger = Finger(n)
    name = f"{way} on {place}, moment {n}"
    values: list[int] = []
    end = "whole"
    with nothing_left(name, verdict):
        try:
            finger.run(lambda: values.append(WAYS[way](place)))
        except KeyboardInterrupt:
            end = "interrupted"
        except BaseException as error:
            verdict.note("blame", f"{name}: {error!r} came of Ctrl-C at {finger.where}")
            end = type(error).__name__
    if finger.pressed_at is None:
        if values != [sum(range(ITEMS))]:
            verdict.note("lost", f"{name}: {values} came, and nobody had pressed")
        return False
    verdict.outcomes[end] += 1
    verdict.reported_ms.append((time.monotonic() - finger.pressed_at) * 1000)
    if end == "whole":
        verdict.note("blame", f"{name}: no KeyboardInterrupt came of Ctrl-C at {finger.where}")
    return True


# ---------------------------------------------------------------------------------------------------- all moments


def press_at_each(place: str, way: str, every: int, offset: int, verdict: Verdict, stacks: TextIO | None = None) -> int:
    """Press at each of these moments; returns how many there are, but for `every`. stacks: where to tell of a hang."""
    become_reaper()
    # What is imported late, and what `multiprocessing` keeps, is there from now on.
    WAYS[way](place)
    for n in count(1 + offset, every):
        faulthandler.dump_traceback_later(LIMIT, exit=True, file=stacks or sys.stderr)
        try:
            if not _press_at(place, way, n, verdict):
                return n
        finally:
            faulthandler.cancel_dump_traceback_later()
    raise AssertionError("unreachable")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print what was seen."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.ctrl_c_points", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--place", choices=PLACES, action="append", help="where stages run (default: each)")
    parser.add_argument("--way", choices=WAYS, action="append", help="how the run is consumed (default: each)")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="at each K-th only (default: at all)")
    parser.add_argument("--offset", type=int, default=0, metavar="O", help="leave out so many (default: none)")
    options = parser.parse_args(arguments)
    wrong = False
    for place in options.place or PLACES:
        for way in options.way or WAYS:
            started = time.monotonic()
            verdict = Verdict(cause="Ctrl-C")
            with quiet(verdict) as stacks:
                most = press_at_each(place, way, options.every, options.offset, verdict, stacks)
            print(
                f"{way} on {place}: {most} moments", *verdict.lines(time.monotonic() - started), sep="\n  ", flush=True
            )
            wrong |= bool(verdict.wrong)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
