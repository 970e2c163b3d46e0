"""The texts of failures: what happened, where, what to do next. Pure functions from facts to `Failure` records."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from ..errors import (
    Cancelled,
    Failure,
    ItemTypeError,
    RunError,
    StageError,
    StageStoppedError,
    StallError,
    UnpicklableItemError,
    WorkerLostError,
)
from .call_stacks import DEEP, calls_in, user_traceback
from .names import Item, Role, WorkerName, text_of
from .refusals import NOT_ITS_OWN, channel_advice, start_advice
from .shadowing import shadowed
from .source_files import PACKAGE

__all__ = [
    "STALL_ENDS",
    "broken_off",
    "channel_failed",
    "death",
    "ended_before_turn",
    "forced",
    "left_behind",
    "lost",
    "lost_in_set_up",
    "mistyped",
    "no_run",
    "not_started",
    "raised",
    "returned_early",
    "stall_goes_on",
    "stalled",
    "starts_above",
    "still_ending",
    "survived",
    "unclean",
    "unpicklable",
]

# The exit code that `multiprocessing` reports when the fork server has died.
FORKSERVER_LOST = 255
NOT_ITS_WORD = "Nobody had cancelled the run, which is this library's to say: raise an exception of your own."
# Errors of sqlite3, greenlet and tkinter where an object is used in another thread than the one that made it.
BOUND_TO_THREAD = ("used in that same thread", "cannot switch to a different thread", "main thread is not in main loop")
NOT_ITS_THREAD = (
    "It must be used in the thread that has made it, and a worker is another one. Make it within the function of the\n"
    "  source or stage, as in Pipeline(source(rows, path)), or read it before: Pipeline(list(cursor))."
)
OUT_OF_MEMORY = "Often the out-of-memory killer; check the kernel log, give it fewer workers, or lower in_flight=."
CRASHED = "Native code may have crashed; `python -X faulthandler` prints where."
SENT = "Something outside of this run has sent it that signal: a scheduler that stops the job, or `kill`."
# What to do about the death by a signal.
SIGNALS: Mapping[int, str] = {
    signal.SIGKILL: OUT_OF_MEMORY,
    signal.SIGSEGV: CRASHED,
    signal.SIGBUS: CRASHED,
    signal.SIGABRT: CRASHED,
    signal.SIGILL: CRASHED,
    signal.SIGFPE: CRASHED,
    signal.SIGTRAP: CRASHED,
    signal.SIGSYS: CRASHED,
}


def raised(who: WorkerName, pid: int | None, error: BaseException, item: Item | None) -> Failure:
    """User code raised."""
    on_item = f" on {item}" if item else ""
    advice = NOT_ITS_WORD if isinstance(error, Cancelled) else ""
    if any(text in text_of(error) for text in BOUND_TO_THREAD):
        advice = NOT_ITS_THREAD
    details = [*text_of(error).splitlines(), f"item: {item.text}" if item else "", advice, who.definition()]
    return who.failure(
        StageError,
        pid,
        f"{who.placed(pid)} raised {type(error).__name__}{on_item}:",
        *details,
        item=item,
        traceback=user_traceback(error),
    )


def returned_early(who: WorkerName, pid: int | None, delivered: int) -> Failure:
    """A stage or sink returned while its input had more."""
    place = {Role.SINK: "into(sink", Role.STAGE: "then(stage"}[who.role]
    return who.failure(
        StageStoppedError,
        pid,
        f"{who.label} returned after {delivered} item{'s' * (delivered != 1)} while its input had more.",
        f"If that is intended: .{place}({who.stage}), may_stop=True).",
    )


def lost(who: WorkerName, pid: int, exit_code: int | None, in_hand: Sequence[int], started: bool) -> Failure:
    """A worker's process died before it reported its end.

    exit_code: negative for a signal, None if it is not known. in_hand: numbers of the items that it had received and
    not finished.
    """
    headline = f"{who.lost(pid)}: {death(exit_code)}"
    if in_hand:
        headline += f", {len(in_hand)} item{'s' * (len(in_hand) > 1)} in flight"
    return who.failure(
        WorkerLostError,
        pid,
        headline + ".",
        _range_text(in_hand),
        _advice(exit_code, started),
        item=Item(in_hand[0]) if in_hand else None,
        exit_code=exit_code,
    )


def lost_in_set_up(who: WorkerName, pid: int, exit_code: int | None) -> Failure:
    """A worker's process died while it was set up."""
    headline = f"{who.lost(pid)} while it was set up: {death(exit_code)}."
    return who.failure(WorkerLostError, pid, headline, _advice(exit_code, True), who.definition(), exit_code=exit_code)


