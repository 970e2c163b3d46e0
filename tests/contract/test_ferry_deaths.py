"""What ferries promise when hosts die: each item comes out once and in order, in bounded memory, and then the end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from chainpump.transport.link import Kind, Message, encode
from support.replayed import HOME, Host, Section, unchanged

MakeSection = Callable[..., Section]
ONE_STAGE = [[HOME], [1, 2], [HOME]]
TWO_STAGES = [[HOME], [1, 2], [1, 2], [HOME]]


@pytest.fixture
def section() -> Iterator[MakeSection]:
    """Makes sections, and ends them."""
    with ExitStack() as stack:

        def section(*args: Any, **options: Any) -> Section:
            made = Section(*args, **options)
            stack.callback(made.close)
            return made

        yield section


def sized(item: int) -> Any:
    """Some items have large buffers, which are in slabs."""
    return np.full(30_000, item) if item % 10 == 7 else item


def number(item: Any) -> int:
    return int(item[0]) if isinstance(item, np.ndarray) else item


def check(there: Section) -> None:
    assert [number(item) for item in there.output] == list(range(len(there.items)))
    assert there.failed == []


@pytest.mark.parametrize("groups", [ONE_STAGE, TWO_STAGES], ids=["one stage", "two stages"])
@pytest.mark.parametrize("dies", [Section.kill, Section.lose], ids=["is killed", "counts as dead and goes on"])
@pytest.mark.parametrize("after", [0, 1, 40, 99, 100])
@pytest.mark.parametrize("links_late", [False, True], ids=["links at once", "links late"])
def test_one_of_two_hosts_dies(
    section: MakeSection,
    groups: list[list[int]],
    dies: Callable[[Section, int], None],
    after: int,
    links_late: bool,
) -> None:
    items = [sized(item) for item in range(100)]
    stages = [unchanged] * (len(groups) - 2)
    there = section(groups, stages, items, plan={after: lambda it: dies(it, 1)}, links_late=links_late)
    there.run()
    check(there)


@pytest.mark.parametrize("groups", [ONE_STAGE, TWO_STAGES], ids=["one stage", "two stages"])
def test_each_successor_dies_and_all_hosts_at_once(section: MakeSection, groups: list[list[int]]) -> None:
    def all_die(there: Section) -> None:
        for each in [number for number in there.hosts if number != HOME]:
            there.lose(each)

    items = [sized(item) for item in range(100)]
    plan = dict.fromkeys(range(0, 100, 9), all_die)
    there = section(groups, [unchanged] * (len(groups) - 2), items, plan=plan)
    there.run()
    check(there)
    assert len(there.dead) == 2 * len(plan)


def test_what_a_host_has_taken_and_never_finished_is_done_by_others(section: MakeSection) -> None:
    stuck = threading.Semaphore(0)

    def stage(host: Host, item: Any) -> Any:
        if host.number == 1:
            stuck.release()
            host.dies.wait()
        return item

    there = section(ONE_STAGE, [stage], range(50))
    # All others have passed on what they had, and the consumer waits for what host 1 has.
    there.run(lambda: stuck.acquire(blocking=False))
    there.lose(1)
    there.run()
    assert there.output == list(range(50))


def test_half_a_frame_of_a_dead_host_is_dropped(section: MakeSection) -> None:
    def dies_in_a_frame(there: Section) -> None:
        broken = there.hosts[1].links[HOME]._socket
        half = b"".join(encode(Message(Kind.FRAME, 1, 0, (b"head", bytes(1_000_000)))))[:600_000]
        # What waits to be sent must not come behind it.
        there.hosts[1].ferry.hang_up(1)
        broken.sendall(half)
        broken.shutdown(socket.SHUT_RDWR)

    there = section(ONE_STAGE, [unchanged], range(50), plan={20: dies_in_a_frame})
    there.run()
    assert there.output == list(range(50))


def test_the_first_junction_ends_only_once_all_has_passed(section: MakeSection) -> None:
    """Else the workers would have ended before their results were lost with their host."""
    there = section(ONE_STAGE, [unchanged], range(5))
    there.goes_on.clear()
    departures = there.hosts[HOME].ferry._departures[0]
    there.run(lambda: departures._states is not None and not departures._backlog.waiting)
    assert not there.finished[1]
    there.lose(1)
    there.lose(2)
    there.goes_on.set()
    there.run()
    assert there.output == list(range(5))
    assert there.finished[1] == there.groups[1]


def test_large_items_with_small_results_are_kept_within_the_limit(section: MakeSection) -> None:
    size, limit = 1 << 20, 4 << 20

    def small(host: Host, item: Any) -> int:
        return int(item[0])

    items = [np.full(size // 8, item) for item in range(60)]
    there = section(ONE_STAGE, [small], items, keeps=limit)
    there.goes_on.clear()
    departures = there.hosts[HOME].ferry._departures[0]
    backlog = departures._backlog
    # The host waits with one more frame, which it does not take: all that may be sent is sent, and nothing passes.
    there.run(lambda: not backlog.waiting and there.most[0] > limit - 2 * size)
    before = there.most[0]
    for host in (1, 2):
        there.lose(host)
    there.goes_on.set()
    there.run()
    assert there.output == list(range(60))
    # Two frames more: see `Retained`.
    assert before <= there.most[0] <= limit + 2 * (size + 4096)


def test_a_host_that_keeps_too_much_behind_the_first_junction_holds_the_origin(section: MakeSection) -> None:
    limit = 1 << 20

    def large(host: Host, item: int) -> Any:
        return np.full(1 << 14, item)

    def small(host: Host, item: Any) -> int:
        return int(item[0])

    groups = [[HOME], [1], [2], [HOME]]
    there = section(groups, [large, small], range(200), keeps=limit)
    there.goes_on.clear()
    there.run(lambda: there.was_held)
    assert there.full == {(1, 1)}
    there.lose(2)
    there.goes_on.set()
    there.run()
    assert there.output == list(range(200))
    assert there.was_released
    assert not there.full


def test_the_origin_goes_on_when_the_host_that_was_full_is_dead(section: MakeSection) -> None:
    def large(host: Host, item: int) -> Any:
        return np.full(1 << 14, item)

    groups = [[HOME], [1], [2], [HOME]]
    there = section(groups, [large, unchanged], range(200), keeps=1 << 20)
    there.goes_on.clear()
    there.run(lambda: there.was_held)
    there.lose(1)
    there.goes_on.set()
    there.run()
    check(there)


def test_a_hang_up_after_a_death_wakes_every_thread(section: MakeSection) -> None:
    there = section(TWO_STAGES, [unchanged, unchanged], range(100_000), plan={10: lambda it: it.kill(1)})
    there.run(lambda: len(there.dead) == 1 and len(there.output) > 20)
    # This joins all threads.
    there.close()
