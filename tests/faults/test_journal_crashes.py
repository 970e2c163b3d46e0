"""A disk that loses its last writes: `python -m tests.journal_crashes`, in short, and that it sees what is wrong."""

from __future__ import annotations

from pathlib import Path

import journal_crashes
from chainpump.durable.content import Change
from chainpump.durable.journal_file import JournalFile
from journal_crashes import FINGERPRINT, Crashes


def test_a_crash_at_any_write_leaves_what_was_written_before(tmp_path: Path) -> None:
    crashes = Crashes(tmp_path, seed=4, each=2)
    crashes.run(8)
    assert crashes.wrong == []
    assert set(crashes.seen) == {"log", "copy", "close", "closed"}


def test_it_sees_a_change_that_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "some.journal"
    with JournalFile.open(path, FINGERPRINT) as file:
        before = journal_crashes._files(path)
        file.write(Change([(0, 5)]))
        held = journal_crashes._seen(path)
    crashes = Crashes(tmp_path, seed=0)
    crashes._crash("log", before, [held])
    assert [line.split(": ")[1].split(" has ")[0] for line in crashes.wrong] == ["_seen", "_resumed"]
