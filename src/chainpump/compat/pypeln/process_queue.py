"""A queue that other processes can fill, as the source of a stage."""

from __future__ import annotations

import os
import pickle
import queue
import threading
import weakref
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from .queue_server import QueueServer, ServedQueue, connected
from .queues import Mark

__all__ = ["ProcessQueue"]

T = TypeVar("T")


class ProcessQueue(Generic[T]):
    """A queue as a source, which other processes may fill that have it by a fork or as an argument.

    The process that has made it has the items, and ends with them. The methods and the options are those of
    `ThreadQueue`. Items are pickled: `put` raises the error of an item that cannot be. In another process each method
    asks the process that has made the queue; it raises OSError if that has ended.
    """

    def __init__(self, maxsize: int = 0, total_sources: int = 1) -> None:
        served = ServedQueue(maxsize, total_sources)
        server = QueueServer(served)
        self._owned: tuple[int, ServedQueue, QueueServer] | None = (os.getpid(), served, server)
        self._prepare(server.address)
        weakref.finalize(self, server.close)

    def _prepare(self, address: str) -> None:
        self._address = address
        # The process and the connection of each thread.
        self._own = threading.local()

    def __getstate__(self) -> str:
        return self._address

    def __setstate__(self, address: str) -> None:
        self._owned = None
        self._prepare(address)

    @property
    def _local(self) -> ServedQueue | None:
        """The queue itself, in the process that has made it."""
        return self._owned[1] if self._owned is not None and self._owned[0] == os.getpid() else None

    def _call(self, name: str, *args: Any) -> Any:
        local = self._local
        return getattr(local, name)(*args) if local is not None else self._ask(name, args, False, None)

    def _ask(self, name: str, args: tuple[Any, ...], may_wait: bool, timeout: float | None) -> Any:
        """Call a method of the queue in the process that has made it. timeout: seconds to wait for the answer."""
        connection = self._connection()
        is_answered = False
        try:
            connection.send_bytes(pickle.dumps((name, args, may_wait)))
            if not connection.poll(timeout):
                # It stops waiting; the answer may be on its way.
                connection.send_bytes(pickle.dumps(None))
            answer = connection.recv_bytes()
            is_answered = True
        except EOFError as ended:
            raise ConnectionResetError("the process that has made the queue has ended, or has closed it") from ended
        finally:
            if not is_answered:
                # A later request must not get this answer.
                self._own.process = None
                connection.close()
        error, result = pickle.loads(answer)
        if error is not None:
            raise error
        return result

    def _connection(self) -> Connection:
        own = self._own
        # A forked process must not use the connection of its parent.
        if getattr(own, "process", None) != os.getpid():
            own.connection, own.process = connected(self._address), os.getpid()
        connection: Connection = own.connection
        return connection

    def put(self, obj: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item. Raises queue.Full, and the errors of pickling."""
        self._put(obj, block, timeout)

    def _put(self, message: Any, block: bool = True, timeout: float | None = None) -> None:
        pickled, local = _Pickled(pickle.dumps(message)), self._local
        # The queue counts marks itself, so it needs them as they are.
        sent: Any = message if isinstance(message, Mark) else pickled
        if local is not None:
            local.put(sent, block, timeout)
            return
        try:
            self._ask("put_message", (sent, False), block, timeout)
        except queue.Empty:
            raise queue.Full from None

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Return the next item. Raises queue.Empty if there is none, or no more."""
        local = self._local
        found = local.get(block, timeout) if local is not None else self._ask("get", (False,), block, timeout)
        item: T = pickle.loads(found.data)
        return item

    def put_nowait(self, obj: T) -> None:
        """Put an item. Raises queue.Full at once if there is no room."""
        self.put(obj, block=False)

    def get_nowait(self) -> T:
        """Return the next item. Raises queue.Empty at once if there is none."""
        return self.get(block=False)

    def __iter__(self) -> Iterator[T]:
        local = self._local
        return _Loaded(iter(local)) if local is not None else self._received()

    def _received(self) -> Iterator[T]:
        while True:
            try:
                yield self.get()
            except queue.Empty:
                return

    def worker_done(self) -> None:
        """Say that one source puts no more items. The items end when all sources have said so."""
        self._put(Mark())

    def raise_exception(self, exception: BaseException) -> None:
        """Let the iterator raise an exception, behind the items that were put before."""
        self._put(Mark(exception))

    def is_done(self) -> bool:
        """Whether the end of every source has been read."""
        return bool(self._call("is_done"))

    def stop(self) -> None:
        """End the items now, and drop those that nobody has read."""
        self._call("stop")

    kill = stop

    def clear(self) -> None:
        """Drop all items that nobody has read."""
        self._call("clear")

    def qsize(self) -> int:
        """Return how many items wait."""
        return int(self._call("qsize"))

    def empty(self) -> bool:
        """Whether no item waits."""
        return bool(self._call("empty"))

    def full(self) -> bool:
        """Whether `maxsize` items wait."""
        return bool(self._call("full"))

    def close(self) -> None:
        """End the access of other processes. The process that has made the queue may still read it."""
        if self._local is not None and self._owned is not None:
            self._owned[2].close()

    def join_thread(self) -> None:
        """Wait until the thread that serves other processes has ended, after `close`."""
        if self._local is not None and self._owned is not None:
            self._owned[2].join()

    def cancel_join_thread(self) -> None:
        """Do nothing: no process waits at its exit for items that nobody has read."""


class _Pickled:
    """An item in the queue. Only its reader loads it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Loaded(Iterator[Any]):
    """The items of the queue itself; `cancel` ends the wait for the next one."""

    def __init__(self, pickled: Any) -> None:
        self._pickled = pickled

    def __next__(self) -> Any:
        return pickle.loads(next(self._pickled).data)

    def cancel(self) -> None:
        """End the wait. Any thread may call it."""
        self._pickled.cancel()
