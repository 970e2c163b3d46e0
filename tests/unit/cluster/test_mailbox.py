"""A mailbox wakes the thread that waits for descriptors."""

from __future__ import annotations

import select
import threading

from chainpump.cluster.mailbox import Mailbox


def is_readable(mailbox: Mailbox[int]) -> bool:
    return bool(select.select([mailbox], [], [], 0)[0])


def test_it_is_readable_while_there_are_messages() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert not is_readable(mailbox)
    mailbox.put(1)
    mailbox.put(2)
    assert is_readable(mailbox)
    assert mailbox.take() == [1, 2]
    assert not is_readable(mailbox)
    assert mailbox.take() == []
    mailbox.close()


def test_no_message_of_many_threads_is_lost_and_nobody_waits_for_room() -> None:
    mailbox: Mailbox[int] = Mailbox()
    # More than a pipe has room for.
    threads = [threading.Thread(target=lambda: [mailbox.put(n) for n in range(20_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken: list[int] = []
    while len(taken) < 80_000:
        select.select([mailbox], [], [])
        taken += mailbox.take()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(list(range(20_000)) * 4)
    mailbox.close()


def test_a_message_after_the_end_is_dropped() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.close()
    mailbox.put(1)
