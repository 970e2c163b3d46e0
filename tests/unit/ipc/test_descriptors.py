"""An owned descriptor is closed once, whatever breaks in, and no fork copies one that it was not given."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chainpump.ipc import descriptors
from chainpump.ipc.descriptors import Descriptor, kept_by_fork, opened_pair, pipe
from support.processes import kill_and_reap

# These forks run no code but that of the test.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def test_descriptor_is_closed_once_although_ctrl_c_has_broken_in_as_it_became_a_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken_into_behind(fileno: int) -> None:
        # As it is when nobody has kept it.
        socket.socket(fileno=fileno).close()
        raise KeyboardInterrupt

    one, other = socket.socketpair()
    owned = Descriptor(one.detach())
    number = owned.fileno()
    monkeypatch.setattr(descriptors, "SocketType", broken_into_behind)
    with pytest.raises(KeyboardInterrupt):
        owned.socket()
    assert owned.closed
    # Somebody else's by now.
    taken = os.dup2(other.fileno(), number)
    owned.close()
    os.fstat(taken)
    os.close(taken)
    other.close()


def test_two_threads_get_the_same_socket_at_its_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    owned, found = Descriptor(one.detach()), list[object]()
    second = threading.Thread(target=lambda: found.append(owned.socket()))

    def made_while_another_asks(fileno: int) -> socket.socket:
        monkeypatch.undo()
        second.start()
        # It waits for this thread. Without that it ends at once, with another socket or an error.
        second.join(timeout=0.3)
        return socket.socket(fileno=fileno)

    monkeypatch.setattr(descriptors, "SocketType", made_while_another_asks)
    first = owned.socket()
    second.join()
    assert found == [first]
    owned.close()
    other.close()


@pytest.fixture
def fork() -> Iterator[Callable[[], None]]:
    """Forks this process, and waits until the child runs. It lives until the end of the test."""
    children: list[int] = []
    reading, writing = os.pipe()

    def forked() -> None:
        pid = os.fork()
        if not pid:
            os.write(writing, b"!")
            signal.pause()
        children.append(pid)
        os.read(reading, 1)

    yield forked
    kill_and_reap(children)
    os.close(reading)
    os.close(writing)


def is_over(reading: Descriptor) -> bool:
    """Whether nobody has the writing end of this pipe."""
    ready, _, _ = select.select([reading], [], [], 0)
    return bool(ready)


def test_forks_at_every_moment_of_a_close_keep_no_copy(
    fork: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("open", "dup2", "close")}

    def forking_before(name: str) -> Callable[..., Any]:
        def forking(*arguments: Any, **options: Any) -> Any:
            with monkeypatch.context() as as_usual:
                for each, call in calls.items():
                    as_usual.setattr(os, each, call)
                fork()
            return calls[name](*arguments, **options)

        return forking

    reading, writing = pipe()
    with monkeypatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, forking_before(name))
        writing.close()
    assert is_over(reading)
    reading.close()


def test_a_fork_waits_for_a_descriptor_that_is_being_opened(fork: Callable[[], None]) -> None:
    thread = threading.Thread(target=fork)

    def made_while_another_forks() -> tuple[int, int]:
        numbers = os.pipe()
        thread.start()
        # It waits for this thread. Without that it ends at once, with copies of both.
        thread.join(timeout=0.3)
        return numbers

    reading, writing = opened_pair(made_while_another_forks)
    thread.join()
    writing.close()
    assert is_over(reading)
    reading.close()


def test_a_fork_of_another_thread_keeps_nothing_for_a_worker(fork: Callable[[], None]) -> None:
    reading, writing = pipe()
    with kept_by_fork([writing]):
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    writing.close()
    assert is_over(reading)
    reading.close()
