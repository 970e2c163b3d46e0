"""Completions for `FILE:NAME`: files, and the names in them. Files are parsed, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from glob import escape
from pathlib import Path

__all__ = ["completions"]


def completions(prefix: str, **_: object) -> list[str]:
    """All completions of a prefix. argcomplete calls this, with more arguments than are needed."""
    location, colon, start = prefix.rpartition(":")
    if not colon:
        return sorted(_files(prefix))
    return [f"{location}:{name}" for name in _names(Path(location)) if name.startswith(start)]


def _files(prefix: str) -> Iterator[str]:
    folder, slash, start = prefix.rpartition("/")
    for path in Path(folder + slash).glob(f"{escape(start)}*"):
        if path.is_dir():
            yield f"{folder}{slash}{path.name}/"
        elif path.suffix == ".py":
            yield f"{folder}{slash}{path.name}:"


def _names(path: Path) -> Iterator[str]:
    """The public names that a file defines at its top level; none if it cannot be read."""
    try:
        statements = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return
    for each in statements:
        targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
        names = [each.name] if isinstance(each, ast.FunctionDef) else [getattr(target, "id", "_") for target in targets]
        yield from (name for name in names if not name.startswith("_"))
