"""What holds for every flow decision."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainpump.transport.flow import (
    MAX_HINT,
    MAX_STEP,
    MIN_ARENA,
    TARGET_NS,
    arena_cap,
    consumer_share,
    next_hint,
    next_service_ns,
    slab_size,
)

HINTS = st.integers(1, MAX_HINT)
TIMES = st.floats(0, 1e12)
SIZES = st.integers(1, 1 << 42)
CONSUMERS = st.integers(1, 1_000)


@given(HINTS, TIMES)
def test_a_hint_is_always_possible_and_grows_in_steps(hint: int, service_ns: float) -> None:
    after = next_hint(hint, service_ns)
    assert 1 <= after <= min(hint * MAX_STEP, MAX_HINT)
    assert after == 1 or after * service_ns <= TARGET_NS


@given(HINTS, TIMES)
def test_a_steady_consumer_s_hint_settles(hint: int, service_ns: float) -> None:
    # 4**6 is the limit.
    for _ in range(7):
        hint = next_hint(hint, service_ns)
    assert next_hint(hint, service_ns) == hint


@given(HINTS, TIMES, TIMES)
def test_slower_items_never_raise_the_hint(hint: int, one: float, other: float) -> None:
    assert next_hint(hint, max(one, other)) <= next_hint(hint, min(one, other))


@given(st.floats(1, 1e9), st.integers(0, 10**9), st.integers(1, MAX_HINT))
def test_the_average_lies_between_what_was_and_what_is(average: float, elapsed_ns: int, items: int) -> None:
    latest = elapsed_ns / items
    assert min(average, latest) <= next_service_ns(average, elapsed_ns, items) <= max(average, latest)


@given(SIZES)
def test_a_slab_fits_and_wastes_less_than_half(size: int) -> None:
    slab = slab_size(size)
    assert slab >= size
    assert slab < 2 * size or slab == slab_size(1)
    assert slab % slab_size(1) == 0
    assert slab_size(slab) == slab


@given(SIZES, CONSUMERS, st.integers(0, 1 << 20))
def test_whatever_consumers_hold_their_producer_has_two_slabs_to_move(
    size: int, consumers: int, in_flight: int
) -> None:
    largest = slab_size(size)
    cap, share = arena_cap(largest, consumers, in_flight), consumer_share(largest, consumers, in_flight)
    assert cap >= MIN_ARENA
    assert share >= 0
    assert cap - consumers * share >= 2 * largest


@given(st.integers(MIN_ARENA, 1 << 42), CONSUMERS)
def test_of_large_items_every_consumer_may_hold_one(size: int, consumers: int) -> None:
    largest = slab_size(size)
    assert consumer_share(largest, consumers) >= largest
