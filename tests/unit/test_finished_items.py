"""Spans arrive in any order and in parts: which items are finished by them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainpump.durable.ranges import Ranges
from chainpump.engine.finished_items import FinishedItems
from chainpump.transport.frames import Span

# An item is whole, or has parts, which are divided as its lengths say; each part of a part may be divided again.
ITEMS = st.lists(
    st.none() | st.lists(st.integers(1, 3) | st.lists(st.integers(1, 2), max_size=3), max_size=4), max_size=6
)


def spans_of(lengths: list[int | list[int]], path: tuple[int, ...]) -> list[Span]:
    """The spans of one divided item."""
    spans, start = [], 0
    for length in lengths:
        if isinstance(length, int):
            spans.append(Span(start, start + length, path))
            start += length
        else:
            spans += spans_of(list(length), (*path, start))
            start += 1
    return [*spans, Span(start, start, path, last=True)]


@given(ITEMS, st.randoms())
def test_item_is_finished_by_the_last_of_its_spans_in_any_order(items: list[list[int] | None], random: object) -> None:
    spans: list[Span] = []
    for number, parts in enumerate(items):
        spans += [Span(number, number + 1)] if parts is None else spans_of(list(parts), (number,))
    random.shuffle(spans)  # type: ignore[attr-defined]  # hypothesis gives a Random
    finished, seen = FinishedItems(), Ranges()
    left = [number for span in spans for number in [span.prefix[0] if span.prefix else span.start]]
    for span in spans:
        number = left.pop(0)
        found = finished.add(span)
        assert (found is not None) == (number not in left)
        if found is not None:
            seen.add(*found)
    assert seen.count == len(items)
