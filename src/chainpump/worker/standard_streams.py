"""The standard streams of the main process, as a worker process has them.

    standard output, standard error   every worker has those of the main process as they are when the run starts
    standard input                    a source's worker has that of the main process; all others have the null device,
                                      and a `sys.stdin` that raises when it is read

So input is never divided between readers, and nobody mistakes the null device for input that has ended.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from ..ipc.descriptors import Descriptor
from ..lazy_dataclass import dataclass, replace

__all__ = ["StandardStreams"]

INPUT, OUTPUT, ERROR = range(3)
NOT_A_SOURCE = (
    "only the worker of a source can read standard input here.\n"
    "  Read it in the source, or run this stage on Threads() or Inline(), in the main process."
)
IMPORTING = (
    "a worker process cannot read standard input as it imports the program: the main process has read it.\n"
    '  Put what reads it under `if __name__ == "__main__":`, and give a stage what was read as an argument.'
)
HAS_BEGUN = (
    "the main process has begun to read standard input, and may hold in its buffer what comes next.\n"
    "  Read the rest there: Pipeline(sys.stdin), or a source on Inline() or Threads(); or read all of it in the source."
)
REPLACED = (
    "sys.stdin of the main process {what}, which no worker process can read.\n"
    "  Read it there: Pipeline(sys.stdin), or a source on Inline() or Threads()."
)


class Refusing(io.RawIOBase):
    """A stream that raises UnsupportedOperation with this reason when it is read."""

    name = "<stdin>"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def readable(self) -> bool:
        """Yes: whoever asks first and does not read would take it for empty."""
        return True

    def readinto(self, _: object) -> int:
        """Refuse."""
        raise io.UnsupportedOperation(self.reason)

    def fileno(self) -> int:
        """Refuse: what has that number is the null device."""
        raise io.UnsupportedOperation(self.reason)


class Reading(io.FileIO):
    """The standard input of this process."""

    name = "<stdin>"

    def __init__(self) -> None:
        super().__init__(INPUT, closefd=False)


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a text stream is encoded."""

    encoding: str
    errors: str

    @classmethod
    def of(cls, stream: TextIO | None, number: int) -> TextForm | None:
        """That of a text stream over this descriptor; None where it is another kind of object."""
        try:
            is_standard = isinstance(stream, io.TextIOWrapper) and stream.fileno() == number
        except (OSError, ValueError):  # it is over something else, or closed
            return None
        return cls(stream.encoding, stream.errors or "strict") if is_standard and stream is not None else None

    def give(self, stream: TextIO | None) -> None:
        """Encode this stream so."""
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding, stream.errors) != (self.encoding, self.errors):
            stream.reconfigure(encoding=self.encoding, errors=self.errors)


@dataclass(frozen=True, slots=True)
class StandardInput:
    """What becomes `sys.stdin`. refusal: what is raised when it is read; None where it can be read."""

    form: TextForm = TextForm("utf-8", "strict")
    refusal: str | None = None

    @classmethod
    def now(cls) -> StandardInput | None:
        """That of this process; None where it has none."""
        stream: TextIO | None = sys.stdin
        if stream is None:
            return None
        form = TextForm.of(stream, INPUT)
        refused = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(refused, Refusing):  # this process is a worker itself
            return cls(refusal=refused.reason)
        if form is None or not isinstance(stream, io.TextIOWrapper):
            is_closed = getattr(stream, "closed", False)
            return cls(refusal=REPLACED.format(what="is closed" if is_closed else f"is a {type(stream).__name__}"))
        try:
            # Changes nothing, but is refused once text has been read, which nothing else tells.
            stream.reconfigure(errors=form.errors)
        except io.UnsupportedOperation:
            return cls(form, HAS_BEGUN)
        return cls(form)

    def open(self) -> io.TextIOWrapper:
        """The stream."""
        raw = Reading() if self.refusal is None else Refusing(self.refusal)
        return io.TextIOWrapper(io.BufferedReader(raw), self.form.encoding, self.form.errors)


@dataclass(frozen=True, slots=True)
class StandardStreams:
    """The standard streams of a worker process.

    descriptors: of input, output and error; the null device where there is none. stdin: None where the main process has
    none. forms: of `sys.stdout` and `sys.stderr`, where these are text streams over their descriptors.
    """

    descriptors: Sequence[Descriptor | None]
    stdin: StandardInput | None
    forms: Sequence[TextForm | None]

    @classmethod
    def now(cls) -> StandardStreams:
        """Those of this process. Whoever calls this closes them. Raises OSError where no descriptor is left."""
        found: list[Descriptor | None] = []
        try:
            found.extend(_copied(number) for number in (INPUT, OUTPUT, ERROR))
        except BaseException:
            _close(found)
            raise
        forms = TextForm.of(sys.stdout, OUTPUT), TextForm.of(sys.stderr, ERROR)
        return cls(found, StandardInput.now(), forms)

    def without_input(self) -> StandardStreams:
        """The same for a worker that is not to read standard input."""
        stdin = replace(self.stdin, refusal=NOT_A_SOURCE) if self.stdin is not None else None
        return replace(self, descriptors=[None, *self.descriptors[1:]], stdin=stdin)

    def put_output(self) -> None:
        """Give them to this process, but for the input: what it imports is not to read that."""
        for number, end in enumerate(self.descriptors):
            _put(end if number != INPUT else None, number)
        for form, stream in zip(self.forms, (sys.stdout, sys.stderr), strict=True):
            if form is not None:
                form.give(stream)
        sys.stdin = StandardInput(refusal=IMPORTING).open()

    def put_input(self) -> None:
        """Give this process its standard input."""
        _put(self.descriptors[INPUT], INPUT)
        sys.stdin = self.stdin.open() if self.stdin is not None else None

    def close(self) -> None:
        """Release the descriptors."""
        _close(self.descriptors)


def _close(descriptors: Sequence[Descriptor | None]) -> None:
    for end in descriptors:
        if end is not None:
            end.close()


def _copied(number: int) -> Descriptor | None:
    """A second descriptor of a standard stream; None if it is closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return Descriptor(os.dup(number))


def _put(end: Descriptor | None, number: int) -> None:
    """Make this number the same open file; None: the null device."""
    if end is not None:
        os.dup2(end.fileno(), number)
        return
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    else:
        os.set_inheritable(null, True)
