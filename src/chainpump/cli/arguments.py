"""The pipeline that a command line names: a value, or the result of a function called with `--set` arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args

from ..hints.annotations import UNKNOWN, Hint, UnresolvedHintError, resolve, signature_of
from ..hints.classes import is_union, plain, split
from ..hints.display import show
from ..hints.objects import name_of
from ..pipeline import Pipeline, Runnable
from .target import Target, UsageError, find

__all__ = ["READ", "named_pipeline", "suggestion"]

FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _flag(text: str) -> bool:
    if text.lower() not in FLAGS:
        raise ValueError(text)
    return FLAGS[text.lower()]


def _none(text: str) -> None:
    if text != "None":
        raise ValueError(text)


READERS: Mapping[Hint, Callable[[str], object]] = {
    UNKNOWN: str,
    object: str,
    str: str,
    int: int,
    float: float,
    bool: _flag,
    Path: Path,
    # The type of a default value that is a path.
    type(Path()): Path,
    NoneType: _none,
}
READ = "str, int, float, bool, Path, None and Literal[...]"


def named_pipeline(target: Target, settings: Sequence[str]) -> Pipeline[Any] | Runnable[Any]:
    """The pipeline that a target names. If it names a function, that is called with the settings, each `key=value`.

    Raises UsageError where neither is a pipeline.
    """
    found = find(target)
    if isinstance(found, Pipeline | Runnable):
        if settings:
            raise UsageError(
                f"{target.name!r} in {target.location} is a {type(found).__name__}: "
                f"--set {settings[0]} would change nothing.\n  --set is for a function that returns a pipeline."
            )
        return found
    if not callable(found) or isinstance(found, type) or not _may_return_one(found):
        raise UsageError(
            f"{target.name!r} in {target.location} must be a Pipeline, a Runnable or a function that returns one "
            f"but is: {_kind(found)}\n  A pipeline is made by Pipeline(...), and a Runnable by its .into(...)."
        )
    made = found(**_arguments(found, target.name, settings))
    if isinstance(made, Pipeline | Runnable):
        return made
    raise UsageError(
        f"{target.name!r} in {target.location} must return a Pipeline or a Runnable but returned: "
        f"{type(made).__name__}\n  Let it return the pipeline, rather than run it."
    )


def _may_return_one(function: Callable[..., Any]) -> bool:
    """Whether the annotation allows that it returns a pipeline. Otherwise the function is not called."""
    base = split(_resolved(signature_of(function).return_annotation, function))[0]
    return not isinstance(base, type) or issubclass(base, Pipeline | Runnable)


def _kind(found: object) -> str:
    if not callable(found) or isinstance(found, type):
        return type(found).__name__
    returned = show(_resolved(signature_of(found).return_annotation, found))
    return f"a function that returns {returned}"


def _arguments(function: Callable[..., Any], name: str, settings: Sequence[str]) -> dict[str, object]:
    signature = signature_of(function).parameters
    rest = next((each for each in signature.values() if each.kind is Parameter.VAR_KEYWORD), None)
    known = {
        key: each for key, each in signature.items() if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}
    }
    takes = f"\n  {name} takes: {', '.join(map(str, known.values())) or 'nothing'}"
    arguments: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE but got: {setting!r}{takes}")
        parameter = known.get(key, rest)
        if parameter is None:
            raise UsageError(f"{name} has no parameter {key!r}.{suggestion(key, known)}{takes}")
        arguments[key] = _read(text, _hint_of(parameter, function), setting, f"{key!r} of {name}")
    open_ones = (each for each in signature.values() if each.default is Parameter.empty and each.name not in arguments)
    for each in open_ones:
        if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}:
            raise UsageError(f"{name} needs a value for {each.name!r}: --set {each.name}=VALUE{takes}")
    return arguments


def _read(text: str, hint: Hint, setting: str, what: str) -> object:
    """Convert a text to the first type of a hint that accepts it. None is tried first, since few texts are None."""
    kinds = [plain(each) for each in (get_args(hint) if is_union(hint) else (hint,))]
    readers = [_reader(kind) for kind in sorted(kinds, key=lambda kind: kind is not NoneType)]
    for reader in filter(None, readers):
        try:
            return reader(text)
        except (ValueError, KeyError):
            # Try the next reader; after the last one, raise the error below.
            pass
    flags = f"\n  Say {' or '.join(FLAGS)}." if bool in kinds else ""
    others = f"\n  --set reads {READ}, and nothing else." if None in readers else ""
    raise UsageError(f"--set {setting}: {what} must be {show(hint)} but got: {text!r}{flags}{others}")


def _reader(kind: Hint) -> Callable[[str], object] | None:
    """The function that converts a text to this type; None if there is none."""
    form, values = split(kind)
    return {str(value): value for value in values}.__getitem__ if form is Literal else READERS.get(kind)


def _hint_of(parameter: Parameter, function: Callable[..., Any]) -> Hint:
    """The hint of a parameter: its annotation, or else the type of its default, unless that is None."""
    hint = plain(_resolved(parameter.annotation, function))
    says_nothing = parameter.default is Parameter.empty or parameter.default is None
    return hint if hint is not UNKNOWN or says_nothing else type(parameter.default)


def _resolved(annotation: object, function: Callable[..., Any]) -> Hint:
    try:
        return resolve(annotation, function)
    except UnresolvedHintError as error:
        raise UsageError(f"{name_of(function)}: {error}") from error


def suggestion(name: str, known: Iterable[str]) -> str:
    """`Did you mean ...?`, if a known name is similar; otherwise empty."""
    alike = get_close_matches(name, known, n=1)
    return f" Did you mean {alike[0]!r}?" if alike else ""
