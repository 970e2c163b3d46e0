"""mypy and pyright: the lines of which they report errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["Lines", "mypy", "pyright"]

ROOT = Path(__file__).parents[2]
# File name and line, counted from 1.
Lines = set[tuple[str, int]]


def mypy(folder: Path) -> Lines:
    """The lines of the files of a folder of which mypy --strict reports errors."""
    options = ("--strict", "--output=json", "--config-file=", f"--cache-dir={folder / 'cache'}")
    found = _run("mypy", *options, *map(str, sorted(folder.glob("*.py"))), MYPYPATH=str(ROOT / "src"))
    reports = [json.loads(line) for line in found.splitlines()]
    errors = [(Path(each["file"]), each["line"]) for each in reports if each["severity"] == "error"]
    return {(file.name, line) for file, line in errors if file.parent == folder}


def pyright(folder: Path) -> Lines:
    """The lines of the files of a folder of which pyright reports errors, in strict mode where they say so."""
    config = folder / "pyrightconfig.json"
    config.write_text(json.dumps({"include": ["*.py"], "extraPaths": [str(ROOT / "src")]}))
    found = _run("pyright", "--outputjson", "-p", str(config), "--pythonpath", sys.executable)
    reports = json.loads(found)["generalDiagnostics"]
    errors = [each for each in reports if each["severity"] == "error"]
    return {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in errors}


def _run(module: str, *arguments: str, **environment: str) -> str:
    command, variables = (sys.executable, "-m", module, *arguments), os.environ | environment
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout
