"""What the runs of another process are at: looked up in its memory files, and asked of its workers and of itself.

Nothing listens for this, and the main process need not be able to answer: what every worker is at is on the board,
which any process of the same user can read, and a worker writes its stack when it gets a signal, whatever it is in.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from .engine.inquiries import ASKED, RUN, answered
from .engine.standings import Roster, Standing, Whereabouts, stacks_of, standings, table_of
from .executors.process_main import SHOW_STACK, STACK
from .progress.snapshot import clock
from .targets import UsageError
from .transport.board import BOARD, CELLS

__all__ = ["stacks"]

PROC = Path("/proc")
PATIENCE = 2.0  # seconds for an answer; who is held up in native code, or stopped, gives none
HEAD = "(most recent call first)"  # in the first line of a stack
LOOK = 0.005  # seconds between two looks: nothing tells that a memory file has grown
LONGEST = 1 << 20  # bytes of one answer; what is longer is cut off
MOST = 1 << 20  # bytes of old answers: beyond, they are thrown away


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
    except (ValueError, KeyError, TypeError, SyntaxError):
        raise UsageError(f"process {pid} has another version of chainpump: ask with that one.") from None
    if above is not None:
        raise UsageError(f"no pipeline runs in process {pid}, but in process {above} above it: ask for that one.")
    raise UsageError(f"no pipeline runs in process {pid}; with CHAINPUMP_TRANSPORT=portable none can be seen.")


def _runs(pid: int) -> Iterator[_Run]:
    """Those that are in a process, in the order in which they were opened. Raises OSError and what unpacking raises."""
    boards = {path.stat().st_ino: path for path in _files(pid, f"/memfd:{BOARD} (deleted)")}
    for path in _files(pid, f"/memfd:{RUN} (deleted)"):
        with ExitStack() as stack:
            answer = stack.enter_context(closing(_Answer(path)))
            roster = Roster.unpacked(answer.owner)
            if roster.cells != CELLS:
                raise ValueError(roster.cells)
            if roster.board not in boards:  # it has just ended
                continue
            cells = memoryview(boards[roster.board].read_bytes()).cast("Q")
            stack.pop_all()  # it is the run's to close
        yield _Run(pid, roster, answer, cells)


def _above(pid: int) -> int | None:
    """The nearest process above one in which a pipeline runs: its workers are below it, and who starts them."""
    with suppress(OSError):  # from here on they are somebody else's, or have just ended
        while pid := int((PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()[1]):
            if any(_files(pid, f"/memfd:{RUN} (deleted)")):
                return pid
    return None


def _files(pid: int, name: str) -> Iterator[Path]:
    """What a process has open under this name, each once. Raises OSError."""
    known = set()
    for path in sorted((PROC / str(pid) / "fd").iterdir(), key=lambda path: int(path.name)):
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(path.readlink()) == name and (number := path.stat().st_ino) not in known:
                known.add(number)
                yield path


class _Answer:
    """What is added to a memory file by whoever is asked. owner: its first line, which says whose file it is."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        head, _, _ = os.pread(self._fd, LONGEST, 0).partition(b"\n")
        self.owner = head.decode()
        if os.fstat(self._fd).st_size > MOST:
            os.ftruncate(self._fd, len(head) + 1)
        self._before = os.fstat(self._fd).st_size

    @property
    def text(self) -> str:
        """What has come."""
        return os.pread(self._fd, LONGEST, self._before).decode(errors="replace")

    def is_complete(self) -> bool:
        """Whether all of it has come: a line."""
        return self.text.endswith("\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class _Stack(_Answer):
    """What a worker adds to its own. Raises OSError.

    Nothing marks the end of a stack. So it is asked for a second one, as soon as the first has begun: that begins when
    the first has ended.
    """

    def __init__(self, path: Path, pid: int) -> None:
        # The process first, then the look at whose file it is: so whoever gets the signal can take it.
        self._process = os.pidfd_open(pid)
        self._times = 0
        try:
            super().__init__(path)
        except OSError:
            os.close(self._process)
            raise

    def ask(self) -> None:
        """Have it write."""
        self._times += 1
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, SHOW_STACK)

    def is_complete(self) -> bool:
        """Whether all of the first stack has come."""
        begun = self.text.count(HEAD)
        if begun == self._times == 1:
            self.ask()
        return begun > 1

    @property
    def stack(self) -> str:
        """The first one."""
        return "".join(self.text.split(HEAD)[1:2])

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
            for each in found:
                if each.pid != self._roster.pid and (answer := _asked_worker(each.pid)) is not None:
                    asked[each] = stack.enter_context(closing(answer))
            answers = [*asked.values(), *([self._answer] if _rung(self._pid, self._roster.bell) else [])]
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until and not all(answer.is_complete() for answer in answers):
                time.sleep(LOOK)
            silent = [each.who.placed(each.pid) for each, answer in asked.items() if not answer.stack]
            silent += (
                [f"the main process (pid {self._pid})"] if self._answer in answers and not self._answer.text else []
            )
            where = [Whereabouts(each.place, "", answer.stack) for each, answer in asked.items()]
        return [*where, *(told for line in self._answer.text.splitlines()[-1:] for told in answered(line))], silent

    def close(self) -> None:
        """Close its file."""
        self._answer.close()


def _asked_worker(pid: int) -> _Stack | None:
    """Ask a worker; None if it cannot be asked: it is about to start, or has ended."""
    with suppress(OSError):
        for path in _files(pid, f"/memfd:{STACK} (deleted)"):
            answer = _Stack(path, pid)
            if answer.owner == str(pid):  # else it is of one that this one has started
                answer.ask()
                return answer
            answer.close()
    return None


def _rung(pid: int, bell: int) -> bool:
    """Ask a main process; whether there is somebody who would answer."""
    with suppress(OSError):
        for path in _files(pid, f"pipe:[{bell}]"):
            end = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return os.write(end, ASKED) > 0
            finally:
                os.close(end)
    return False
