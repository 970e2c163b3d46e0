"""A position is a short text that says which items are done; any other text is refused."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainpump import JournalError
from chainpump.durable.content import Checkpoint
from chainpump.durable.position import Position
from chainpump.durable.ranges import Ranges

NUMBERS = st.integers(0, 2**70)
PAIRS = st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple)
CHECKPOINTS = st.builds(Checkpoint, NUMBERS, NUMBERS, NUMBERS)


@given(st.lists(PAIRS, max_size=5), st.lists(CHECKPOINTS, max_size=3), st.text(max_size=5))
def test_a_position_is_read_from_its_text(
    pairs: list[tuple[int, int]], checkpoints: list[Checkpoint], shape: str
) -> None:
    position = Position(Ranges(pairs), checkpoints, shape)
    assert Position.from_text(position.to_text()) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{}",
        "[" * 100_000,
        '{"chainpump":1}',
        '{"chainpump":1,"shape":"","done":[[3,1]],"checkpoints":[]}',
        '{"chainpump":1,"shape":"","done":[[-1,1]],"checkpoints":[]}',
        '{"chainpump":1,"shape":"","done":[[0,true]],"checkpoints":[]}',
        '{"chainpump":1,"shape":"","done":[[0,1.5]],"checkpoints":[]}',
        '{"chainpump":1,"shape":"","done":[[0,1]],"checkpoints":[[1]]}',
        '{"chainpump":1,"shape":0,"done":[],"checkpoints":[]}',
    ],
)
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(JournalError, match=r"^start: it is no position of a run: "):
        Position.from_text(text)


def test_a_position_of_a_newer_version_is_refused() -> None:
    with pytest.raises(JournalError, match="the position has format 2, and this chainpump reads format 1"):
        Position.from_text('{"chainpump":2,"more":[]}')


def test_a_text_that_was_cut_off_or_changed_raises_no_other_error() -> None:
    text = Position(Ranges([(0, 7), (9, 12)]), [Checkpoint(1, 2, 3)], "5f").to_text()
    chance = random.Random(5)
    for cut in range(len(text)):
        with pytest.raises(JournalError):
            Position.from_text(text[:cut])
    for _ in range(500):
        at = chance.randrange(len(text))
        changed = text[:at] + chr(chance.randrange(32, 127)) + text[at + 1 :]
        try:
            found = Position.from_text(changed)
        except JournalError:
            continue
        # Another digit makes another position, as long as it is one.
        assert json.loads(found.to_text()).keys() == json.loads(text).keys()
