"""Samples of the items of a source, and the comparison with those of an earlier attempt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chainpump.durable.content import Sample
from chainpump.durable.digest import digest_of
from chainpump.durable.notes import Notes
from chainpump.durable.samples import Sampler, next_sample
from chainpump.errors import JournalError
from chainpump.worker.entries import steps_of
from chainpump.worker.sampled_items import sampled


class Journal:
    """What a journal is told, and what it knows then."""

    def __init__(self) -> None:
        self.notes: list[Notes] = []

    @property
    def samples(self) -> list[Sample]:
        return [sample for notes in self.notes for sample in notes.samples]

    def pass_through(self, items: Any, done: int = 0, first: int = 0) -> list[Any]:
        """A run that has these items."""
        sampler = Sampler(self.samples, done, self.notes.append)
        try:
            return list(sampled(items, sampler, first))
        finally:
            sampler.tell()


def upward(count: int) -> Iterator[int]:
    yield from range(count)


def sampled_below(stop: int) -> list[int]:
    found, number = [], 0
    while (number := next_sample(number)) < stop:
        found.append(number)
        number += 1
    return found


def test_numbers_of_samples_are_dense_at_first_and_few_in_the_end() -> None:
    assert sampled_below(5_000) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3072, 4096]
    assert len(sampled_below(10**9)) < 50_000


@pytest.mark.parametrize("items", [range(5_000), list(range(5_000)), upward(5_000)], ids=["range", "list", "generator"])
def test_items_pass_as_they_are_and_some_are_noted(items: Any) -> None:
    journal = Journal()
    assert journal.pass_through(items) == list(range(5_000))
    assert [each.number for each in journal.samples] == sampled_below(5_000)
    assert journal.samples[-1] == Sample(0, 4096, digest_of(4096), "4096")


def test_the_same_input_passes_again_and_nothing_is_noted_twice() -> None:
    journal = Journal()
    journal.pass_through(upward(1_500))
    assert journal.pass_through(upward(2_100), done=1_500) == list(range(2_100))
    assert [each.number for each in journal.samples] == sampled_below(2_100)


def test_items_that_come_later_than_the_first_are_compared_by_their_numbers() -> None:
    journal = Journal()
    journal.pass_through(upward(1_500))
    assert journal.pass_through(range(1_000, 1_600), done=1_200, first=1_000) == list(range(1_000, 1_600))


def test_an_item_that_differs_ends_the_run() -> None:
    journal = Journal()
    journal.pass_through(["a", "b", "c", "d", "e"])
    with pytest.raises(JournalError):
        journal.pass_through(["a", "b", "c", "x", "y"])
    assert journal.notes[-1].differs == "item 4 was 'e', and is 'y'"


def test_a_difference_that_the_short_text_does_not_show_is_told() -> None:
    journal = Journal()
    journal.pass_through(["a" * 100 + "b" + "a" * 100])
    with pytest.raises(JournalError):
        journal.pass_through(["a" * 100 + "c" + "a" * 100])
    assert "what differs is not shown here" in journal.notes[-1].differs


def test_an_input_that_ends_before_an_item_that_is_done_ends_the_run() -> None:
    journal = Journal()
    journal.pass_through(upward(40))
    with pytest.raises(JournalError):
        journal.pass_through(upward(39), done=40)
    assert journal.notes[-1].differs == "it ends before item 39, which is done"


def test_items_of_a_container_can_still_be_sent_many_at_once() -> None:
    made = sampled([1, 2], Sampler([], 0, lambda _: None))
    assert steps_of(made) is made
    made = sampled(upward(2), Sampler([], 0, lambda _: None))
    assert steps_of(made) is None
