"""`commit()`: how a sink of all items says, in a durable run, that what it has taken is done.

The sink of a durable run has a worker of its own, whose thread never runs another stage. So a context variable says
where its commits go: the sink itself, and threads with a copy of its context, have it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

from ..errors import JournalError

__all__ = ["commit", "with_commits", "without_commits"]

_commit: ContextVar[Callable[[], None] | None] = ContextVar("commit", default=None)


def commit() -> None:
    """In a sink of all items: all items that it has taken so far are done, and a later run with the journal skips them.

    >>> from collections.abc import Iterable
    >>> from chainpump import Pipeline, Threads, commit
    >>> def store(numbers: Iterable[int]) -> list[int]:
    ...     stored = []
    ...     for number in numbers:
    ...         stored.append(number)
    ...         commit()
    ...     return stored
    >>> Pipeline(range(3)).into(store, on=Threads(1)).run().value
    [0, 1, 2]

    Outside of a durable run it does nothing, so that the sink can be called and tested as it is. The thread that takes
    the items calls it. See docs/durable.md. Raises JournalError in another thread of the sink.
    """
    found = _commit.get()
    if found is not None:
        found()


def with_commits(function: Callable[[], Any], committed: Callable[[], None]) -> Any:
    """Call the function of a sink. committed: is called for each of its commits."""
    thread = threading.get_ident()

    def from_sink() -> None:
        if threading.get_ident() != thread:
            raise JournalError(
                "chainpump.commit() was called in another thread than the one that takes the items of the sink.\n"
                "  It may take the next item meanwhile. Call it in that thread, after the work is done."
            )
        committed()

    token = _commit.set(from_sink)
    try:
        return function()
    finally:
        _commit.reset(token)


def without_commits() -> Context:
    """A copy of the context of this thread, for the workers of a run inside a sink: its sink commits its own items."""
    context = copy_context()
    context.run(_commit.set, None)
    return context
