"""`chainpump journal` tells what a journal holds, and removes it only if that is wanted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from chainpump import DeadItem, Pipeline
from chainpump.cli.main import main
from chainpump.durable.content import COMPLETE, Change
from chainpump.durable.fingerprint import fingerprint_of
from chainpump.durable.journal_file import JournalFile

Output = pytest.CaptureFixture[str]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """The journal of an attempt that was killed and of one that has failed."""
    path = tmp_path / "some.journal"
    fingerprint = fingerprint_of(Pipeline(range(9)).plan().stages)
    letters = [DeadItem("parse", number, f"row {number}", ValueError("no date"), "") for number in range(25)]
    JournalFile.open(path, fingerprint).close()
    with JournalFile.open(path, fingerprint) as file:
        file.write(Change([(0, 30), (40, 41)], letters=letters, skipped={"parse": 3}))
        file.finish("failed")
    return str(path)


def test_show_tells_what_is_done_the_attempts_and_some_dead_letters(journal: str, capsys: Output) -> None:
    assert main(["journal", "show", journal]) == 0
    text = capsys.readouterr().out
    assert (
        "31 items are done; the first item that is not done is 30\ndone: 0-29, 40-40\nat most 69 others were begun, "
        in text
    )
    assert [line.split()[0] for line in text.splitlines() if "failed" in line] == ["2"]
    assert "item 3 of 'parse': 'row 3': ValueError: no date\n" in text
    assert "and 5 more\n" in text
    assert ["parse", "25", "3"] in [line.split() for line in text.splitlines()]


def test_show_tells_of_a_complete_journal(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "some.journal"
    with JournalFile.open(path, fingerprint_of(Pipeline(range(9)).plan().stages)) as file:
        file.write(Change([(0, 9)]))
        file.finish(COMPLETE)
    assert main(["journal", "show", str(path)]) == 0
    assert capsys.readouterr().out.startswith("9 items are done; complete\n")


def test_verify_tells_that_it_is_whole_or_what_is_wrong(journal: str, capsys: Output) -> None:
    assert main(["journal", "verify", journal]) == 0
    assert "is whole: 31 items are done, with 25 dead letters" in capsys.readouterr().out
    Path(journal).write_bytes(b"no journal")
    assert main(["journal", "verify", journal]) == 1
    assert "it is no journal" in capsys.readouterr().err


def test_reset_asks_or_is_told(journal: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["journal", "reset", journal]) == 2
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer in ("", "no"):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert main(["journal", "reset", journal]) == 0
        assert Path(journal).exists()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(["journal", "reset", journal]) == 0
    assert not Path(journal).exists()


def test_reset_asks_nothing_with_yes(journal: str, capsys: Output) -> None:
    assert main(["journal", "reset", journal, "--yes"]) == 0
    assert capsys.readouterr().out == f"removed: {journal}\n"
    assert main(["journal", "reset", journal, "--yes"]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_reset_removes_a_journal_that_is_damaged_and_no_other_file(journal: str, capsys: Output) -> None:
    path = Path(journal)
    for damaged in (path.read_bytes()[:5000], b""):
        path.write_bytes(damaged)
        assert main(["journal", "reset", journal, "--yes"]) == 0
        assert not path.exists()
    path.write_bytes(b"the only copy of something else " * 10)
    assert main(["journal", "reset", journal, "--yes"]) == 1
    assert "it is no journal" in capsys.readouterr().err
    assert path.exists()


def test_show_tells_whether_an_attempt_without_an_end_runs_was_killed_or_is_of_another_machine(
    journal: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_attempt() -> str:
        assert main(["journal", "show", journal]) == 0
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["1"]]
        return line

    def no_such_process(pid: int, signal: int) -> None:
        raise ProcessLookupError

    assert " running " in first_attempt()
    monkeypatch.setattr("os.kill", no_such_process)
    assert " killed or crashed " in first_attempt()
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="elsewhere"))
    assert " unknown " in first_attempt()


def test_retry_needs_a_journal(capsys: Output) -> None:
    assert main(["run", "jobs.py:stored", "--retry"]) == 2
    assert "Add --journal FILE." in capsys.readouterr().err
