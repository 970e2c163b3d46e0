"""Programs whose standard library is patched for green threads: executors that fail there are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from ..errors import StageOptionError
from ..lazy_dataclass import dataclass
from ..plan.placement import Placement

__all__ = ["check_unpatched"]


@dataclass(frozen=True, slots=True)
class _Patcher:
    """A library that patches. modules: standard modules that workers need, by the library's names for them.

    has_patched: asks the library of one of them. refuses: the executors whose workers fail. Any: neither has types.
    """

    modules: tuple[str, ...]
    has_patched: Callable[[Any, str], bool]
    refuses: Callable[[Placement], bool]
    advice: str


APART = "run the pipeline in a program of its own that is not patched, for example by subprocess.run()"
# With gevent, sockets never block, and locks wait for a loop that no worker runs. With eventlet, select.poll is
# missing.
PATCHERS = {
    "gevent.monkey": _Patcher(
        ("socket", "threading"),
        lambda monkey, name: bool(monkey.is_module_patched(name)),
        lambda on: on.capabilities.has_own_interpreter,
        f"Place all stages on Threads(), or {APART}.",
    ),
    "eventlet.patcher": _Patcher(
        ("select", "socket", "thread"),
        lambda patcher, name: bool(patcher.is_monkey_patched(name)),
        lambda on: not on.capabilities.shares_thread,
        f"Run it with .inline(), or {APART}.",
    ),
}


def check_unpatched(placements: Sequence[Placement]) -> None:
    """Raise StageOptionError if one of these executors cannot work in this patched program."""
    for name, patcher in PATCHERS.items():
        module: ModuleType | None = sys.modules.get(name)
        patched = [each for each in patcher.modules if module is not None and patcher.has_patched(module, each)]
        refused = next(filter(patcher.refuses, placements), None) if patched else None
        if refused is not None:
            library = name.partition(".")[0]
            raise StageOptionError(
                f"{refused!r} cannot work in this program: {library} has patched its {', '.join(patched)}.\n"
                f"  {patcher.advice}"
            )