STALL_ENDS = "Look at what it does there; timeout= stops a function of one item, and stall_timeout= may be too short."


def stalled(who: WorkerName, pid: int, at: str, seconds: float, lines: Sequence[str], item: Item | None) -> Failure:
    """No item has moved for some time. who, at: the worker to look at, its status. lines: the status of each worker."""
    headline = f"no item moved for {seconds:g} s; {who.placed(pid)} is {at}."
    return who.failure(StallError, pid, headline, *lines, who.definition(), item=item)


def stall_goes_on(limit: float | None) -> str:
    """What to do about a stall while the run goes on. limit: seconds until the stall ends the run, or None."""
    end = "stall_timeout= would end it" if limit is None else f"stall_timeout={limit:g} ends it"
    return f"The run goes on; {end}. `python -m chainpump stacks {os.getpid()}` shows where each worker is."


def death(exit_code: int | None) -> str:
    """How a process has died, in words."""
    if exit_code is None:
        return "died, with an exit code that is not known"
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    # Most real-time signals have no name.
    known = -exit_code in set(signal.Signals)
    return f"killed by {signal.Signals(-exit_code).name if known else f'signal {-exit_code}'}"


def _range_text(in_hand: Sequence[int]) -> str:
    if not in_hand:
        return ""
    if len(in_hand) == 1:
        return f"It was in item {in_hand[0]}."
    return f"It was in one of the items {in_hand[0]} to {in_hand[-1]}."


def _advice(exit_code: int | None, started: bool) -> str:
    if exit_code is None:
        return (
            "Other code of this program takes the exit codes of all child processes, or ignores SIGCHLD: os.wait(),\n"
            "  os.waitpid(-1, ...) or signal.SIG_IGN. Wait for the children that it has started itself, one by one."
        )
    if exit_code < 0:
        return SIGNALS.get(-exit_code, SENT)
    if exit_code == FORKSERVER_LOST:
        return "Or the fork server has died, which tells of exit codes; check the kernel log."
    if not started:
        return shadowed() or (
            "It ended before it could start: see its output above. A program must start its pipeline under\n"
            '  `if __name__ == "__main__":`, since workers import the file too.'
        )
    return "Something called os._exit() or ended the process; a worker ends by returning."


def mistyped(who: WorkerName, pid: int | None, item: Item | None, declared: str, what: str) -> Failure:
    """A stage yielded an item that is not of its declared type. item: that item, or the one that it was made of."""
    on_item = f" on {item}" if item else ""
    return who.failure(
        ItemTypeError,
        pid,
        f"{who.placed(pid)} yielded something else than it declares{on_item}:",
        f"declared   {declared}",
        f"yielded    {what}",
        who.definition(),
        item=item,
    )


def unpicklable(
    who: WorkerName, pid: int | None, index: int, reason: str, error: BaseException | None = None
) -> Failure:
    """An item cannot be pickled. error: an exception that the class of the item raised itself."""
    advice = "Yield plain data, or run both stages on Threads."
    if error is not None:
        skip = f"on_error=Skip({type(error).__name__})"
        advice = f"Its class raised {type(error).__name__} as it was pickled: do that earlier, in {who.stage},\n"
        advice += f"  or let a policy deal with such items: {skip}."
    return who.failure(
        UnpicklableItemError,
        pid,
        f"{who.label} yielded item {index}, which cannot be sent to another process:",
        f"{reason.rstrip('.')}. {advice}",
        item=Item(index),
    )


def unreadable(who: WorkerName, pid: int | None, item: Item, reason: str) -> Failure:
    """A received item cannot be unpickled."""
    return who.failure(
        UnpicklableItemError,
        pid,
        f"{who.placed(pid)} received {item}, which cannot be rebuilt from its pickle:",
        f"{reason.rstrip('.')}. Look at its class's __reduce__ or __setstate__, or yield plain data.",
        item=item,
    )


def unpicklable_value(who: WorkerName, pid: int | None, reason: str) -> Failure:
    """The value that a sink returned cannot be pickled, or cannot be unpickled in the main process."""
    return who.failure(
        UnpicklableItemError,
        pid,
        f"{who.label} returned a value that cannot be sent to the main process:",
        f"{reason.rstrip('.')}. Return plain data, or run the sink on Threads.",
    )


