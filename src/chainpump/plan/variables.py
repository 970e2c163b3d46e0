"""The environment variables that an executor gives to each of its worker processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from ..errors import StageOptionError
from ..messages.names import text_of
from .placement import Placement, copies_of

__all__ = ["check_env", "variables_of"]

# The library sets these, for all workers.
RESERVED = ("CHAINPUMP_STAGE", "CHAINPUMP_WORKER")


def check_env(on: Placement, label: str) -> None:
    """Raise StageOptionError unless every worker has valid variables. A function is called for each worker.

    label: the stage, as messages name it.
    """
    if on.capabilities.env is not None:
        for number in range(copies_of(on)):
            variables_of(on, number, label)


def variables_of(on: Placement, number: int, label: str) -> dict[bytes, bytes]:
    """The variables of one worker, encoded for the system. number: from 0. Raises StageOptionError."""
    env = on.capabilities.env
    if env is None:
        return {}
    if isinstance(env, Mapping):
        return _encoded(env, f"{label}: env")
    if not callable(env):
        raise StageOptionError(
            f"{label}: env must be a mapping of texts to texts, or a function of the worker's number, "
            f"but got: {env!r}.\n"
            "  For example env={'OMP_NUM_THREADS': '1'}, or env=lambda n: {'CUDA_VISIBLE_DEVICES': str(n)}."
        )
    workers = copies_of(on)
    what = f"{label}: env({number}), for worker {number + 1} of {workers},"
    try:
        found = env(number)
    except Exception as error:
        raise StageOptionError(
            f"{what} raised {type(error).__name__}: {text_of(error)}\n"
            f"  It is called for each worker before the run starts, with a number from 0 to {workers - 1}."
        ) from error
    if not isinstance(found, Mapping):
        raise StageOptionError(f"{what} must return a mapping of texts to texts but returned: {found!r}.")
    return _encoded(found, what)


def _encoded(variables: Mapping[str, str], what: str) -> dict[bytes, bytes]:
    return dict(_encoded_pair(name, value, what) for name, value in variables.items())


def _encoded_pair(name: object, value: object, what: str) -> tuple[bytes, bytes]:
    if not (isinstance(name, str) and isinstance(value, str)):
        wrong, advice = (name, "") if not isinstance(name, str) else (value, f"\n  Write {{{name!r}: {str(value)!r}}}.")
        raise StageOptionError(
            f"{what} must map texts to texts but has {name!r}: {value!r}, where {wrong!r} is of type "
            f"{type(wrong).__name__}.{advice}"
        )
    if name in RESERVED:
        raise StageOptionError(f"{what} must not set {name}, which the library sets. Choose another name.")
    if name and "=" not in name and "\0" not in name + value:
        # A text may have characters that the encoding of the system does not have.
        with suppress(UnicodeEncodeError):
            return os.fsencode(name), os.fsencode(value)
    raise StageOptionError(f"{what} has {name!r}: {value!r}, which cannot be a variable of the environment.")
