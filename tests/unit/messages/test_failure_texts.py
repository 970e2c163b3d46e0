"""The texts of failures, word for word: what happened, where, and what to do next."""

from __future__ import annotations

import errno
import signal

import pytest

from chainpump.errors import (
    Cancelled,
    Failure,
    RunError,
    StageError,
    StageStoppedError,
    UnpicklableItemError,
    WorkerLostError,
)
from chainpump.messages import failure_texts
from chainpump.messages.call_stacks import user_traceback
from chainpump.messages.names import Item, Role, WorkerName

DECODE = WorkerName(Role.STAGE, "decode", 3, 8, "app/stages.py:42")
LOAD = WorkerName(Role.SOURCE, "load", 1, 1, None)
SAVE = WorkerName(Role.SINK, "save", 1, 1, "app/sinks.py:7")


def raised_by(error: BaseException) -> BaseException:
    """The same error, with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "failure,error,text",
    [
        pytest.param(
            failure_texts.raised(DECODE, 41207, OSError("cannot identify image file"), Item(1041, "", "'a.jpg'")),
            StageError,
            "stage 'decode' (worker 3 of 8, pid 41207) raised OSError on item 1041:\n"
            "  cannot identify image file\n"
            "  item: 'a.jpg'\n"
            "  decode is defined at app/stages.py:42.",
            id="user code raised on an item",
        ),
        pytest.param(
            failure_texts.raised(LOAD, 7, KeyError(), None),
            StageError,
            "source 'load' (worker 1 of 1, pid 7) raised KeyError:\n  KeyError()",
            id="no item, no text, no place",
        ),
        pytest.param(
            failure_texts.raised(LOAD, 7, ValueError("two\nlines"), Item(0, " from worker 2 of 'list'", "5")),
            StageError,
            "source 'load' (worker 1 of 1, pid 7) raised ValueError on item 0 from worker 2 of 'list':\n"
            "  two\n  lines\n  item: 5",
            id="a text of several lines, an item with a maker",
        ),
        pytest.param(
            failure_texts.raised(DECODE, 7, Cancelled("enough"), Item(4, "", "'b'")),
            StageError,
            "stage 'decode' (worker 3 of 8, pid 7) raised Cancelled on item 4:\n"
            "  enough\n"
            "  item: 'b'\n"
            "  Nobody had cancelled the run, which is this library's to say: raise an exception of your own.\n"
            "  decode is defined at app/stages.py:42.",
            id="what only this library is to raise",
        ),
        pytest.param(
            failure_texts.returned_early(DECODE, 1, 1200),
            StageStoppedError,
            "stage 'decode' returned after 1200 items while its input had more.\n"
            "  If that is intended: .then(stage(decode), may_stop=True).",
            id="a stage returned early",
        ),
        pytest.param(
            failure_texts.returned_early(SAVE, 1, 3),
            StageStoppedError,
            "sink 'save' returned after 3 items while its input had more.\n"
            "  If that is intended: .into(sink(save), may_stop=True).",
            id="a sink returned early",
        ),
        pytest.param(
            failure_texts.lost(DECODE, 41310, -signal.SIGKILL, range(5, 9), started=True),
            WorkerLostError,
            "stage 'decode' lost worker 3 of 8 (pid 41310): killed by SIGKILL, 4 items in flight.\n"
            "  It was in one of the items 5 to 8.\n"
            "  Often the out-of-memory killer; check the kernel log, give it fewer workers, or lower in_flight=.",
            id="killed",
        ),
        pytest.param(
            failure_texts.lost(DECODE, 41310, -signal.SIGSEGV, range(5, 6), started=True),
            WorkerLostError,
            "stage 'decode' lost worker 3 of 8 (pid 41310): killed by SIGSEGV, 1 item in flight.\n"
            "  It was in item 5.\n"
            "  Native code may have crashed; `python -X faulthandler` prints where.",
            id="crashed",
        ),
        pytest.param(
            failure_texts.lost(LOAD, 41310, -signal.SIGTERM, range(0), started=True),
            WorkerLostError,
            "source 'load' lost worker 1 of 1 (pid 41310): killed by SIGTERM.\n"
            "  Something outside of this run has sent it that signal: a scheduler that stops the job, or `kill`.",
            id="told to end from outside",
        ),
        pytest.param(
            failure_texts.lost(LOAD, 41310, 0, range(0), started=True),
            WorkerLostError,
            "source 'load' lost worker 1 of 1 (pid 41310): exited with code 0.\n"
            "  Something called os._exit() or ended the process; a worker ends by returning.",
            id="exit 0 without having finished",
        ),
        pytest.param(
            failure_texts.lost(LOAD, 41310, 1, range(0), started=False),
            WorkerLostError,
            "source 'load' lost worker 1 of 1 (pid 41310): exited with code 1.\n"
            "  It ended before it could start: see its output above. A program must start its pipeline under\n"
            '  `if __name__ == "__main__":`, since workers import the file too.',
            id="died before it could start",
        ),
        pytest.param(
            failure_texts.unpicklable(LOAD, 7, 17, "Reader.handle: cannot pickle '_io.TextIOWrapper'."),
            UnpicklableItemError,
            "source 'load' yielded item 17, which cannot be sent to another process:\n"
            "  Reader.handle: cannot pickle '_io.TextIOWrapper'. Yield plain data, or run both stages on Threads.",
            id="an item that cannot be pickled",
        ),
        pytest.param(
            failure_texts.unreadable(DECODE, 7, Item(4, "", ""), "TypeError: no"),
            UnpicklableItemError,
            "stage 'decode' (worker 3 of 8, pid 7) received item 4, which cannot be rebuilt from its pickle:\n"
            "  TypeError: no. Look at its class's __reduce__ or __setstate__, or yield plain data.",
            id="an item that cannot be rebuilt",
        ),
        pytest.param(
            failure_texts.unpicklable_value(SAVE, 7, "cannot pickle 'generator' object"),
            UnpicklableItemError,
            "sink 'save' returned a value that cannot be sent to the main process:\n"
            "  cannot pickle 'generator' object. Return plain data, or run the sink on Threads.",
            id="a value that cannot be pickled",
        ),
        pytest.param(
            failure_texts.not_started(DECODE, OSError("no more processes")),
            StageError,
            "stage 'decode' could not start worker 3 of 8: OSError: no more processes\n"
            "  The system refused: give it fewer workers, or raise its limits (`ulimit -a` shows them).",
            id="the system refused a worker",
        ),
        pytest.param(
            failure_texts.not_started(DECODE, ModuleNotFoundError("No module named 'app'")),
            StageError,
            "stage 'decode' could not start worker 3 of 8: ModuleNotFoundError: No module named 'app'\n"
            "  A worker imports the program: define functions at the top level of a file, "
            "not under `if __name__ ...`.",
            id="its function cannot be imported",
        ),
        pytest.param(
            failure_texts.not_started(DECODE, EOFError("unexpected EOF")),
            StageError,
            "stage 'decode' could not start worker 3 of 8: EOFError: unexpected EOF\n"
            "  Or the fork server has died, which starts workers: see its output above, and the limits of the system.",
            id="the fork server has died",
        ),
        pytest.param(
            failure_texts.no_run(OSError("no memory")),
            RunError,
            "the run could not start: OSError: no memory\n"
            "  The system refused: give it fewer workers, or raise its limits (`ulimit -a` shows them).",
            id="the system refused what a run needs",
        ),
        pytest.param(
            failure_texts.broken_off(DECODE),
            RunError,
            "stage 'decode' (worker 3 of 8) lost its channel, although no worker died.\n"
            "  A stage must not close descriptors that are not its own (os.closerange, daemonize, ...).",
            id="a channel broke",
        ),
        pytest.param(
            failure_texts.channel_failed(DECODE, 7, OSError(errno.EMFILE, "Too many open files"), "receive"),
            RunError,
            "stage 'decode' (worker 3 of 8, pid 7) could not receive: OSError: [Errno 24] Too many open files\n"
            "  Its process has no descriptor left: raise the limit (`ulimit -n`), "
            "or hold fewer arrays at once, which take one each.",
            id="no descriptor for an array",
        ),
        pytest.param(
            failure_texts.channel_failed(DECODE, 7, MemoryError(), "receive"),
            RunError,
            "stage 'decode' (worker 3 of 8, pid 7) could not receive: MemoryError: MemoryError()\n"
            "  The system has no memory for large items, which cross in shared memory: hold fewer of them at once.",
            id="no memory for an item",
        ),
        pytest.param(
            failure_texts.channel_failed(LOAD, 7, OSError(errno.EIO, "I/O error"), "send"),
            RunError,
            "source 'load' (worker 1 of 1, pid 7) could not send: OSError: [Errno 5] I/O error\n"
            "  The system refused it; load has not raised this.",
            id="a call of the channel's failed",
        ),
    ],
)
def test_failure_says_what_where_and_what_to_do(failure: Failure, error: type[RunError], text: str) -> None:
    assert failure.error is error
    assert str(failure) == text


def test_a_failure_on_an_item_keeps_its_number_and_its_repr() -> None:
    failure = failure_texts.raised(DECODE, 1, OSError(), Item(1041, "", "'a.jpg'"))
    assert (failure.index, failure.item) == (1041, "'a.jpg'")
    assert (failure.role, failure.stage, failure.worker, failure.pid) == ("stage", "decode", 3, 1)


def test_a_lost_worker_is_blamed_for_the_first_item_in_its_hand() -> None:
    assert failure_texts.lost(DECODE, 1, -9, range(5, 9), started=True).index == 5
    assert failure_texts.lost(DECODE, 1, -9, range(5, 5), started=True).index is None


def test_the_traceback_of_user_code_begins_at_the_user_s_line() -> None:
    text = user_traceback(raised_by(ValueError("too large")))
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ValueError: too large")
    assert __file__ in text


def test_an_error_without_a_traceback_is_told_in_one_line() -> None:
    assert user_traceback(ValueError("too large")) == "ValueError: too large"
