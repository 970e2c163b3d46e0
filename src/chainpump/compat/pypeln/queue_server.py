"""A queue of one process, for other processes: one thread of its owner answers their requests.

    other process ── request ──► server thread ──► queue of the owner ──► its reader
                  ◄── answer ──

Only the owner has the queue, so no other process can hold a lock of it. A process that dies closes its connection: a
request that it has not sent completely is dropped, and so is one that waits. The server never waits in the queue: a
request that cannot be answered yet stays in `_pending`, and a change of the queue wakes the server.
"""

from __future__ import annotations

import os
import pickle
import queue
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.util import register_after_fork
from pathlib import Path
from typing import Any

from .queues import ThreadQueue

__all__ = ["QueueServer", "ServedQueue", "connected"]

# More than this many processes connect one after the other.
BACKLOG = 128


class ServedQueue(ThreadQueue[Any]):
    """A queue that tells its server of each change."""

    server: QueueServer | None = None

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._tell()

    def _get(self) -> Any:
        item = super()._get()
        self._tell()
        return item

    def _tell(self) -> None:
        # The lock of the queue is held, as it is when the server tries a request. So the server has either seen this
        # change, or has a pending request now.
        if self.server is not None and self.server.has_pending:
            self.server.wake()

    def try_request(self, name: str, args: tuple[Any, ...], may_wait: bool) -> Any:
        """Call a method. Raises BlockingIOError if it has to wait, and may do so."""
        try:
            return getattr(self, name)(*args)
        except queue.Full:
            if may_wait:
                raise BlockingIOError from None
            raise
        except queue.Empty:
            if may_wait and not self.is_done():
                raise BlockingIOError from None
            raise


class QueueServer:
    """Answers requests of other processes. `close` ends it."""

    def __init__(self, served: ServedQueue) -> None:
        self._queue = served
        self._process = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="chainpump-"))
        self.address = str(self._folder / "queue")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.address)
        self._listener.listen(BACKLOG)
        self._wakes = socket.socketpair()
        for each in self._wakes:
            each.setblocking(False)
        # Requests that wait, by their connection. Only the server changes it.
        self._pending: dict[Connection, tuple[str, tuple[Any, ...], bool]] = {}
        self._connections: list[Connection] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="chainpump queue", daemon=True)
        # A forked process must not keep connections open: their ends show that the owner has died.
        register_after_fork(self, QueueServer._close_descriptors)
        served.server = self
        self._thread.start()

    @property
    def has_pending(self) -> bool:
        """Whether a request waits for a change of the queue."""
        return bool(self._pending)

    def wake(self) -> None:
        """Let the server look again. Any thread may call it."""
        # A full buffer wakes it, too; after `close` nobody is there.
        with suppress(BlockingIOError, OSError):
            self._wakes[1].send(b"!")

    def close(self) -> None:
        """End the server: requests of other processes fail. Any thread may call it; a forked process ends nothing."""
        if os.getpid() == self._process:
            self._is_closed = True
            self.wake()
            shutil.rmtree(self._folder, ignore_errors=True)

    def join(self) -> None:
        """Wait until it has ended, after `close`."""
        self._thread.join()

    def _serve(self) -> None:
        try:
            while not self._is_closed:
                for ready in wait([self._listener, self._wakes[0], *self._connections]):
                    if ready is self._listener:
                        self._connections.append(Connection(self._listener.accept()[0].detach()))
                    elif isinstance(ready, Connection):
                        self._receive(ready)
                with suppress(BlockingIOError):
                    self._wakes[0].recv(4096)
                for connection in list(self._pending):
                    self._answer(connection)
        finally:
            self._close_descriptors()

    def _receive(self, connection: Connection) -> None:
        try:
            request = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            self._drop(connection)
            return
        except Exception as error:
            # The request cannot be loaded here, such as an exception of a class that only the other process has.
            self._send(connection, error, None)
            return
        if request is not None:
            self._pending[connection] = request
        elif self._pending.pop(connection, None) is not None:
            # The other process has stopped waiting. Otherwise the answer is on its way already.
            self._send(connection, queue.Empty(), None)

    def _answer(self, connection: Connection) -> None:
        try:
            result, error = self._queue.try_request(*self._pending[connection]), None
        except BlockingIOError:
            return
        except Exception as raised:
            result, error = None, raised
        del self._pending[connection]
        self._send(connection, error, result)

    def _send(self, connection: Connection, error: Exception | None, result: Any) -> None:
        try:
            answer = pickle.dumps((error, result))
        except Exception:
            answer = pickle.dumps((RuntimeError(repr(error)), None))
        try:
            connection.send_bytes(answer)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._connections.remove(connection)
        self._pending.pop(connection, None)
        connection.close()

    def _close_descriptors(self) -> None:
        self._listener.close()
        for end in self._wakes:
            end.close()
        for connection in self._connections:
            connection.close()


def connected(address: str) -> Connection:
    """Return a connection to a server. Raises OSError if it has ended."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.connect(address)
    except OSError:
        end.close()
        raise
    return Connection(end.detach())
