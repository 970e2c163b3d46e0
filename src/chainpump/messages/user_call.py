"""Calls of the program into this library: an error about the call itself ends at the line of the program.

A bare `raise` adds no entry to a traceback. So the entries of this library can be removed, and the last one is that of
the program, with the line to change. The text of such an error says all that the entries would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from types import FunctionType
from typing import Any, TypeVar, cast

from ..errors import PipelineError

__all__ = ["user_call"]

# Any: a decorator takes and returns any function.
F = TypeVar("F", bound=Callable[..., Any])

# A flag of code that takes any option, as in `inspect`, which workers do not import.
CO_VARKEYWORDS = 0x08
# What Python says of a call with an unknown option, and of one with an option that is not given by its name.
UNKNOWN, BY_PLACE = "got an unexpected keyword argument ", " positional argument"
PROCESSES = "on=Processes({0}), or on=Threads({0})"
# Options of other libraries, and of other calls of this one, with what is written here instead. {0}: a number.
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(
        ("workers", "worker", "n_workers", "max_workers", "num_workers", "n_jobs", "concurrency"), PROCESSES
    ),
    **dict.fromkeys(("process", "processes", "procs"), "on=Processes({0})"),
    **dict.fromkeys(("thread", "threads"), "on=Threads({0})"),
    "executor": "on=Processes({0}), on=Threads({0}) or on=Tasks({0})",
    **dict.fromkeys(("maxsize", "buffer", "buffer_size", "queue_size", "max_packets", "prefetch"), "in_flight={0}"),
    **dict.fromkeys(("retry", "retries", "max_retries"), "on_error=Retry({0})"),
    **dict.fromkeys(("errors", "on_exception", "error"), "on_error=Skip() or on_error=DeadLetter()"),
    **dict.fromkeys(("chunksize", "chunk_size", "batch_size"), ".batch({0}) before it"),
    **dict.fromkeys(("preserve_order", "keep_order", "order"), "ordered=True, which is the default"),
    **dict.fromkeys(("args", "kwargs"), "functools.partial(function, ...), or stage(function, ...) in .then()"),
}


def user_call(function: F, ends: type[Exception] = PipelineError) -> F:
    """Decorate a function that programs call. Its errors end at the line of the program.

    ends: the classes of these errors. The TypeError of a call with an unknown option ends there, too, and names the
    option that may be meant.
    """
    # `call` gets other globals below, so that it refers to this as a variable.
    advice = _advice

    # Any: as for `F`.
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ends as error:
            error.__traceback__ = None
            raise
        except TypeError as error:
            # Otherwise the call has begun, and the error is about something else.
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                error.args = (f"{error}{advice(function, str(error))}",)
                error.__traceback__ = None
            raise
        except BaseException as error:
            # Without the entry of this function, which says nothing.
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise

    # `doctest` tells by its globals that a function belongs to a module.
    made = FunctionType(call.__code__, function.__globals__, function.__name__, None, call.__closure__)
    update_wrapper(made, function)
    # The name in an error of Python about its arguments.
    function.__qualname__ = made.__qualname__.removesuffix(".__init__").replace("GeneratorOperators.", "Pipeline.")
    return cast("F", made)


# Any: as for `F`.
def _advice(function: Callable[..., Any], problem: str) -> str:
    """What to write, as further lines of the error of a call that Python refuses; empty if there is no advice."""
    code = function.__code__
    by_place = code.co_argcount
    names = code.co_varnames[: by_place + code.co_kwonlyargcount]
    known = [name for name in names if name != "self"]
    if UNKNOWN in problem and not code.co_flags & CO_VARKEYWORDS:
        wrong = problem.partition(UNKNOWN)[2].strip("'")
        # A stage has these, and so has a run as far as it places stages.
        if wrong in INSTEAD and "on" in known and "items" not in known:
            return f".\n  Write {INSTEAD[wrong].format(4)}."
        from difflib import get_close_matches  # workers import this module, and make no mistakes

        close = get_close_matches(wrong, known, 1)
        if close and wrong not in INSTEAD.keys() - {"worker"}:
            return f".\n  Did you mean '{close[0]}'?"
        return f".\n  Its options are: {', '.join(known)}." if known else ""
    options = names[by_place:]
    if BY_PLACE in problem and "takes" in problem and options:
        return f".\n  Its options are given by their names: {', '.join(f'{name}=' for name in options)}."
    return ""
