"""`FILE_OR_MODULE:NAME`: what a command line names in a file or a module."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ..building.main_guard import guards
from ..lazy_dataclass import dataclass
from ..pickling.loading import GUARD
from ..pipeline import Pipeline, Runnable

__all__ = ["Target", "UsageError", "find"]

GUARDED = (
    f"\n  It is assigned under `{GUARD}`, which an import leaves out."
    "\n  Assign it at the top level of the file, and leave there what runs it."
)


class UsageError(Exception):
    """The command line cannot be carried out. The text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to run: a name, which may be dotted, in a module or in a file that is imported as a module.

    >>> Target.parse("examples/index_code.py:pipeline")
    Target(location='examples/index_code.py', name='pipeline')
    """

    location: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Split at the last colon. Raises UsageError where a part is missing."""
        location, _, name = text.rpartition(":")
        if location and name and all(part.isidentifier() for part in name.split(".")):
            return cls(location, name)
        start = location or text.strip(":") or "FILE_OR_MODULE"
        raise UsageError(
            f"expected FILE_OR_MODULE:NAME but got: {text!r}\n"
            f"  Say which pipeline of the file or module to run, for example {start}:pipeline"
        )

    @property
    def is_file(self) -> bool:
        """Whether the location is a path; otherwise it is the dotted name of a module."""
        return self.location.endswith(".py") or os.sep in self.location


def find(target: Target) -> object:
    """The object that a target names. Raises UsageError if there is none."""
    module = _import_file(Path(target.location)) if target.is_file else _import_module(target.location)
    found: object = module
    path: tuple[str, ...] = ()
    names = target.name.split(".")
    for name in names:
        if not hasattr(found, name):
            known = [other for other in dir(found) if len(path) + 1 < len(names) or _may_be_run(found, other)]
            alike = [".".join((*path, other)) for other in get_close_matches(name, known, n=1)]
            hint = f" Did you mean {alike[0]!r}?" if alike else _pipelines_of(module)
            hint = GUARDED if found is module and _is_guarded(name, module) else hint
            raise UsageError(f"{target.location} has no {target.name!r}.{hint}")
        found = getattr(found, name)
        path = (*path, name)
    return found


def _may_be_run(owner: object, name: str) -> bool:
    """Whether it is a pipeline, or a function, which may return a pipeline."""
    value = inspect.getattr_static(owner, name, None)
    return isinstance(value, Pipeline | Runnable) or (callable(value) and not isinstance(value, type))


def _is_guarded(name: str, module: ModuleType) -> bool:
    """Whether the file of a module assigns this name under the main guard, which an import leaves out."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):
        # The module has no source file.
        return False
    within = (node for guard in guards(tree) for node in ast.walk(guard))
    return any(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) for node in within)


def _pipelines_of(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Pipeline | Runnable)]
    if names:
        return f"\n  Its pipelines are: {', '.join(names)}"
    return "\n  It has no pipeline at its top level; assign one to a name there."


def _import_file(path: Path) -> ModuleType:
    """Import a file by its stem from its directory, so that worker processes can import it by name, too."""
    # 1. No such file.
    if not path.is_file():
        alike = get_close_matches(path.name, [other.name for other in path.parent.glob("*.py")], n=1)
        hint = f"\n  Did you mean {path.parent / alike[0]}?" if alike else ""
        raise UsageError(f"no such file: {path} (in {Path.cwd()}){hint}")
    # 2. A file that no import statement could name.
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(
            f"{path} cannot be imported: {path.name!r} is not a module name and '.py'.\n"
            "  Workers import it by its name; rename the file."
        )
    sys.path.insert(0, str(path.parent.resolve()))
    module = importlib.import_module(path.stem)
    # 3. A module of that name was there before, for example of the standard library.
    origin = getattr(module, "__file__", None)
    if origin is None or not path.samefile(origin):
        raise UsageError(
            f"{path} cannot be imported: the module name {path.stem!r} is taken by "
            f"{origin or 'a built-in module'}.\n  Rename the file."
        )
    return module


def _import_module(name: str) -> ModuleType:
    # `python -m` looks in the working directory first, and an installed command does not.
    sys.path.insert(0, str(Path.cwd()))
    try:
        known = find_spec(name) is not None
    except (ModuleNotFoundError, ValueError) as error:
        # The name is malformed or a parent of it is missing; otherwise an import of a parent fails.
        if isinstance(error, ModuleNotFoundError) and not f"{name}.".startswith(f"{error.name}."):
            raise
        known = False
    if known:
        return importlib.import_module(name)
    raise UsageError(f"no module named {name!r} can be imported from {Path.cwd()}")
