"""Which journal a run keeps, and how: the value of `journal=`."""

from __future__ import annotations

import os
from typing import Any

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass, field

__all__ = ["Journal", "as_journal"]


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of a durable run: a file that knows which items are done.

    >>> Journal("ingest.journal", items=500).autocommit
    True

    path: the file; it is made if it does not exist.
    items: the file is also written when so many items are done and not recorded, and not only after some time.
    autocommit: while iterating, to ask for the next item says that the item before it is done, until the first
    `commit()`. If False, only `commit()` says so.
    strict: a function or an option that has changed since the last attempt is an error, not a warning.
    check_input: some items are compared with those of earlier attempts. False if items differ in each attempt, such as
    by a time that they hold.
    retry: the run does the items again whose dead letters are in the journal, and no others. A letter is removed when
    its item is done, and one that fails again has a new letter.
    Raises StageOptionError for a wrong path or number.
    """

    # Any: a wrong value gets a clear error.
    path: Any
    items: int | None = field(default=None, kw_only=True)
    autocommit: bool = field(default=True, kw_only=True)
    strict: bool = field(default=False, kw_only=True)
    check_input: bool = field(default=True, kw_only=True)
    retry: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)) or not os.fspath(self.path):
            raise StageOptionError(f"Journal: path must be the path of a file but got: {self.path!r}.")
        if self.items is not None and (type(self.items) is not int or self.items < 1):
            raise StageOptionError(f"Journal: items must be a whole number of at least 1 but got: {self.items!r}.")


def as_journal(given: str | os.PathLike[str] | Journal) -> Journal:
    """The journal that `journal=` names. Raises StageOptionError."""
    return given if isinstance(given, Journal) else Journal(given)
