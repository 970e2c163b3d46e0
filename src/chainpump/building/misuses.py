"""Uses of a pipeline that cannot work, each with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ..messages.user_call import user_call

__all__ = ["AWAIT_A_PIPELINE", "AWAIT_A_RUNNABLE", "OF_A_PIPELINE", "OF_A_RUNNABLE", "Misuses"]

TO_RUN = "A pipeline runs when its items are taken, as in list(pipeline), or with a sink: pipeline.into(list).run()."
TO_END = "It ends with a sink: .into(function), or .each(function) for a function of one item."
TO_TAKE = "Take its items: list(pipeline), `for item in pipeline`, or .into(list).run().value."
AWAIT_A_RUNNABLE = "Write `await runnable.run_async()`."
AWAIT_A_PIPELINE = "Write `async for item in pipeline`, or `await pipeline.into(sink).run_async()`."
# Methods of other libraries and other words for methods of a pipeline, with what to write here.
OF_A_PIPELINE: Mapping[str, str] = {
    **dict.fromkeys(("run", "run_async", "start", "execute", "compute", "process", "join", "wait"), TO_RUN),
    **dict.fromkeys(("collect", "to_list", "tolist", "items", "results", "result", "value", "get"), TO_TAKE),
    **dict.fromkeys(("for_each", "foreach", "sink", "to", "end", "reduce", "fold", "sum", "count"), TO_END),
    **dict.fromkeys(("stage", "pipe", "add", "apply", "transform"), "Add a stage with .map(function) or .then(stage)."),
    **dict.fromkeys(("imap", "starmap", "submit", "parallel"), "Call a function for each item with .map(function)."),
    **dict.fromkeys(("where", "select"), "Choose items with .filter(function), and change them with .map(function)."),
    **dict.fromkeys(("flatten", "explode", "flat"), "Take lists apart with .unbatch(), or use .flat_map(function)."),
    **dict.fromkeys(("chunk", "chunked", "chunks", "batched", "buffer"), "Make lists of n items with .batch(n)."),
    **dict.fromkeys(("head", "limit", "first", "islice"), "Take the first n items with .take(n)."),
    **dict.fromkeys(("drop",), "Drop the first n items with .skip(n)."),
    **dict.fromkeys(("unique", "drop_duplicates"), "Drop repeated items with .distinct()."),
    **dict.fromkeys(
        ("progress", "report"), "A run has it: .into(list).run(progress=True), or `with pipeline.open() as run`."
    ),
    **dict.fromkeys(
        ("cancel", "close", "stop", "shutdown", "terminate"), "A run has it: `with pipeline.open() as run`."
    ),
    "zip": "It is linear; combine pipelines with Pipeline.concat, Pipeline.interleave or Pipeline.merge.",
}
OF_A_RUNNABLE: Mapping[str, str] = {
    **dict.fromkeys(
        ("start", "execute", "compute", "result", "value", "collect", "report"),
        "Write .run(), whose report has the value: .run().value.",
    ),
    **dict.fromkeys(("progress", "cancel", "close", "stop"), "A run has it: `with runnable.open() as run`."),
}


def _public(value: object) -> list[str]:
    return [each for each in dir(value) if not each.startswith("_")]


def _has(value: object, method: str) -> bool:
    return any(method in vars(each) for each in type(value).__mro__)


class Misuses:
    """The base of pipelines and runnables: what they do not have is answered with what to write instead.

    Type checkers see nothing of it, and report each of these uses themselves.
    """

    __slots__ = ()
    # What to write in place of each of these attributes.
    _instead: ClassVar[Mapping[str, str]] = {}
    # What to write in place of `await`.
    _to_await: ClassVar[str] = ""
    # The class that has other attributes. Any: it is one of `pipeline`.
    _other: ClassVar[Any] = None

    if not TYPE_CHECKING:

        @partial(user_call, ends=Exception)
        def __getattr__(self, name: str) -> NoReturn:
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            # Python and other programs ask for such names, and expect no advice.
            if name.startswith("_"):
                raise AttributeError(text, name=name, obj=self)
            advice = self._instead.get(name)
            if advice is None and hasattr(self._other, name):
                advice = "A sink is the end of a pipeline: add stages before it."
            elif advice is None and (close := get_close_matches(name, _public(self), 1)):
                advice = f"Did you mean .{close[0]}()?"
            # Without `obj`, Python adds no suggestion of its own.
            raise AttributeError(f"{text}.\n  {advice}" if advice else text, name=name)

        @partial(user_call, ends=Exception)
        def __enter__(self) -> NoReturn:
            name = type(self).__name__
            raise TypeError(
                f"{name!r} object does not support the context manager protocol: it is a description, and not a run."
                f"\n  Write `with {name.lower()}.open() as run:`."
            )

        def __exit__(self, *_: object) -> None:
            """Python looks for it before it calls `__enter__`."""

        @partial(user_call, ends=Exception)
        def __await__(self) -> NoReturn:
            name = type(self).__name__
            raise TypeError(
                f"object {name} can't be used in 'await' expression: it is a description, and not a run.\n"
                f"  {self._to_await}"
            )

        @partial(user_call, ends=Exception)
        def __or__(self, other: object) -> Any:
            # Another library may give such a sign a meaning. A class has `|` for hints.
            if _has(other, "__ror__") and not isinstance(other, type):
                return NotImplemented
            raise TypeError(
                f"{type(self).__name__!r} object does not support | or >>.\n"
                "  Add a stage with .map(function) or .then(stage), and a sink with .into(function)."
            )

        __rshift__ = __or__

        @partial(user_call, ends=Exception)
        def __add__(self, other: object) -> Any:
            if _has(other, "__radd__"):
                return NotImplemented
            raise TypeError(f"{type(self).__name__!r} object does not support +.\n  Write Pipeline.concat(a, b).")
