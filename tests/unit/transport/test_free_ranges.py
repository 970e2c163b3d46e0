"""Free ranges of a file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.free_ranges import Space

SIZES = st.integers(0, 6).map(lambda power: 1 << power)


@given(st.lists(st.tuples(SIZES, st.integers(0, 9))))
def test_ranges_never_overlap_and_lie_at_multiples_of_their_size(steps: list[tuple[int, int]]) -> None:
    """Each step takes a range, and gives back one of those in use, or none."""
    space, used = Space(0), dict[int, int]()
    for size, given_back in steps:
        offset = space.take(size)
        assert offset % size == 0
        assert all(offset + size <= other or other + length <= offset for other, length in used.items())
        used[offset] = size
        assert offset + size <= space.top
        if given_back < len(used):
            other = list(used)[given_back]
            space.give(other, used.pop(other))


@given(st.lists(SIZES, min_size=1))
def test_what_has_all_come_back_can_be_had_as_larger_ranges(sizes: list[int]) -> None:
    space = Space(0)
    for offset, size in [(space.take(size), size) for size in sizes]:
        space.give(offset, size)
    top = space.top
    largest = 1 << (top.bit_length() - 1)
    assert space.take(largest) == 0
    assert space.top == top


def test_a_file_that_has_been_used_before_is_used_from_its_end_on() -> None:
    space = Space(3)
    assert space.take(4) == 4
    assert space.take(1) == 3
