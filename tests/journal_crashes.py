"""Lose the power at every moment of writing a journal: `python -m tests.journal_crashes`.

    python -m tests.journal_crashes --changes 300 --seed 1

Random changes are written to a journal, with attempts that end and begin again, and with a log (FILE-wal) that is
short, so that SQLite copies it into the file often. After each change the bytes of both files are kept. From each pair
of neighbours, what a disk may hold after a crash between them is made:

* the log is being written: any beginning of its new bytes, before what stood there. The file is as before.
* the log is being copied: any of the new pages are in the file, one of them perhaps in part. The log is whole.
* the journal is closed: the same, and then the file alone.

The journal that is opened from there must hold what was written before, all of it if `write` has returned. The last
line counts. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from chainpump import DeadItem, JournalError, Pipeline
from chainpump.durable.content import COMPLETE, Change, Checkpoint, Content, Sample
from chainpump.durable.fingerprint import fingerprint_of
from chainpump.durable.journal_file import JournalFile, read, read_letters, verify

# The bytes of the file and of its log; None if there is no log.
Files: TypeAlias = tuple[bytes, bytes | None]
# Pages in the log after which SQLite copies it. One change has up to about ten.
LOG_PAGES = 24
# Bytes that a disk writes as one.
SECTOR = 512
FINGERPRINT = fingerprint_of(Pipeline(range(9)).map(str, name="text").plan().stages)


@dataclass(slots=True)
class Crashes:
    """Writes a journal, crashes, and looks at what is left. wrong: sentences. seen: how many crashes of each kind."""

    folder: Path
    seed: int
    # Crashes between two neighbours, of each kind.
    each: int = 12
    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def run(self, changes: int) -> None:
        """Write so many changes, and crash at the moments between them."""
        chance = random.Random(self.seed)
        path = self.folder / "some.journal"
        number = 0
        while number < changes:
            with ExitStack() as stack:
                file = stack.enter_context(JournalFile.open(path, FINGERPRINT))
                file._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
                before, held = _files(path), _seen(path)
                for _ in range(min(chance.randrange(1, 40), changes - number)):
                    number += 1
                    file.write(_change(chance, number))
                    after, holds = _files(path), _seen(path)
                    self._between(chance, before, after, held, holds)
                    before, held = after, holds
                if chance.random() < 0.5:
                    file.finish(COMPLETE)
                    before, held = _files(path), _seen(path)
            self._closing(chance, before, _files(path), held)

    def _between(self, chance: random.Random, before: Files, after: Files, held: object, holds: object) -> None:
        """Crash between two changes. held, holds: what is read before and after."""
        data, log = before
        new_data, new_log = after
        for cut in _cuts(chance, log or b"", new_log or b"", self.each):
            found = (new_log or b"")[:cut] + (log or b"")[cut:]
            is_whole = cut >= len(new_log or b"") or found == new_log
            self._crash("log", (data, found), [holds] if is_whole else [held, holds])
        if data != new_data:
            for found in _torn(chance, data, new_data, self.each):
                self._crash("copy", (found, new_log), [holds])

    def _closing(self, chance: random.Random, before: Files, after: Files, held: object) -> None:
        """Crash while the journal is closed, when nothing is to be lost any more."""
        if after[1] is not None:
            self.wrong.append("a closed journal has left its log")
        for found in _torn(chance, before[0], after[0], self.each):
            self._crash("close", (found, before[1]), [held])
        self._crash("closed", after, [held])

    def _crash(self, kind: str, files: Files, expected: Sequence[object]) -> None:
        """Look at what a crash has left. expected: what may be read then."""
        self.seen[kind] += 1
        path = self.folder / "crashed"
        log = self.folder / "crashed-wal"
        for reader in (_seen, _resumed):
            path.write_bytes(files[0])
            if files[1] is not None:
                log.write_bytes(files[1])
            try:
                found = reader(path)
                if found not in expected:
                    self.wrong.append(f"seed {self.seed}, {kind} {self.seen[kind]}: {reader.__name__} has {found}")
            except JournalError as error:
                self.wrong.append(f"seed {self.seed}, {kind} {self.seen[kind]}: {reader.__name__} raised {error}")
            for each in self.folder.glob("crashed*"):
                each.unlink()


def _change(chance: random.Random, number: int) -> Change:
    """A change such as a run writes: mostly in order, sometimes ahead, now and then with all that it may hold."""
    start = 10 * number + 100 * chance.randrange(3) * (chance.random() < 0.3)
    done = [(start, start + chance.randrange(1, 11))]
    letters = [
        DeadItem("text", start, "x" * chance.choice([1, 100, 9_000]), ValueError(number), "Traceback")
        for _ in range(chance.randrange(3) * (chance.random() < 0.4))
    ]
    return Change(
        done,
        letters,
        [Checkpoint(0, start, start)] * (chance.random() < 0.2),
        [Sample(0, start, bytes(16), "x")] * (chance.random() < 0.2),
        {"text": 1} if chance.random() < 0.3 else {},
        length=number if chance.random() < 0.2 else None,
        reserved=chance.randrange(100),
    )


def _files(path: Path) -> Files:
    log = path.with_name(f"{path.name}-wal")
    return path.read_bytes(), log.read_bytes() if log.exists() else None


def _seen(path: Path) -> object:
    return _plain(read(path), path)


def _resumed(path: Path) -> object:
    """What an attempt that goes on finds; what it leaves must be whole too."""
    with JournalFile.open(path, FINGERPRINT) as file:
        content = file.content
        file.write(Change([(10**9, 10**9 + 1)]))
    if verify(path).done.count != content.done.count + 1:
        raise JournalError("what was written after a crash is not there")
    # Its letters may be fewer, since those of items that are not done are dropped as it begins.
    return _plain(content, None)


def _plain(content: Content, path: Path | None) -> object:
    letters = [] if path is None else [(each.index, each.item, str(each.error)) for each in read_letters(path)]
    return _Seen(content, letters)


@dataclass(slots=True)
class _Seen:
    """What was read. letters: none if they were not read; they are compared only if they were."""

    content: Content
    letters: list[tuple[int, object, str]]

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, _Seen)
        return self.content == other.content and (
            not self.letters or not other.letters or self.letters == other.letters
        )

    # It can change.
    __hash__ = None  # type: ignore[assignment]


def _cuts(chance: random.Random, old: bytes, new: bytes, count: int) -> Iterator[int]:
    """Up to where the new bytes of the log are on disk: at its ends, at sectors and anywhere."""
    first = next(
        (at for at, (one, two) in enumerate(zip(old, new, strict=False)) if one != two), min(len(old), len(new))
    )
    end = max(len(new), first)
    yield first
    yield end
    if first < end:
        yield end - 1
        for _ in range(count):
            at = chance.randrange(first, end)
            yield at
            yield max(first, at - at % SECTOR)


def _torn(chance: random.Random, old: bytes, new: bytes, count: int) -> Iterator[bytes]:
    """The file while the log is copied into it: some sectors are new, the others old."""
    changed = [at for at in range(0, len(new), SECTOR) if old[at : at + SECTOR] != new[at : at + SECTOR]]
    for share in [0.0, 1.0, *(chance.random() for _ in range(count))]:
        written = {at for at in changed if chance.random() < share}
        # A file ends behind its last written sector.
        length = max([len(old), *(min(at + SECTOR, len(new)) for at in written)])
        base = old.ljust(length, b"\0")
        yield b"".join(
            (new if at in written else base)[at : min(at + SECTOR, length)] for at in range(0, length, SECTOR)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign, and print what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=300, help="how many changes to write (default: 300)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        crashes = Crashes(Path(folder), options.seed)
        crashes.run(options.changes)
    print(*crashes.wrong, sep="\n")
    kinds = ", ".join(f"{count} {kind}" for kind, count in crashes.seen.items())
    print(f"{crashes.seen.total()} crashes ({kinds}): {len(crashes.wrong)} wrong")
    return bool(crashes.wrong)


if __name__ == "__main__":
    sys.exit(main())
