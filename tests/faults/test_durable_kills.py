"""Durable jobs that are killed at random moments: `python -m tests.durable_kills` in short. It sees what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import durable_kills

ITEMS, KILLS = 1_500, 2


@pytest.mark.parametrize("kind", durable_kills.KINDS)
def test_a_job_that_is_killed_again_and_again_is_done_in_the_end(kind: str) -> None:
    campaign = durable_kills.Campaign(ITEMS, seed=1)
    campaign.run(kind, KILLS)
    assert not campaign.wrong


@pytest.mark.parametrize("kind", durable_kills.KINDS)
def test_rows_that_are_stored_with_the_position_of_the_run_are_stored_once(kind: str) -> None:
    campaign = durable_kills.Campaign(ITEMS, seed=2, exactly_once=True)
    campaign.run(kind, KILLS)
    assert not campaign.wrong


@pytest.mark.parametrize("kind", durable_kills.KINDS)
def test_a_job_that_is_killed_after_it_is_done_tells_nothing_when_it_is_started_again(
    kind: str, tmp_path: Path
) -> None:
    campaign = durable_kills.Campaign(20, seed=1)
    for _ in range(2):
        # The journal is complete before the program ends, so a kill between the two leaves what this leaves.
        assert campaign.attempt(kind, tmp_path, kill=False)
        campaign.check_end(kind, tmp_path, 0)
    assert not campaign.wrong
    assert not campaign.repeated


def _forget_a_row(folder: Path) -> None:
    database = durable_kills.connected(folder / "stored")
    database.execute("DELETE FROM stored WHERE number = 9")
    database.close()


def _forget_a_letter(folder: Path) -> None:
    (folder / "journal").unlink()


@pytest.mark.parametrize(
    "forget, text", [(_forget_a_row, "2 rows are missing"), (_forget_a_letter, "there is no such file")]
)
def test_what_is_missing_is_seen(
    forget: Callable[[Path], None], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = durable_kills.Campaign(20, seed=1)
    durable_kills.work("threads", 20, tmp_path)
    forget(tmp_path)
    campaign.check_end("threads", tmp_path, 0)
    assert text in str(campaign.wrong)
