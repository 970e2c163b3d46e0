"""Machines that die at random: `python -m tests.host_chaos`, in short, and that it sees what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import host_chaos
from support.cases import in_short
from support.verdict import Verdict


@pytest.fixture
def campaign() -> Iterator[host_chaos.Campaign]:
    with host_chaos.Campaign(0, Verdict()) as made:
        yield made


def test_a_lost_machine_ends_a_run_whose_workers_are_not_replaced(campaign: host_chaos.Campaign) -> None:
    campaign.lost(0)
    assert campaign.verdict.wrong == []
    assert campaign.verdict.outcomes.total() == 1


def test_machines_that_are_lost_again_and_again_lose_nothing(campaign: host_chaos.Campaign) -> None:
    campaign.replaced(0)
    assert campaign.verdict.wrong == []
    assert campaign.verdict.outcomes == {"whole": 1}


def test_workers_of_other_machines_that_are_killed_again_and_again_lose_nothing(campaign: host_chaos.Campaign) -> None:
    campaign.replaced(1, "worker killed")
    assert campaign.verdict.wrong == []
    assert campaign.verdict.outcomes == {"whole": 1}


def test_a_main_process_that_is_killed_leaves_nothing_on_any_machine(campaign: host_chaos.Campaign) -> None:
    runs = in_short(usual=1, whole=2)
    for index in range(runs):
        campaign.main_killed(index)
    assert campaign.verdict.wrong == []
    assert campaign.verdict.outcomes == {"main process killed": runs}


def test_a_main_process_that_is_busy_loses_no_machine(campaign: host_chaos.Campaign) -> None:
    """For longer than a machine may say nothing."""
    campaign.busy(0, 7)
    assert campaign.verdict.wrong == []
    assert campaign.verdict.outcomes == {"whole": 1}


# ---------------------------------------------------------------------------------------------- that it can fail


def test_a_report_that_has_not_counted_an_item_is_seen(campaign: host_chaos.Campaign) -> None:
    case = host_chaos.Case(0, 0, "int", 0, [host_chaos.Link("refuse", True, 2, True)])
    counted = SimpleNamespace(received=100, sent=98)
    letters = [SimpleNamespace(item=number) for number in (7, 57)]

    def kinds(received: int, dead: int) -> dict[str, int]:
        verdict = campaign.verdict = Verdict()
        stages = [SimpleNamespace(sent=100), SimpleNamespace(received=received, sent=counted.sent)]
        campaign.check_report(case, SimpleNamespace(stages=stages, dead_letters=letters[:dead]))
        return dict(verdict.kinds)

    assert [kinds(100, 2), kinds(99, 2), kinds(100, 1)] == [{}, {"miscounted": 1}, {"miscounted": 1}]
