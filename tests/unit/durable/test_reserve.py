"""How far a durable run may go ahead of its journal."""

from __future__ import annotations

from chainpump.durable.reserve import LEAST, Reserve


def test_slow_run_is_hardly_ahead() -> None:
    reserve = Reserve(every=1.0, now=0.0)
    for second in range(1, 100):
        assert reserve.move(10 * second, float(second), waits=False) == max(LEAST, 10 * second + LEAST)


def test_fast_run_has_to_wait_a_few_times_only() -> None:
    rate, every, duration = 1_000_000, 1.0, 10.0
    reserve = Reserve(every, now=0.0)
    now, written, waits = 0.0, 0.0, 0
    while now < duration:
        reached = now + (reserve.limit - rate * now) / rate
        is_awaited = reached < written + every
        waits += is_awaited
        written = now = min(reached, written + every) + 0.01 * is_awaited
        reserve.move(min(reserve.limit, int(rate * now)), now, waits=is_awaited)
    assert waits <= 10
    assert reserve.limit <= rate * duration + 4 * rate * every


def test_limit_never_goes_back() -> None:
    reserve = Reserve(every=1.0, now=0.0)
    limits = [reserve.move(sent, 1.0 + count, waits=False) for count, sent in enumerate((100_000, 100_000, 100_010))]
    assert limits == [400_000, 400_000, 400_000]
