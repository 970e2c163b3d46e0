"""The status of the runs of another process, read from its memory files, and the stacks of its workers.

The main process need not be able to answer. The status of every worker is on the board, which any process of the same
user can read. A worker writes its stack when it receives a signal, whatever it is doing.

The other process may be hostile, and this one may run as root. So each file is first opened with O_PATH, which has no
effect on it, and is checked by that descriptor. Only memory files and pipes of the expected kind are opened; no file is
written to or truncated; and no more is read than a run of this size can have written.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from ..engine.introspection import REQUEST, RUN, read_answer
from ..engine.run_stacks import STACKS_WITHIN
from ..engine.worker_status import Roster, WorkerStack, WorkerStatus, stacks_of, table_of, worker_statuses
from ..executors.process_run import SHOW_STACK, STACK
from ..ipc.board import BOARD, CELLS
from ..progress.snapshot import clock
from .target import UsageError

__all__ = ["stacks"]

PROC = Path("/proc")
# Seconds to wait for an answer. A process that is in native code, or stopped, does not answer.
PATIENCE = 2.0
# Part of the first line of a stack.
HEAD = "(most recent call first)"
# Seconds between two looks: no system call waits until a memory file grows.
LOOK = 0.005
# The most bytes of one answer; a longer one is cut off.
LONGEST = 1 << 20
# The most bytes of a board: about 80,000 workers.
LARGEST = 1 << 24
# What reading a file of another version, or a forged one, may raise.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def stacks(pid: int) -> str:
    """The status and the stack of every worker of every run in a process. Raises UsageError if they cannot be read."""
    if not (PROC / "self").exists():
        raise UsageError("stacks works where there is /proc, which is on Linux.")
    try:
        with ExitStack() as stack:
            runs = [stack.enter_context(closing(run)) for run in _runs(pid)]
            if runs:
                return "\n\n".join(run.text() for run in runs)
        above = _above(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise UsageError(f"there is no process {pid}.") from None
    except PermissionError:
        if os.geteuid() == 0:
            raise UsageError(
                f"process {pid} may not be looked into, even by root: this container, or a security module of the "
                "system, denies it (CAP_SYS_PTRACE).\n  Ask as the user of the process, or outside of the container."
            ) from None
        raise UsageError(f"process {pid} is not yours: only its user, and root, may look into it.") from None
    except UNREADABLE:
        raise UsageError(f"process {pid} has another version of chainpump: ask with that one.") from None
    if above is not None:
        raise UsageError(f"no pipeline runs in process {pid}, but in process {above} above it: ask for that one.")
    raise UsageError(f"no pipeline runs in process {pid}; with CHAINPUMP_TRANSPORT=portable none can be seen.")


def _runs(pid: int) -> Iterator[_Run]:
    """The runs of a process, in the order in which they were opened. Raises OSError, and what unpacking raises."""
    boards = {os.fstat(file).st_ino: _read(file, LARGEST) for file in _memory_files(pid, BOARD)}
    for file in _memory_files(pid, RUN):
        with ExitStack() as stack:
            answer = stack.enter_context(closing(_Answer(file)))
            roster = Roster.unpacked(answer.owner)
            if roster.cells != CELLS:
                raise ValueError(roster.cells)
            # The run has just ended.
            if roster.board not in boards:
                continue
            cells = memoryview(boards[roster.board]).cast("Q")
            # From here on the run closes it.
            stack.pop_all()
        yield _Run(pid, roster, answer, cells)


def _above(pid: int) -> int | None:
    """The nearest parent process in which a pipeline runs: `pid` may be a worker, or the fork server."""
    # A parent may belong to another user, or may have just ended.
    with suppress(OSError):
        while pid := int((PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()[1]):
            if any(True for _ in _memory_files(pid, RUN)):
                return pid
    return None


def _memory_files(pid: int, name: str) -> Iterator[int]:
    """The memory files of a process with this name, each once. Each is open for reading until the next one is taken."""
    with _memory() as device:
        for held in _held(pid, f"/memfd:{name} (deleted)"):
            found = os.fstat(held)
            if stat.S_ISREG(found.st_mode) and found.st_dev == device:
                with _opened(held, os.O_RDONLY) as file:
                    yield file


@contextmanager
def _memory() -> Generator[int]:
    """The device of all memory files. A file of another kind is never on it, whatever its name."""
    file = os.memfd_create("chainpump-stacks", os.MFD_CLOEXEC)
    try:
        yield os.fstat(file).st_dev
    finally:
        os.close(file)


def _held(pid: int, name: str) -> Iterator[int]:
    """O_PATH descriptors of the files that a process has open under this name, each file once. Raises OSError.

    The number of a descriptor of the other process may lead to another file at any time; an O_PATH descriptor does not.
    """
    known = set()
    for path in sorted((PROC / str(pid) / "fd").iterdir(), key=lambda path: int(path.name)):
        # It may have been closed in between.
        with suppress(FileNotFoundError), _opened(path, os.O_PATH) as held:
            if _name(held) == name and (number := os.fstat(held).st_ino) not in known:
                known.add(number)
                yield held


def _name(held: int) -> str:
    return str((PROC / "self" / "fd" / str(held)).readlink())


@contextmanager
def _opened(path: Path | int, flags: int) -> Generator[int]:
    """Open a file, or the file of another descriptor."""
    file = os.open(path if isinstance(path, Path) else PROC / "self" / "fd" / str(path), flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _read(file: int, most: int) -> bytes:
    """The content of a file. Raises ValueError if it is longer than `most` bytes."""
    if os.fstat(file).st_size > most:
        raise ValueError(most)
    return os.pread(file, most, 0)


class _File:
    """A memory file to which its owner appends answers. owner: its first line, which names the owner."""

    def __init__(self, file: int) -> None:
        head, _, _ = os.pread(file, LONGEST, 0).partition(b"\n")
        self.owner = head.decode()
        self._fd = os.dup(file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class _Answer(_File):
    """The answers that a main process appends to the file of a run: one line each, of which the last counts."""

    def __init__(self, file: int) -> None:
        super().__init__(file)
        self._asked = time.monotonic_ns()
        self.found: list[WorkerStack] | None = None

    def is_complete(self) -> bool:
        """Whether an answer has arrived since this object was made."""
        start = max(len(self.owner.encode()) + 1, os.fstat(self._fd).st_size - LONGEST)
        text = os.pread(self._fd, LONGEST, start).decode(errors="replace")
        if text.endswith("\n"):
            at, found = read_answer(text.splitlines()[-1])
            self.found = found if at >= self._asked else None
        return self.found is not None


class _Stack(_File):
    """The stack that a worker appends to its file. Raises OSError.

    A stack has no end mark. So stacks are requested until the second one has begun: then the first one is complete. One
    request is not enough for each: `faulthandler` ignores a signal that another thread receives while a stack is being
    written.
    """

    def __init__(self, file: int, process: int) -> None:
        super().__init__(file)
        self._from = os.fstat(file).st_size
        self._process = os.dup(process)

    def request(self) -> None:
        """Make the worker write its stack."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, SHOW_STACK)

    @property
    def has_ended(self) -> bool:
        """Whether the worker has ended: it writes no more."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(0))

    def is_complete(self) -> bool:
        """Whether the first stack is complete, or as complete as it will be."""
        if self.has_ended:
            return True
        if self._text.count(HEAD) > 1:
            return True
        self.request()
        return False

    @property
    def _text(self) -> str:
        return os.pread(self._fd, LONGEST, self._from).decode(errors="replace")

    @property
    def stack(self) -> str:
        """The first stack."""
        return "".join(self._text.split(HEAD)[1:2])

    def close(self) -> None:
        """Close the file and the descriptor of the process."""
        super().close()
        os.close(self._process)


class _Run:
    """One run, seen from outside. cells: a copy of its board."""

    def __init__(self, pid: int, roster: Roster, answer: _Answer, cells: memoryview) -> None:
        self._pid = pid
        self._roster = roster
        self._answer = answer
        self._cells = cells

    def text(self) -> str:
        """Its status and its stacks."""
        reading = self._roster.read(self._row)
        found = list(worker_statuses(self._roster, reading))
        names = " → ".join(name for group in self._roster.groups for _, name, _ in group.stages)
        where, silent, far = self._answers(found)
        lines = [
            f"{names}: process {self._pid}, for {clock(reading.at / 1e9)}",
            *(f"  {line}" for line in table_of(found, reading.now).splitlines()),
            stacks_of(where),
        ]
        if silent:
            lines.append(
                f"No answer within {PATIENCE:g} s, as if stopped or held up in native code: {', '.join(silent)}"
            )
        if far:
            lines.append(f"No answer from other machines within {STACKS_WITHIN:g} s: {', '.join(far)}")
        return "\n".join(lines)

    def _row(self, number: int) -> memoryview:
        return self._cells[number * CELLS : (number + 1) * CELLS]

    def _answers(self, found: Sequence[WorkerStatus]) -> tuple[Sequence[WorkerStack], Sequence[str], Sequence[str]]:
        """The stacks of those that answer, and the names of those that do not, here and on other machines."""
        with ExitStack() as stack:
            asked: dict[WorkerStatus, _Stack] = {}
            # The main process first: it discards earlier answers of workers if they are long.
            is_requested = _requested(self._pid, self._roster.bell)
            _wait_for([self._answer] if is_requested else [])
            for each in found:
                # The main process asks for the stacks of workers on other machines.
                if (
                    each.pid != self._roster.pid
                    and not each.who.host
                    and (answer := _requested_of_worker(each.pid)) is not None
                ):
                    asked[each] = stack.enter_context(closing(answer))
            _wait_for([*asked.values()])
            silent = [
                each.who.placed(each.pid) for each, answer in asked.items() if not (answer.stack or answer.has_ended)
            ]
            silent += [f"the main process (pid {self._pid})"] if is_requested and self._answer.found is None else []
            where = [WorkerStack(each.who.placed(each.pid), "", answer.stack) for each, answer in asked.items()]
        answered = self._answer.found or ()
        named = {each.who for each in answered if each.stack}
        far = [each.who.placed(each.pid) for each in found if each.who.host and each.has_items]
        # If the main process does not answer, nobody has asked them.
        far = [name for name in far if answered and name not in named]
        return [*where, *answered], silent, far

    def close(self) -> None:
        """Close its file."""
        self._answer.close()


def _wait_for(answers: Sequence[_Answer | _Stack]) -> None:
    """Wait until all answers are complete, or until the time is up."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not all(answer.is_complete() for answer in answers):
        time.sleep(LOOK)


def _requested_of_worker(pid: int) -> _Stack | None:
    """Request the stack of a worker; None if it is about to start, or has ended."""
    with suppress(OSError):
        # Open the process before the owner of the file is checked: then only a process that handles the signal gets it.
        process = os.pidfd_open(pid)
        try:
            for file in _memory_files(pid, STACK):
                answer = _Stack(file, process)
                # Otherwise the file belongs to a process that this one has started.
                if answer.owner == str(pid):
                    answer.request()
                    return answer
                answer.close()
        finally:
            os.close(process)
    return None


def _requested(pid: int, bell: int) -> bool:
    """Request an answer of a main process; returns whether it has the pipe of a run open."""
    with suppress(OSError):
        for held in _held(pid, f"pipe:[{bell}]"):
            if stat.S_ISFIFO(os.fstat(held).st_mode):
                with _opened(held, os.O_WRONLY | os.O_NONBLOCK) as end:
                    return os.write(end, REQUEST) > 0
    return False
