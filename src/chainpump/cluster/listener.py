"""Accepts the links of other hosts. Strangers get a challenge, and cost a few threads for a short time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from ..plan.placement import LOST_AFTER
from ..transport.link import LinkError
from .links import Link, accepted

__all__ = ["Listener"]

# Seconds until the next attempt if the system has no descriptor, or no memory, for a connection. Nothing wakes a
# process when there is one again. Meanwhile connections wait in the system.
PAUSE = 0.5
# Challenges at the same time. Further connections wait until one of these is over.
MOST_CHALLENGES = 32


class Listener:
    """Challenges each connection to a socket in a thread of its own.

    key: of the run. own: the name of this side. on_link: gets each link before it is started, in that thread.
    on_refused: gets the address of a peer and why it was refused. on_failed: gets the reason why the system refuses
    connections, once until it accepts them again. lost_after: of the links.
    """

    def __init__(
        self,
        listening: socket.socket,
        key: bytes,
        own: bytes,
        on_link: Callable[[Link], object],
        on_refused: Callable[[str], object] = lambda _: None,
        on_failed: Callable[[str], object] = lambda _: None,
        lost_after: float = LOST_AFTER,
    ) -> None:
        self._listening = listening
        self._key = key
        self._own = own
        self._on_link = on_link
        self._on_refused = on_refused
        self._on_failed = on_failed
        self._lost_after = lost_after
        # `_is_closed` ends each wait.
        self._is_closed = threading.Event()
        # `_lock` guards the connections that are being challenged.
        self._lock = threading.Lock()
        self._challenged: set[socket.socket] = set()
        self._places = threading.Semaphore(MOST_CHALLENGES)
        self._thread = threading.Thread(target=self._accept, name="chainpump listener", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """The address of the socket, and its port."""
        host, port = self._listening.getsockname()[:2]
        return host, port

    def _accept(self) -> None:
        fails = False
        while True:
            self._places.acquire()
            try:
                connection, address = self._listening.accept()
            except ConnectionAbortedError:
                self._places.release()
                continue
            except OSError as error:
                if self._is_closed.is_set():
                    return
                self._places.release()
                if not fails:
                    fails = True
                    self._on_failed(str(error.strerror))
                self._is_closed.wait(PAUSE)
                continue
            fails = False
            with self._lock:
                if self._is_closed.is_set():
                    connection.close()
                    return
                self._challenged.add(connection)
            threading.Thread(
                target=self._challenge, args=(connection, address), name="chainpump challenge", daemon=True
            ).start()

    def _challenge(self, connection: socket.socket, address: tuple[str, int]) -> None:
        try:
            link = accepted(connection, self._key, self._own, lost_after=self._lost_after)
        except (LinkError, OSError) as error:
            if not self._is_closed.is_set():
                self._on_refused(f"{address[0]} port {address[1]} {error}")
            return
        finally:
            with self._lock:
                self._challenged.discard(connection)
                is_closed = self._is_closed.is_set()
            self._places.release()
        if is_closed:
            link.close()
        else:
            self._on_link(link)

    def close(self) -> None:
        """Accept nothing more. Challenges that are not over fail."""
        with self._lock:
            self._is_closed.set()
            challenged = list(self._challenged)
        for connection in (self._listening, *challenged):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It was never connected, or is closed already.
                pass
        self._places.release()
        self._thread.join()
        self._listening.close()
