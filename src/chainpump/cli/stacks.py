"""What the runs of another process are at: looked up in its memory files, and asked of its workers and of itself.

Nothing listens for this, and the main process need not be able to answer: what every worker is at is on the board,
which any process of the same user can read, and a worker writes its stack when it gets a signal, whatever it is in.

The process may be hostile, and this one may be root's. So each of its files is taken hold of once, without opening it,
and is looked at by that hold; nothing is opened that is no memory file, or pipe, of the expected kind; no file is
written to or cut off; and no more is read than a run of this size can have to tell.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from ..engine.introspection import ASKED, RUN, answered
from ..engine.worker_status import Roster, Standing, Whereabouts, stacks_of, standings, table_of
from ..executors.process_main import SHOW_STACK, STACK
from ..ipc.board import BOARD, CELLS
from ..progress.snapshot import clock
from .target import UsageError

__all__ = ["stacks"]

PROC = Path("/proc")
# Seconds for an answer; who is held up in native code, or stopped, gives none.
PATIENCE = 2.0
# In the first line of a stack.
HEAD = "(most recent call first)"
# Seconds between two looks: nothing tells that a memory file has grown.
LOOK = 0.005
# Bytes of one answer; what is longer is cut off.
LONGEST = 1 << 20
# Bytes of a board: some 80,000 workers.
LARGEST = 1 << 24
# What looking at a file of another version, or at one that is made up, may raise.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def stacks(pid: int) -> str:
    """What every worker of every run in a process is at, and where. Raises UsageError if that cannot be told."""
    if not (PROC / "self").exists():
        raise UsageError("stacks works where there is /proc, which is on Linux.")
    try:
        with ExitStack() as stack:
            runs = [stack.enter_context(closing(run)) for run in _runs(pid)]
            if runs:
                return "\n\n".join(run.told() for run in runs)
        above = _above(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise UsageError(f"there is no process {pid}.") from None
    except PermissionError:
        raise UsageError(f"process {pid} is not yours: only its user, and root, may look into it.") from None
    except UNREADABLE:
        raise UsageError(f"process {pid} has another version of chainpump: ask with that one.") from None
    if above is not None:
        raise UsageError(f"no pipeline runs in process {pid}, but in process {above} above it: ask for that one.")
    raise UsageError(f"no pipeline runs in process {pid}; with CHAINPUMP_TRANSPORT=portable none can be seen.")


def _runs(pid: int) -> Iterator[_Run]:
    """Those that are in a process, in the order in which they were opened. Raises OSError and what unpacking raises."""
    boards = {os.fstat(file).st_ino: _read(file, LARGEST) for file in _memory_files(pid, BOARD)}
    for file in _memory_files(pid, RUN):
        with ExitStack() as stack:
            answer = stack.enter_context(closing(_Answer(file)))
            roster = Roster.unpacked(answer.owner)
            if roster.cells != CELLS:
                raise ValueError(roster.cells)
            # It has just ended.
            if roster.board not in boards:
                continue
            cells = memoryview(boards[roster.board]).cast("Q")
            # It is the run's to close.
            stack.pop_all()
        yield _Run(pid, roster, answer, cells)


def _above(pid: int) -> int | None:
    """The nearest process above one in which a pipeline runs: its workers are below it, and who starts them."""
    # From here on they are somebody else's, or have just ended.
    with suppress(OSError):
        while pid := int((PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()[1]):
            if any(True for _ in _memory_files(pid, RUN)):
                return pid
    return None


def _memory_files(pid: int, name: str) -> Iterator[int]:
    """The memory files of this name that a process has, each once, open for reading until the next one is asked for."""
    with _memory() as device:
        for held in _held(pid, f"/memfd:{name} (deleted)"):
            found = os.fstat(held)
            if stat.S_ISREG(found.st_mode) and found.st_dev == device:
                with _opened(held, os.O_RDONLY) as file:
                    yield file


@contextmanager
def _memory() -> Generator[int]:
    """The device of all memory files, of which nobody can have another kind of file, whatever its name is."""
    file = os.memfd_create("chainpump-looks", os.MFD_CLOEXEC)
    try:
        yield os.fstat(file).st_dev
    finally:
        os.close(file)


def _held(pid: int, name: str) -> Iterator[int]:
    """What a process has open under this name, each once: a hold on it, which opens nothing. Raises OSError.

    The number may lead to another file at any time; a hold does not.
    """
    known = set()
    for path in sorted((PROC / str(pid) / "fd").iterdir(), key=lambda path: int(path.name)):
        # It may have been closed meanwhile.
        with suppress(FileNotFoundError), _opened(path, os.O_PATH) as held:
            if _name(held) == name and (number := os.fstat(held).st_ino) not in known:
                known.add(number)
                yield held


def _name(held: int) -> str:
    return str((PROC / "self" / "fd" / str(held)).readlink())


@contextmanager
def _opened(path: Path | int, flags: int) -> Generator[int]:
    """A descriptor of a file, or of what another descriptor holds."""
    file = os.open(path if isinstance(path, Path) else PROC / "self" / "fd" / str(path), flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _read(file: int, most: int) -> bytes:
    """All of a file. Raises ValueError if that is more than this."""
    if os.fstat(file).st_size > most:
        raise ValueError(most)
    return os.pread(file, most, 0)


class _File:
    """A memory file that somebody adds to when asked. owner: its first line, which says whose file it is."""

    def __init__(self, file: int) -> None:
        head, _, _ = os.pread(file, LONGEST, 0).partition(b"\n")
        self.owner = head.decode()
        self._fd = os.dup(file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class _Answer(_File):
    """What a main process adds to the file of a run: a line with each answer, the last of which counts."""

    def __init__(self, file: int) -> None:
        super().__init__(file)
        self._asked = time.monotonic_ns()
        self.found: list[Whereabouts] | None = None

    def is_complete(self) -> bool:
        """Whether it has come, since this was made."""
        start = max(len(self.owner.encode()) + 1, os.fstat(self._fd).st_size - LONGEST)
        text = os.pread(self._fd, LONGEST, start).decode(errors="replace")
        if text.endswith("\n"):
            at, found = answered(text.splitlines()[-1])
            self.found = found if at >= self._asked else None
        return self.found is not None


class _Stack(_File):
    """What a worker adds to its own. Raises OSError.

    Nothing marks the end of a stack. So it is asked for a second one, as soon as the first has begun: that begins when
    the first has ended.
    """

    def __init__(self, file: int, process: int) -> None:
        super().__init__(file)
        self._from = os.fstat(file).st_size
        self._process = os.dup(process)
        self._times = 0

    def ask(self) -> None:
        """Have it write."""
        self._times += 1
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, SHOW_STACK)

    def is_complete(self) -> bool:
        """Whether all of the first stack has come."""
        begun = self._text.count(HEAD)
        if begun == self._times == 1:
            self.ask()
        return begun > 1

    @property
    def _text(self) -> str:
        return os.pread(self._fd, LONGEST, self._from).decode(errors="replace")

    @property
    def stack(self) -> str:
        """The first one."""
        return "".join(self._text.split(HEAD)[1:2])

    def close(self) -> None:
        """Close the file, and let go of the process."""
        super().close()
        os.close(self._process)


class _Run:
    """One run, seen from outside. cells: of its board, as they were when it was looked at."""

    def __init__(self, pid: int, roster: Roster, answer: _Answer, cells: memoryview) -> None:
        self._pid = pid
        self._roster = roster
        self._answer = answer
        self._cells = cells

    def told(self) -> str:
        """All of it, as text."""
        now = time.monotonic_ns()
        found = list(standings(self._roster, self._rows))
        names = " → ".join(name for team in self._roster.teams for _, name, _ in team.stages)
        where, silent = self._asked(found)
        lines = [
            f"{names}: process {self._pid}, for {clock((now - self._roster.opened) / 1e9)}",
            *(f"  {line}" for line in table_of(found, now).splitlines()),
            stacks_of(self._roster, self._rows, where),
        ]
        if silent:
            lines.append(
                f"No answer within {PATIENCE:g} s, as if stopped or held up in native code: {', '.join(silent)}"
            )
        return "\n".join(lines)

    def _rows(self, number: int) -> memoryview:
        return self._cells[number * CELLS : (number + 1) * CELLS]

    def _asked(self, found: Sequence[Standing]) -> tuple[Sequence[Whereabouts], Sequence[str]]:
        """Where all are that answer, and who does not."""
        with ExitStack() as stack:
            asked: dict[Standing, _Stack] = {}
            # The main process first: it throws away what workers have answered before, if that is much.
            is_rung = _rung(self._pid, self._roster.bell)
            _wait_for([self._answer] if is_rung else [])
            for each in found:
                if each.pid != self._roster.pid and (answer := _asked_worker(each.pid)) is not None:
                    asked[each] = stack.enter_context(closing(answer))
            _wait_for([*asked.values()])
            silent = [each.who.placed(each.pid) for each, answer in asked.items() if not answer.stack]
            silent += [f"the main process (pid {self._pid})"] if is_rung and self._answer.found is None else []
            where = [Whereabouts(each.place, "", answer.stack) for each, answer in asked.items()]
        return [*where, *(self._answer.found or ())], silent

    def close(self) -> None:
        """Close its file."""
        self._answer.close()


def _wait_for(answers: Sequence[_Answer | _Stack]) -> None:
    """Wait until all have come, or for as long as they may take."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not all(answer.is_complete() for answer in answers):
        time.sleep(LOOK)


def _asked_worker(pid: int) -> _Stack | None:
    """Ask a worker; None if it cannot be asked: it is about to start, or has ended."""
    with suppress(OSError):
        # The process first, then the look at whose file it is: so whoever gets the signal can take it.
        process = os.pidfd_open(pid)
        try:
            for file in _memory_files(pid, STACK):
                answer = _Stack(file, process)
                # Else it is of one that this one has started.
                if answer.owner == str(pid):
                    answer.ask()
                    return answer
                answer.close()
        finally:
            os.close(process)
    return None


def _rung(pid: int, bell: int) -> bool:
    """Ask a main process; whether there is somebody who would answer."""
    with suppress(OSError):
        for held in _held(pid, f"pipe:[{bell}]"):
            if stat.S_ISFIFO(os.fstat(held).st_mode):
                with _opened(held, os.O_WRONLY | os.O_NONBLOCK) as end:
                    return os.write(end, ASKED) > 0
    return False
