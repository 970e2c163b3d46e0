"""Dead letters as rows of a journal: pickled if that is possible, and as text in any case."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Sequence
from typing import Any

from ..errors import DeadItem, RemoteError
from ..messages.item_repr import short_repr
from ..messages.stand_ins import stand_in
from .journal_tables import Damaged

__all__ = ["check_letter", "letter_from", "row_of", "storable"]


def row_of(letter: DeadItem) -> tuple[Any, ...]:
    """The values of a row behind its key. Any: what SQLite can hold."""
    return (
        storable(letter.stage),
        letter.index,
        letter.part,
        letter.position,
        _pickled(letter.item),
        storable(short_repr(letter.item)),
        _pickled(letter.error),
        storable(str(stand_in(letter.error))),
        storable(letter.traceback),
    )


def letter_from(row: Sequence[Any]) -> DeadItem:
    """The letter of a row with its key. An item that cannot be unpickled here is given as its short text."""
    _, stage, number, part, position, item, item_text, error, error_text, traceback = row
    made = _unpickled(error, None)
    if not isinstance(made, BaseException):
        kind, _, text = error_text.partition(": ")
        made = RemoteError(kind, text, traceback=traceback)
    return DeadItem(stage, number, _unpickled(item, item_text), made, traceback, part, position)


def check_letter(row: Sequence[Any]) -> None:
    """Check that the pickles of a row are whole, without running them. Raises Damaged."""
    for data in (row[5], row[7]):
        try:
            for _ in pickletools.genops(data or b"N."):
                pass
        except ValueError as error:
            raise Damaged(f"the dead letter of item {row[2]} of stage {row[1]!r} is no pickle: {error}") from error


def storable(text: str) -> str:
    """A text as SQLite can hold it: half characters are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _pickled(value: object) -> bytes | None:
    try:
        data = pickle.dumps(value, 5)
        # What cannot be read again is no use.
        pickle.loads(data)
    except Exception:
        # The methods of a user's object may raise anything.
        return None
    return data


# Any: what was pickled.
def _unpickled(data: bytes | None, instead: object) -> Any:
    if data is None:
        return instead
    try:
        return pickle.loads(data)
    except Exception:
        # The module of its class may be missing here, or another one.
        return instead
