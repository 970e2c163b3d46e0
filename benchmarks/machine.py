"""What a figure depends on: the machine, and the versions of what was measured."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("chainpump", "pypeln", "pipeline_lib", "numpy")


def facts() -> Mapping[str, str]:
    """Name and value of each."""
    found = {
        "Linux": ".".join(platform.release().split(".")[:2]),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }
    return found | {package: _version(package) for package in PACKAGES}


def as_text(machine: Mapping[str, str]) -> str:
    """All of them in one line."""
    return ", ".join(f"{key} {value}" for key, value in machine.items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
