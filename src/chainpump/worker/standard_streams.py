"""The standard streams of a worker process.

    standard output, standard error   every worker has the streams that the main process has when the run starts
    standard input                    the worker of a source has the stream of the main process; other workers have the
                                      null device, and a `sys.stdin` that raises when it is read

So input is never divided between readers, and no code takes the null device for input that has ended.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from ..ipc.descriptors import Descriptor, opened
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
        """Return True. Code that checks this first would otherwise take the stream for an empty one."""
        return True

    def readinto(self, _: object) -> int:
        """Raise the reason."""
        raise io.UnsupportedOperation(self.reason)

    def fileno(self) -> int:
        """Raise the reason: this descriptor is the null device."""
        raise io.UnsupportedOperation(self.reason)


class Reading(io.FileIO):
    """The standard input of this process."""

    name = "<stdin>"

    def __init__(self) -> None:
        super().__init__(INPUT, closefd=False)


@dataclass(frozen=True, slots=True)
class TextForm:
    """The encoding of a text stream."""

    encoding: str
    errors: str

    @classmethod
    def of(cls, stream: TextIO | None, number: int) -> TextForm | None:
        """The encoding of a text stream over this descriptor. None for other objects."""
        try:
            is_standard = isinstance(stream, io.TextIOWrapper) and stream.fileno() == number
        except (OSError, ValueError):
            # The stream has no descriptor, or it is closed.
            return None
        return cls(stream.encoding, stream.errors or "strict") if is_standard and stream is not None else None

    def give(self, stream: TextIO | None) -> None:
        """Use this encoding for a stream."""
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding, stream.errors) != (self.encoding, self.errors):
            stream.reconfigure(encoding=self.encoding, errors=self.errors)


@dataclass(frozen=True, slots=True)
class StandardInput:
    """The future `sys.stdin`. refusal: the error text for reading it. None if it can be read."""

    form: TextForm = TextForm("utf-8", "strict")
    refusal: str | None = None

    @classmethod
    def now(cls) -> StandardInput | None:
        """The standard input of this process. None if it has none."""
        stream: TextIO | None = sys.stdin
        if stream is None:
            return None
        form = TextForm.of(stream, INPUT)
        refused = getattr(getattr(stream, "buffer", None), "raw", None)
        # This process is itself a worker.
        if isinstance(refused, Refusing):
            return cls(refusal=refused.reason)
        if form is None or not isinstance(stream, io.TextIOWrapper):
            is_closed = getattr(stream, "closed", False)
            return cls(refusal=REPLACED.format(what="is closed" if is_closed else f"is a {type(stream).__name__}"))
        try:
            # This changes nothing, but it raises an error after text has been read. No other call shows that.
            stream.reconfigure(errors=form.errors)
        except io.UnsupportedOperation:
            return cls(form, HAS_BEGUN)
        return cls(form)

    def open(self) -> io.TextIOWrapper:
        """Make the stream."""
        raw = Reading() if self.refusal is None else Refusing(self.refusal)
        return io.TextIOWrapper(io.BufferedReader(raw), self.form.encoding, self.form.errors)


@dataclass(frozen=True, slots=True)
class StandardStreams:
    """The standard streams of a worker process.

    descriptors: those of input, output and error. None means the null device. stdin: None if the main process has none.
    forms: the encodings of `sys.stdout` and `sys.stderr`, if they are text streams over their descriptors.
    """

    descriptors: Sequence[Descriptor | None]
    stdin: StandardInput | None
    forms: Sequence[TextForm | None]

    @classmethod
    def now(cls) -> StandardStreams:
        """The streams of this process. The caller closes them. Raises OSError if no descriptor is left."""
        found: list[Descriptor | None] = []
        try:
            found.extend(_copied(number) for number in (INPUT, OUTPUT, ERROR))
        except BaseException:
            _close(found)
            raise
        forms = TextForm.of(sys.stdout, OUTPUT), TextForm.of(sys.stderr, ERROR)
        return cls(found, StandardInput.now(), forms)

    def without_input(self) -> StandardStreams:
        """The same for a worker that must not read standard input."""
        stdin = replace(self.stdin, refusal=NOT_A_SOURCE) if self.stdin is not None else None
        return replace(self, descriptors=[None, *self.descriptors[1:]], stdin=stdin)

    def with_output(self, end: Descriptor) -> StandardStreams:
        """The same, with this end in place of each output stream that is a terminal. The caller closes the end."""
        descriptors = [*self.descriptors]
        for number in (OUTPUT, ERROR):
            terminal = descriptors[number]
            if terminal is not None and os.isatty(terminal.fileno()):
                descriptors[number] = end.dup()
                terminal.close()
        return replace(self, descriptors=descriptors)

    def put_output(self) -> None:
        """Use the output streams in this process. Its imports must not read standard input."""
        for number, end in enumerate(self.descriptors):
            _put(end if number != INPUT else None, number)
        for form, stream in zip(self.forms, (sys.stdout, sys.stderr), strict=True):
            if form is not None:
                form.give(stream)
        sys.stdin = StandardInput(refusal=IMPORTING).open()

    def put_input(self) -> None:
        """Use the standard input in this process."""
        _put(self.descriptors[INPUT], INPUT)
        sys.stdin = self.stdin.open() if self.stdin is not None else None

    def close(self) -> None:
        """Close the descriptors."""
        _close(self.descriptors)

    @staticmethod
    def detach() -> None:
        """Write what is buffered, and use the null device for all three streams of this process."""
        for stream in (sys.stdout, sys.stderr):
            # A stage may have replaced or closed it.
            with suppress(Exception):
                stream.flush()
        for number in (INPUT, OUTPUT, ERROR):
            _put(None, number)


def _close(descriptors: Sequence[Descriptor | None]) -> None:
    for end in descriptors:
        if end is not None:
            end.close()


def _copied(number: int) -> Descriptor | None:
    """A second descriptor of a standard stream. None if the stream is closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return opened(os.dup, number)


def _put(end: Descriptor | None, number: int) -> None:
    """Make this number a descriptor of the same open file. None means the null device."""
    if end is not None:
        os.dup2(end.fileno(), number)
        return
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    else:
        os.set_inheritable(null, True)
