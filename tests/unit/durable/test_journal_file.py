"""The file of a journal keeps what was written, says what is wrong with it, and never has a wrong content."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chainpump import DeadItem, JournalError, Pipeline, RemoteError
from chainpump.durable.content import COMPLETE, Change, Content
from chainpump.durable.fingerprint import Fingerprint, fingerprint_of
from chainpump.durable.journal_file import JournalFile, read, read_letters, reset, verify

FLIPS = 60
HOLDER = """
import sys
from pathlib import Path
from chainpump.durable.journal_lock import JournalLock
JournalLock(Path(sys.argv[1]))
print(flush=True)
input()
"""


def doubled(number: int) -> int:
    return 2 * number


def tripled(number: int) -> int:
    return 3 * number


def of(pipeline: Pipeline[int]) -> Fingerprint:
    return fingerprint_of(pipeline.plan().stages)


NUMBERS = of(Pipeline(range(9)).map(doubled, name="times"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.journal"


def written(path: Path, *changes: Change, status: str | None = None) -> None:
    """Write changes to a journal in one attempt."""
    with JournalFile.open(path, NUMBERS) as file:
        for change in changes:
            file.write(change)
        if status is not None:
            file.finish(status)


class Vanishing(Exception):
    """Its pickle is that of a dict."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return dict, ()


def letter(number: int, text: str = "too odd") -> DeadItem:
    return DeadItem("times", number, [number], ValueError(text), "Traceback: here")


# ----------------------------------------------------------------------------------------------------------- content


def test_what_is_done_is_kept_over_attempts(path: Path) -> None:
    written(path, Change([(0, 5)]), Change([(7, 9)]))
    with JournalFile.open(path, NUMBERS) as file:
        assert list(file.content.done) == [(0, 5), (7, 9)]
        file.write(Change([(5, 7)]))
        file.finish(COMPLETE)
    content = verify(path)
    assert list(content.done) == [(0, 9)]
    assert [(each.done_before, each.done, each.status) for each in content.attempts] == [(0, 7, None), (7, 2, COMPLETE)]
    assert content.complete


def test_dead_letters_are_kept_with_item_and_error(path: Path) -> None:
    written(path, Change([(0, 5)], letters=[replace(letter(3), position=7)]))
    (found,) = read_letters(path)
    assert (found.stage, found.index, found.item, found.traceback) == ("times", 3, [3], "Traceback: here")
    assert (found.part, found.position) == (0, 7)
    assert repr(found.error) == repr(ValueError("too odd"))
    assert read(path).letters == {"times": 1}


def test_a_dead_letter_that_cannot_be_pickled_is_kept_as_text(path: Path) -> None:
    class LocalError(Exception):
        pass

    written(path, Change([(0, 1)], letters=[DeadItem("times", 0, lambda: 0, LocalError("why: this"), "at line 7")]))
    (found,) = read_letters(path)
    assert "function" in found.item
    assert isinstance(found.error, RemoteError)
    assert found.error.type_name.endswith(".<locals>.LocalError")
    assert (found.error.text, found.error.traceback) == ("why: this", "at line 7")


def test_an_error_that_is_something_else_when_it_is_read_is_told_by_its_text(path: Path) -> None:
    written(path, Change([(0, 1)], letters=[DeadItem("times", 0, 0, Vanishing("gone"), "")]))
    (found,) = read_letters(path)
    assert str(found.error) == f"{__name__}.Vanishing: gone"


def test_dead_letters_of_items_that_are_not_done_are_forgotten(path: Path) -> None:
    written(path, Change([(0, 2)], letters=[letter(1), letter(7)]))
    written(path)
    assert [each.index for each in read_letters(path)] == [1]


# ------------------------------------------------------------------------------------------------- another pipeline


def test_another_function_is_a_warning_or_an_error(path: Path) -> None:
    written(path, Change([(0, 5)]))
    other = of(Pipeline(range(9)).map(tripled, name="times"))
    with pytest.raises(JournalError, match=r"strict=True was given:\n  - map 'times' calls .*tripled"):
        JournalFile.open(path, other, strict=True)
    with JournalFile.open(path, other) as file:
        assert "tripled" in file.changes[0]
        assert list(file.content.done) == [(0, 5)]


def test_another_input_and_another_chain_are_named(path: Path) -> None:
    written(path)
    with JournalFile.open(path, of(Pipeline(range(10)).map(doubled, name="times"))) as file:
        assert "arguments" in file.changes[0]
    with pytest.raises(JournalError, match="belongs to another pipeline: its items are numbered by"):
        JournalFile.open(path, of(Pipeline(range(9)).batch(2).unbatch()))


def test_the_same_chain_elsewhere_is_no_change(path: Path) -> None:
    written(path)
    with JournalFile.open(
        path, fingerprint_of(Pipeline(range(9)).map(doubled, name="times").inline().plan().stages)
    ) as file:
        assert not file.changes


# -------------------------------------------------------------------------------------------------------- two at once


def test_two_runs_of_a_process_cannot_hold_one_journal(path: Path) -> None:
    with JournalFile.open(path, NUMBERS), pytest.raises(JournalError, match="another run of this process holds it"):
        JournalFile.open(path, NUMBERS)
    JournalFile.open(path, NUMBERS).close()