def not_started(who: WorkerName, error: BaseException) -> Failure:
    """A worker could not be started, or could not load its function."""
    return who.failure(
        StageError,
        None,
        f"{who.label} could not start worker {who.number} of {who.of}: {type(error).__name__}: {text_of(error)}",
        start_advice(error),
        traceback=user_traceback(error),
    )


def starts_above(who: WorkerName, pid: int | None, memory: int, limit: int) -> Failure:
    """A worker has more memory before its first item than `recycle_above=` allows. Each fresh worker would, too."""
    enough = 2 * max(memory, limit)
    return who.failure(
        StageError,
        pid,
        f"{who.placed(pid)} starts with {_megabytes(memory)}, above recycle_above={limit} ({_megabytes(limit)}).",
        "Each fresh worker would start with as much, so that none could work.",
        f"Give it room to grow, for example recycle_above={enough // 1_000_000 + 1}_000_000.",
    )


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f} MB" if nbytes < 10_000_000 else f"{nbytes / 1e6:,.0f} MB"


def no_run(error: OSError | RuntimeError) -> Failure:
    """The system refused what a run needs beside its workers. No stage is at fault."""
    headline = f"the run could not start: {type(error).__name__}: {text_of(error)}"
    return Failure(RunError, "", "", 0, None, headline, (start_advice(error),))


def broken_off(who: WorkerName) -> Failure:
    """A channel broke although none of its workers died: something closed its descriptors."""
    return who.failure(
        RunError,
        None,
        f"{who.placed(None)} lost its channel, although no worker died.",
        NOT_ITS_OWN,
    )


def forced(who: WorkerName, pid: int, seconds: float, stack: str) -> str:
    """A worker did not end in the grace and was ended by force. stack: as in `timed_out`."""
    told = f"{who.placed(pid)} did not end within {seconds:g} s of being told to, and was ended by force:"
    return f"{told} its clean-up may not have run. If it needs longer: grace=.{_was_at(stack)}"


def still_ending(who: WorkerName, pid: int, seconds: float, stack: str) -> str:
    """A worker has finished, but its process has not ended. stack: of all its threads, as in `timed_out`."""
    told = f"{who.placed(pid)} has finished, but its process has not ended for {seconds:g} s, and the run waits for it."
    return f"{told} It waits for its threads that are not daemons, or for exit handlers.{_is_at(stack)}"


def ended_before_turn(who: WorkerName, pid: int, reason: str) -> str:
    """A worker has ended while it waited for the end of the one that retires. It has had no item."""
    told = f"{who.placed(pid)} has ended before it received an item: {reason}"
    return f"{told}. It was to take the place of a worker that retires soon. Another one is started when it is needed."


def survived(who: WorkerName, pid: int, left: Sequence[str], seconds: float | None) -> str:
    """A worker's process has ended and left processes behind. seconds: the grace after which they were ended by force,
    None while it lasts.
    """
    told = "are told to end (SIGTERM)" if seconds is None else f"were ended by force after {seconds:g} s (SIGKILL)"
    advice = "What is to outlive its worker has to be started with start_new_session=True."
    return f"{who.placed(pid)} has ended, and what it had started and left behind {told}: {', '.join(left)}. {advice}"


def left_behind(who: WorkerName, pid: int, seconds: float, stack: str) -> str:
    """A worker did not end even by force. stack: as in `timed_out`."""
    told = f"{who.placed(pid)} did not end within {seconds:g} s of being told to, nor by force, and is left behind."
    advice = "Nothing ends a thread in a call that does not return: give that call a time limit of its own."
    return f"{told} {advice}{_was_at(stack)}"


def _was_at(stack: str) -> str:
    return _calls_text("It was at", list(calls_in(stack)))


def _is_at(stack: str) -> str:
    return _calls_text("It is at", [call for call in calls_in(stack) if PACKAGE not in call])


def _calls_text(what: str, calls: Sequence[str]) -> str:
    return "\n".join([f"\n{what} (most recent call first):", *calls[:DEEP]]) if calls else ""


def unclean(lost: Failure) -> str:
    """A worker died while its run was being cancelled."""
    return f"{lost.headline} Its clean-up may not have run."


def channel_failed(who: WorkerName, pid: int | None, error: OSError | MemoryError, what: str) -> Failure:
    """The system refused a worker what it needs to send or receive. Its function has not raised this."""
    return who.failure(
        RunError,
        pid,
        f"{who.placed(pid)} could not {what}: {type(error).__name__}: {text_of(error)}",
        channel_advice(error) or f"The system refused it; {who.stage} has not raised this.",
        traceback=user_traceback(error),
    )
