"""The main example gives the records of a plain loop over the same functions, and finds what it indexed."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from chainpump import Pipeline, StageError, sink, stage
from chainpump.durable.journal_file import read
from support.gate import WHOLE
from support.processes import until

EXAMPLES = Path(__file__).parents[1] / "examples"

FILES = {
    "boats/__init__.py": '"""Everything that floats."""\n',
    "boats/sail.py": (
        '"""Moved by the wind."""\n'
        "class Yacht:\n"
        '    """A boat for pleasure."""\n'
        "    def tack(self):\n"
        '        """Turn the bow through the wind."""\n'
        "        def inner(): pass\n"
        "if True:\n"
        "    async def race(): ...\n"
    ),
    "boats/broken.py": "def (:\n",
    "boats/null.py": "x = 1\0\n",
    "boats/surrogate.py": 'def odd():\n    "\\ud800 alone"\n',
    "site-packages/other.py": "def unseen(): ...\n",
    "notes.txt": "def unseen(): ...\n",
}
KINDS = {"module": 3, "class": 1, "function": 4, "unparsable": 2}


@pytest.fixture
def index_code(monkeypatch):
    """The example as a module; its folder is on the path of workers too."""
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    import index_code

    return index_code


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "code"


def test_pipeline_gives_the_records_of_a_plain_loop(index_code, folder, tmp_path):
    database = tmp_path / "index.sqlite"
    summary = index_code.index(folder, database, "wind").run().value
    plain = list(index_code.parse(index_code.python_files(folder), folder))
    assert summary.counts == Counter(record.kind for record in plain) == KINDS
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT module, kind, name, path, line, docstring FROM records").fetchall()
    assert sorted(rows) == sorted(index_code.row(record) for record in plain)


def test_search_finds_every_word_and_ranks(index_code, folder, tmp_path):
    summary = index_code.index(folder, tmp_path / "index.sqlite", "wind").run().value
    assert [hit.name for hit in summary.hits] == ["boats.sail", "Yacht.tack"]
    assert "boats.sail.Yacht.tack  (function, " in str(summary)
    assert "sail.py:4)\n      Turn the bow through the wind." in str(summary)


def test_search_takes_any_text_for_words(index_code, folder, tmp_path):
    assert index_code.index(folder, tmp_path / "index.sqlite", 'NEAR( "-').run().value.hits == ()


def test_failure_upstream_leaves_the_index_as_it_was(index_code, folder, tmp_path, monkeypatch):
    database = tmp_path / "index.sqlite"
    index_code.index(folder, database, "wind").run()
    before = database.read_bytes()
    with pytest.raises(StageError, match="stage 'parse'"):
        broken(index_code, folder, database).run()
    assert database.read_bytes() == before


def broken(index_code, folder, database):
    """The pipeline over one path that is not below the folder, after all those that are."""
    paths = [*index_code.python_files(folder), Path("/elsewhere.py")]
    records = Pipeline(paths).then(stage(index_code.parse, folder))
    return records.into(sink(index_code.write, database, "wind"))


def test_command_line_of_the_library_prints_ranked_hits(folder, tmp_path):
    environment = {**os.environ, "INDEX_CODE_FOLDER": str(folder), "INDEX_CODE_QUERY": "wind"}
    # Fmt: skip.
    done = subprocess.run(
        [sys.executable, "-m", "chainpump", "run", f"{EXAMPLES}/index_code.py:pipeline"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WHOLE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 records in " in done.stdout
    assert "   1. boats.sail  (module, " in done.stdout
    assert (tmp_path / "index_code.sqlite").is_file()


@pytest.mark.parametrize("arguments,expected", [(["wind"], "   1. boats.sail  (module, "), (["--check"], "are equal")])
def test_script_takes_folder_and_query_or_checks(folder, tmp_path, arguments, expected):
    # Fmt: skip.
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "index_code.py"), str(folder), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WHOLE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


def test_durable_index_that_is_killed_half_way_is_the_same_in_the_end(index_code, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    for number in range(300):
        (folder / f"module_{number:03}.py").write_text("".join(f"def f{n}(): ...\n" for n in range(number % 7)))
    database, whole, journal = (tmp_path / name for name in ("index.sqlite", "whole.sqlite", "index.journal"))
    names = {"INDEX_CODE_FOLDER": str(folder), "INDEX_CODE_DATABASE": str(database)}
    command = [
        sys.executable,
        "-m",
        "chainpump",
        "run",
        f"{EXAMPLES / 'index_code.py'}:durable",
        "--journal",
        str(journal),
    ]
    program = subprocess.Popen(command, env={**os.environ, **names}, start_new_session=True)
    until(lambda: len(stored(database)) >= 20, "20 records are stored")
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    assert subprocess.run(command, env={**os.environ, **names}, check=False).returncode == 0
    index_code.durable_index(folder, whole).run()
    assert stored(database) == stored(whole)
    content = read(journal)
    assert content.complete
    assert list(content.done) == [(0, 300)]


def stored(database):
    """The records of a database, in order; none while it is being made."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            return sorted(connection.execute("SELECT path, kind, name, line FROM records").fetchall())
    except sqlite3.OperationalError:
        return []