def test_a_run_of_another_process_that_holds_it_is_named(path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    held.stdout.readline()
    with pytest.raises(JournalError, match=f"another run holds it: process {held.pid} on .*, since "):
        JournalFile.open(path, NUMBERS)
    held.communicate("\n")
    JournalFile.open(path, NUMBERS).close()


def test_a_reader_sees_a_journal_that_a_run_holds(path: Path) -> None:
    with JournalFile.open(path, NUMBERS) as file:
        file.write(Change([(0, 5)]))
        assert read(path).done.count == 5
        with pytest.raises(JournalError, match="holds it"):
            reset(path)
    reset(path)
    assert not path.exists()


# ------------------------------------------------------------------------------------------------------------ damage


def test_a_missing_folder_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="needs a folder that exists"):
        JournalFile.open(tmp_path / "nowhere" / "some.journal", NUMBERS)
    with pytest.raises(JournalError, match="cannot be opened"):
        JournalFile.open(tmp_path, NUMBERS)


@pytest.mark.parametrize(
    "damage, text",
    [
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"once upon a time " * 50), "it is no journal"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "damaged|no journal"),
        (lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close(), "its format is 99"),
        (
            lambda path: sqlite3.connect(path).execute("PRAGMA application_id = 9").connection.close(),
            "it is no journal",
        ),
    ],
    ids=["empty", "text", "cut off", "newer", "another database"],
)
def test_what_is_no_journal_is_refused_and_left_alone(path: Path, damage: Callable[[Path], object], text: str) -> None:
    written(path, Change([(0, 5)]), status=COMPLETE)
    damage(path)
    before = path.read_bytes()
    for use in (lambda: JournalFile.open(path, NUMBERS), lambda: verify(path)):
        with pytest.raises(JournalError, match=text):
            use()
    assert path.read_bytes() == before


def test_a_changed_byte_is_found_or_changes_nothing(path: Path, tmp_path: Path) -> None:
    letters = [letter(number, "text " * 40) for number in range(20)]
    written(path, Change([(0, 5), (6, 8)], letters=letters), status="failed")
    whole, data = _seen(path), path.read_bytes()
    chance = random.Random(7)
    found = 0
    for _ in range(FLIPS):
        at = chance.randrange(len(data))
        changed = bytes([data[at] ^ (1 << chance.randrange(8))])
        (broken := tmp_path / "broken").write_bytes(data[:at] + changed + data[at + 1 :])
        try:
            assert _seen(broken) == whole
        except JournalError:
            found += 1
        for each in tmp_path.glob("broken?*"):
            each.unlink()
    assert found


def _seen(path: Path) -> tuple[Content, list[tuple[object, ...]]]:
    content = verify(path)
    return content, [(each.stage, each.index, each.item, str(each.error)) for each in read_letters(path)]


def test_a_disk_that_is_full_is_told_and_what_was_written_is_kept(path: Path) -> None:
    with JournalFile.open(path, NUMBERS) as file:
        file.write(Change([(0, 5)]))
        pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
        file._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        for _ in range(2):
            with pytest.raises(JournalError, match="the disk is full"):
                file.write(Change([(5, 9)], letters=[letter(6, "x" * 100_000)]))
    assert list(verify(path).done) == [(0, 5)]


def test_a_damaged_statement_that_is_no_text_is_an_error_of_the_journal(path: Path) -> None:
    written(path, Change([(0, 5)]))
    path.write_bytes(path.read_bytes().replace(b"CREATE TRIGGER done_insert", b"CREATE TRI\xb3GER done_insert"))
    for use in (lambda: JournalFile.open(path, NUMBERS), lambda: verify(path)):
        with pytest.raises(JournalError, match="it is damaged"):
            use()


LIMITED = """
import resource, signal, sys
from chainpump import JournalError
from chainpump.durable.content import Change
from chainpump.durable.fingerprint import Fingerprint
from chainpump.durable.journal_file import JournalFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
written = 0
try:
    with JournalFile.open(sys.argv[1], Fingerprint([])) as file:
        for written in range(1_000):
            file.write(Change([(written, written + 1)], skipped={"x" * 500: 1}))
except JournalError as error:
    print(written)
"""


@pytest.mark.parametrize("limit", [0, 10_000, 60_000])
def test_a_disk_that_takes_no_more_bytes_is_an_error_and_what_was_written_is_kept(path: Path, limit: int) -> None:
    command = [sys.executable, "-c", LIMITED, str(path), str(limit)]
    written = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with JournalFile.open(path, Fingerprint([])) as file:
        assert file.content.done.count == written


def test_any_beginning_of_what_was_written_to_disk_is_a_state_that_was_written(path: Path, tmp_path: Path) -> None:
    """The disk may lose the end of the file FILE-wal in a crash, in the middle of a record too."""
    states: list[list[tuple[int, int]]] = [[]]
    wal = path.with_name(f"{path.name}-wal")
    with JournalFile.open(path, NUMBERS) as file:
        lengths = [0]
        for number in range(6):
            file.write(Change([(2 * number, 2 * number + 1)], letters=[letter(2 * number)]))
            states.append(list(read(path).done))
            lengths.append(wal.stat().st_size)
        data, log = path.read_bytes(), wal.read_bytes()
    chance = random.Random(3)
    chosen = {chance.randrange(len(log)) for _ in range(30)}
    cuts = sorted({*lengths[1:], *(length - 1 for length in lengths[1:]), *chosen})
    crashed = tmp_path / "crashed"
    for cut in cuts:
        crashed.write_bytes(data)
        crashed.with_name("crashed-wal").write_bytes(log[:cut])
        kept = max(index for index, length in enumerate(lengths) if length <= cut)
        assert list(read(crashed).done) == states[kept]
        for each in tmp_path.glob("crashed*"):
            each.unlink()
