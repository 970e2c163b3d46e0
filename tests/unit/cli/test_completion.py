"""What a shell is told may come next: files, and the names that stand in them."""

import pytest

from chainpump.cli.completion import completions

FILE = """
import os
from chainpump import Pipeline

raise SystemExit("nothing here is run")

pipeline = pages = Pipeline([1])
typed: Pipeline[int] = Pipeline([1])
_private = 3
pipeline.attribute, (one, two) = 1, (2, 3)

def make(limit: int) -> Pipeline[int]:
    inner = 3

class Jobs:
    nightly = pipeline
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(FILE)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "[odd]*.py").write_text("syntax error")
    (tmp_path / "notes.txt").touch()
    return tmp_path


@pytest.mark.parametrize(
    "prefix,expected",
    [
        ("", ["jobs.py:", "jobs/"]),
        ("jo", ["jobs.py:", "jobs/"]),
        ("./jobs.", ["./jobs.py:"]),
        ("jobs/", ["jobs/[odd]*.py:"]),
        ("jobs/[odd", ["jobs/[odd]*.py:"]),
        ("no", []),
    ],
)
def test_files_and_folders_come_first(prefix, expected):
    assert completions(prefix) == expected


def test_absolute_paths_are_completed(folder):
    assert completions(f"{folder}/jobs.") == [f"{folder}/jobs.py:"]
    assert "/usr/" in completions("/us")


@pytest.mark.parametrize(
    "prefix,names",
    [
        ("jobs.py:", ["pipeline", "pages", "typed", "make"]),
        ("jobs.py:p", ["pipeline", "pages"]),
        ("jobs/[odd]*.py:", []),
        ("missing.py:", []),
    ],
)
def test_names_of_a_file_follow_without_running_it(prefix, names):
    assert completions(prefix) == [f"{prefix.partition(':')[0]}:{name}" for name in names]
