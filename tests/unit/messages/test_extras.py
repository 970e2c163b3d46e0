"""An extra that is missing or too old is named with the version that is needed, and the command that brings it."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

from chainpump import StageOptionError, Tasks
from chainpump.messages.extras import LOWEST, install, too_old
from chainpump.plan.item_checks import check_available
from chainpump.progress.display import shown


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, as the library sees it."""
    known: dict[str, str] = {}

    def version(package: str) -> str:
        if package not in known:
            raise metadata.PackageNotFoundError(package)
        return known[package]

    monkeypatch.setattr(metadata, "version", version)
    return known


def test_the_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    first = {name: re.match(r"([\w.-]+)>=([\d.]+)", extras[name][0]) for name in LOWEST}
    assert {name: found.groups() for name, found in first.items() if found} == LOWEST


def test_a_missing_package_is_named_with_its_version(versions: dict[str, str]) -> None:
    assert install("progress", "progress=True draws with") == (
        "progress=True draws with rich 13.7 or newer, which is not installed.\n  Run: pip install 'chainpump[progress]'"
    )
    # It may be there without metadata.
    assert not too_old("progress")


@pytest.mark.parametrize("found", ["13.6.9", "9.13", "13", "13.7"])
def test_an_older_package_is_told_with_both_versions(versions: dict[str, str], found: str) -> None:
    versions["rich"] = found
    assert too_old("progress") is (found != "13.7")
    if too_old("progress"):
        assert f"rich 13.7 or newer, but {found} is installed.\n" in install("progress", "it needs")


@pytest.mark.parametrize("found", ["13.7.0rc1", "14", "13.10", "13.7.post1", "100.0.dev0+local"])
def test_a_newer_package_is_taken(versions: dict[str, str], found: str) -> None:
    versions["rich"] = found
    assert not too_old("progress")


def test_each_option_refuses_a_package_that_is_too_old(
    versions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.update(rich="10.0", typeguard="2.13.3", uvloop="0.17", prometheus_client="0.9")
    versions["opentelemetry-api"] = "1.4"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(StageOptionError, match=r"^progress=True draws in a terminal with rich 13.7 .* but 10.0 is"):
        shown()
    with pytest.raises(StageOptionError, match=r"^check_items=True needs typeguard 4.4 or newer, but 2.13.3 is"):
        check_available()
    with pytest.raises(StageOptionError, match=r'^Tasks: loop="uvloop" needs uvloop 0.21 or newer, but 0.17 is'):
        Tasks(loop="uvloop")
    for name in ("prometheus", "otel"):
        monkeypatch.delitem(sys.modules, f"chainpump.progress.{name}", raising=False)
        with pytest.raises(ImportError, match=rf"^chainpump\.progress\.{name} needs .* or newer, but .* is installed"):
            import_module(f"chainpump.progress.{name}")
