"""The packages that some options need, and what is said where one is missing or too old."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile

__all__ = ["LOWEST", "install", "too_old"]

# Of each extra: the package that it brings, and the lowest version, as in pyproject.toml.
LOWEST: Mapping[str, tuple[str, str]] = {
    "check": ("typeguard", "4.4"),
    "otel": ("opentelemetry-api", "1.20"),
    "progress": ("rich", "13.7"),
    "prometheus": ("prometheus_client", "0.17"),
    "uvloop": ("uvloop", "0.21"),
}


def install(extra: str, needs: str) -> str:
    """What is said where the package of an extra cannot be used. needs: what needs it, with a verb."""
    package, lowest = LOWEST[extra]
    found = _installed(package)
    problem = "which is not installed" if found is None or not _is_older(found, lowest) else f"but {found} is installed"
    return f"{needs} {package} {lowest} or newer, {problem}.\n  Run: pip install 'chainpump[{extra}]'"


def too_old(extra: str) -> bool:
    """Whether the package of an extra is older than what was tested. A package without metadata is taken as it is."""
    package, lowest = LOWEST[extra]
    found = _installed(package)
    return found is not None and _is_older(found, lowest)


def _installed(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # workers import this module, and ask for no version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_older(found: str, lowest: str) -> bool:
    return _release(found) < _release(lowest)


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version: (13, 7, 1) of "13.7.1rc1"."""
    parts = takewhile(bool, (re.match(r"\d*", part).group() for part in version.split(".")))  # type: ignore[union-attr]
    return tuple(map(int, parts))
