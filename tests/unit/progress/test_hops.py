"""Advice about functions that take less than the way of their items."""

from __future__ import annotations

from chainpump.lazy_dataclass import replace
from chainpump.messages.names import Role
from chainpump.progress.hops import hop_advice
from chainpump.progress.reading import StageFacts, WorkerReading

SECOND = 1_000_000_000
DOUBLE = StageFacts("double", Role.STAGE, "Processes(2)", 2, group=1, on_processes=True)
BUSY = WorkerReading(received=1_000_000, lived=2 * SECOND, starved=SECOND, called=SECOND // 5)


def test_advice_has_its_figures() -> None:
    assert hop_advice([DOUBLE], [[BUSY, BUSY]]) == (
        "'double' takes 0.2 us an item, and receiving and sending it 0.8 us: "
        "call it in the function of a neighbour, or place it beside one with on=Inline()."
    )


def test_there_is_none_where_it_would_not_help() -> None:
    # 1. The function takes most of the time.
    assert not hop_advice([DOUBLE], [[BUSY._replace(called=SECOND * 3 // 5)]])
    # 2. The run is soon over.
    assert not hop_advice([DOUBLE], [[BUSY._replace(lived=SECOND + SECOND // 2)]])
    # 3. It is not known what the function takes.
    assert not hop_advice([DOUBLE], [[BUSY._replace(called=0)]])
    # 4. Threads pass items without copies.
    assert not hop_advice([replace(DOUBLE, on_processes=False)], [[BUSY]])
