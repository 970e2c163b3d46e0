"""How many items to a frame, how much shared memory to whom."""

from __future__ import annotations

import pytest

from chainpump.transport import flow
from chainpump.transport.flow import arena_cap, consumer_share, next_hint, next_service_ns, slab_size

MIB = 1 << 20


@pytest.mark.parametrize(
    "average,elapsed_ns,items,expected",
    [
        pytest.param(0.0, 1_000, 10, 100.0, id="the first frame counts in full"),
        pytest.param(100.0, 3_000, 10, 200.0, id="every later one counts half"),
        pytest.param(100.0, 0, 10, 50.0, id="a frame too fast to measure"),
    ],
)
def test_service_time_is_a_moving_average(average: float, elapsed_ns: int, items: int, expected: float) -> None:
    assert next_service_ns(average, elapsed_ns, items) == expected


@pytest.mark.parametrize(
    "hint,service_ns,expected",
    [
        pytest.param(1, 5e6, 1, id="slow items come one by one"),
        pytest.param(64, 5e6, 1, id="and at once so, whatever the hint was"),
        pytest.param(1, 1e5, 4, id="it grows by a factor of 4"),
        pytest.param(8, 1e5, 10, id="up to what takes 1 ms"),
        pytest.param(4096, 1.0, flow.MAX_HINT, id="never above the limit"),
        pytest.param(1, 0.0, 4, id="a service time of nothing is no division by zero"),
    ],
)
def test_hint_asks_for_a_millisecond_of_work(hint: int, service_ns: float, expected: int) -> None:
    assert next_hint(hint, service_ns) == expected


@pytest.mark.parametrize(
    "size,expected",
    [
        pytest.param(1, flow.MIN_SLAB, id="never below the smallest"),
        pytest.param(65_536, 65_536, id="a power of two is its own class"),
        pytest.param(65_537, 131_072, id="anything above goes to the next"),
        pytest.param(40_000_000, 64 * MIB, id="40 MB"),
    ],
)
def test_slabs_come_in_powers_of_two(size: int, expected: int) -> None:
    assert slab_size(size) == expected


@pytest.mark.parametrize(
    "largest,consumers,cap,share",
    [
        pytest.param(MIB, 1, 8 * MIB, 6 * MIB, id="small items share 8 MB"),
        pytest.param(MIB, 3, 8 * MIB, 2 * MIB, id="more consumers hold less each"),
        pytest.param(64 * MIB, 1, 256 * MIB, 128 * MIB, id="of large items two each, and two to move"),
        pytest.param(64 * MIB, 4, 640 * MIB, 128 * MIB, id="for any number of consumers"),
    ],
)
def test_arena_leaves_two_slabs_to_move(largest: int, consumers: int, cap: int, share: int) -> None:
    assert arena_cap(largest, consumers) == cap
    assert consumer_share(largest, consumers) == share
    assert cap - consumers * share >= 2 * largest


@pytest.mark.parametrize(
    "largest,consumers,in_flight,cap",
    [
        pytest.param(MIB, 1, 3, 8 * MIB, id="never below 8 MB"),
        pytest.param(2 * MIB, 1, 7, 16 * MIB, id="one for each item, and one that the consumer keeps"),
        pytest.param(2 * MIB, 3, 7, 20 * MIB, id="one for each consumer"),
        pytest.param(2 * MIB, 1, 1000, 64 * MIB, id="many items: 64 MB"),
        pytest.param(64 * MIB, 1, 1000, 256 * MIB, id="large items: as without a limit"),
    ],
)
def test_an_arena_has_slabs_for_all_items_in_flight(largest: int, consumers: int, in_flight: int, cap: int) -> None:
    assert arena_cap(largest, consumers, in_flight) == cap


@pytest.mark.parametrize(
    "credits, hint, seconds",
    [
        pytest.param(100, 1000, 50e-6, id="half of the credits"),
        pytest.param(100, 100, 500e-6, id="the longest pause"),
        pytest.param(100, 99, 0, id="a slow consumer"),
        pytest.param(100, 0, 0, id="a consumer that has said nothing"),
        pytest.param(31, 10_000, 0, id="few credits"),
    ],
)
def test_a_producer_waits_for_further_credits_only_for_a_moment(credits: int, hint: int, seconds: float) -> None:
    assert flow.gathering_seconds(credits, hint) == pytest.approx(seconds)
