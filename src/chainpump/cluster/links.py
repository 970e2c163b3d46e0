"""TCP links between the hosts of a run: the sockets and threads around `transport.link`.

    any thread ── send() ──► [queue] ── sending thread ──► socket ──► reading thread of the peer ──► on_message()
                    └── short, while nothing waits ──────────┘

No call of `send` waits for the peer. A link ends by a goodbye, or because the peer is lost. Then both threads end.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from ..plan.placement import LOST_AFTER
from ..transport.challenge import CHALLENGE_BYTES, NONCE_BYTES, Challenge
from ..transport.heartbeat import SEND_EVERY, Heartbeat, Verdict
from ..transport.link import (
    MESSAGE_BYTES,
    Allocate,
    Buffer,
    Kind,
    LinkError,
    LinkReader,
    LinkWriter,
    Message,
    on_heap,
)

__all__ = ["CHALLENGE_SECONDS", "Link", "OnMessage", "accepted", "connect"]

OnMessage: TypeAlias = Callable[[Message], object]
# A message, and what is called once it is sent. None: the rest of a message that is in the writer already.
_Queued: TypeAlias = tuple[Message | None, Callable[[], object] | None]

# For connecting and for the challenge.
CHALLENGE_SECONDS = 10.0
# Messages of so many bytes are sent together. What is sent is released soon.
BATCH_BYTES = 65_536
# Bytes. A message up to this size is sent by the thread that has it, while nothing waits: no sending thread has to wake
# up, so frames of 64 KB take about 15 % less processor time. A larger message would keep that thread for longer.
DIRECT_BYTES = 131_072
# Bytes. A larger part is received in one call of the system, which wakes this thread less often.
WHOLE_BYTES = 4096


class Link:
    """A connection to a peer that has proven the key of the run.

    name: of the peer. lost_after: seconds of silence after which the peer counts as lost.

    `_changed` guards the queue, the flags, and the writer while the sending thread waits for messages. No thread holds
    it while it waits for the peer.
    """

    def __init__(
        self, connection: socket.socket, name: bytes, reader: LinkReader, lost_after: float = LOST_AFTER
    ) -> None:
        self.name = name
        self._lost_after = lost_after
        self._socket = connection
        self._reader = reader
        self._queue: deque[_Queued] = deque()
        self._writer = LinkWriter()
        self._changed = threading.Condition()
        # The sending thread has messages, and the writer belongs to it.
        self._is_sending = False
        # No message is accepted any more; what is queued is still sent.
        self._is_closing = False
        # Nothing is sent any more.
        self._is_over = False
        # Both sides know that the link ends.
        self._was_closed = False
        # The peer was dropped, so that the socket is closed when both threads have ended.
        self._is_aborted = False
        self._heartbeat = Heartbeat(time.monotonic(), lost_after=lost_after)
        self._threads: list[threading.Thread] = []
        # How many of the threads run.
        self._running = 0

    def start(
        self,
        on_message: OnMessage,
        on_lost: Callable[[str], object],
        allocate: Allocate = on_heap,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Start the threads. The reading thread calls these functions; none of them may wait.

        on_message: called for each message. on_lost: called at most once, with the reason why the peer is lost.
        allocate: makes the memory for each message. on_end: called when no message follows; one may have begun.
        """
        self._reader.allocate = allocate
        reading = threading.Thread(
            target=self._read,
            args=(on_message, on_lost, on_end),
            name=f"chainpump link from {self.name!r}",
            daemon=True,
        )
        sending = threading.Thread(target=self._send, name=f"chainpump link to {self.name!r}", daemon=True)
        self._threads = [reading, sending]
        self._running = len(self._threads)
        self._heartbeat = Heartbeat(time.monotonic(), lost_after=self._lost_after)
        for thread in self._threads:
            thread.start()

    @property
    def is_released(self) -> bool:
        """Whether its descriptor was closed."""
        return self._socket.fileno() < 0

    def send(
        self, kind: Kind, first: int, *parts: Buffer, second: int = 0, then: Callable[[], object] | None = None
    ) -> None:
        """Send a message after all earlier ones. The call does not wait.

        first, second: see `Kind`. then: called once the parts may change, from the sending thread or this one, also if
        the link is over.
        """
        message = Message(kind, first, second, parts)
        queued: Message | None = message
        with self._changed:
            is_done = self._is_closing
            if not (is_done or self._queue or self._is_sending) and sum(map(len, parts)) <= DIRECT_BYTES:
                self._writer.write(message)
                is_done, queued = self._send_now(), None
            if not is_done:
                self._queue.append((queued, then))
                self._changed.notify()
        if is_done and then is not None:
            then()

    def _send_now(self) -> bool:
        """Send what is in the writer, as far as the system has room for it. Returns whether that was all."""
        try:
            self._writer.sent(self._socket.sendmsg(self._writer.buffers(), [], socket.MSG_DONTWAIT))
            self._heartbeat.sent(time.monotonic())
        except OSError:
            # There is no room, or the connection is broken. The sending thread waits, or finds that out again.
            pass
        return not self._writer.nbytes

    def close(self) -> None:
        """Send what is queued, take leave of the peer and end the threads. Call it from another thread."""
        self.say_goodbye()
        for thread in self._threads:
            # A peer that does not answer is lost by then.
            thread.join(self._lost_after + SEND_EVERY)
        self._end()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def say_goodbye(self) -> None:
        """Begin to close the link. The call does not wait."""
        with self._changed:
            self._was_closed = True
            if not self._is_closing:
                self._is_closing = True
                self._queue.append((Message(Kind.GOODBYE), None))
                self._changed.notify()

    def abort(self) -> None:
        """Drop the peer, which counts as lost already. The call does not wait, and `on_lost` is not called any more.

        The socket is closed as soon as the threads have ended. `close` joins them later.
        """
        with self._changed:
            self._was_closed = self._is_aborted = True
        self._end()
        self._release()

    def _release(self) -> None:
        """Close the socket of a dropped peer that no thread uses any more."""
        with self._changed:
            if self._is_aborted and not self._running:
                self._socket.close()

    def _ended(self) -> None:
        """A thread has ended."""
        with self._changed:
            self._running -= 1
        self._release()

    def _end(self) -> None:
        """Wake both threads: whatever was not sent is dropped."""
        with self._changed:
            self._is_closing = self._is_over = True
            self._changed.notify()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The connection is broken or closed already.
            pass

    def _send(self) -> None:
        writer, batch, said_goodbye = self._writer, list[_Queued](), False
        try:
            while not said_goodbye and (batch := self._next_batch()):
                for message, _ in batch:
                    if message is not None:
                        writer.write(message)
                while buffers := writer.buffers():
                    writer.sent(self._socket.sendmsg(buffers))
                    self._heartbeat.sent(time.monotonic())
                last = batch[-1][0]
                said_goodbye = last is not None and last.kind is Kind.GOODBYE
                _call_back(batch)
            if said_goodbye:
                self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            # The reading thread finds the reason.
            said_goodbye = False
        finally:
            if not said_goodbye:
                self._end()
            with self._changed:
                self._is_closing = True
                rest, self._queue = list(self._queue), deque()
            _call_back([*batch, *rest])
            self._ended()

    def _next_batch(self) -> list[_Queued]:
        """Wait for messages to send. Empty if the link is over."""
        with self._changed:
            self._is_sending = False
            while not (self._queue or self._is_over):
                self._changed.wait()
            self._is_sending = True
            batch, nbytes = list[_Queued](), 0
            while self._queue and not self._is_over and nbytes < BATCH_BYTES:
                message, then = self._queue.popleft()
                batch.append((message, then))
                nbytes += self._writer.nbytes if message is None else sum(map(len, message.parts))
            return batch

    def _read(self, on_message: OnMessage, on_lost: Callable[[str], object], on_end: Callable[[], object]) -> None:
        reason: str | None = "sent something that this host failed to handle"
        try:
            reason = self._receive_all(on_message)
        except LinkError as error:
            reason = str(error)
        except OSError as error:
            reason = f"cannot be reached any more: {error}"
        finally:
            on_end()
            if reason is None:
                # The peer expects nothing more. Take leave of it as well.
                self.say_goodbye()
            else:
                self._end()
                if not self._was_closed:
                    on_lost(reason)
            self._ended()

    def _receive_all(self, on_message: OnMessage) -> str | None:
        """Pass on messages until the peer says goodbye. Otherwise returns why it is lost."""
        while True:
            while (message := self._reader.next()) is not None:
                if message.kind is Kind.GOODBYE:
                    return None
                if message.kind is not Kind.HEARTBEAT:
                    on_message(message)
            now = time.monotonic()
            if now >= self._heartbeat.next_look and (reason := self._look(now)):
                return reason
            buffer = self._reader.buffer()
            flags = socket.MSG_WAITALL if len(buffer) > WHOLE_BYTES else 0
            try:
                count = self._socket.recv_into(buffer, 0, flags)
            except BlockingIOError:
                # Nothing has come for a second.
                continue
            if not count:
                self._reader.end()
                return "closed the connection without a goodbye: its process has ended"
            self._reader.received(count)
            self._heartbeat.received(time.monotonic())

    def _look(self, now: float) -> str | None:
        verdict = self._heartbeat.look(now)
        if verdict is Verdict.SEND:
            self.send(Kind.HEARTBEAT, 0)
        if verdict is Verdict.LOST:
            return f"has sent nothing for {self._lost_after:g} s: it is frozen, or the network to it is interrupted"
        return None


def _call_back(batch: list[_Queued]) -> None:
    for _, then in batch:
        if then is not None:
            then()
    batch.clear()


def connect(
    address: tuple[str, int],
    key: bytes,
    own: bytes,
    seconds: float = CHALLENGE_SECONDS,
    lost_after: float = LOST_AFTER,
) -> Link:
    """Connect to a listener. own: the name of this side. Raises LinkError if the peer is refused, and OSError."""
    return _challenged(socket.create_connection(address, seconds), key, own, seconds, lost_after, connects=True)


def accepted(
    connection: socket.socket,
    key: bytes,
    own: bytes,
    seconds: float = CHALLENGE_SECONDS,
    lost_after: float = LOST_AFTER,
) -> Link:
    """Make a link of an accepted connection. Raises LinkError if the peer is refused, and OSError."""
    return _challenged(connection, key, own, seconds, lost_after, connects=False)


def _challenged(
    connection: socket.socket, key: bytes, own: bytes, seconds: float, lost_after: float, *, connects: bool
) -> Link:
    try:
        challenge = Challenge(key, own, os.urandom(NONCE_BYTES), connects=connects)
        reader = LinkReader(CHALLENGE_BYTES)
        ends_at = time.monotonic() + seconds
        to_send = challenge.begin()
        while True:
            connection.settimeout(max(0.001, ends_at - time.monotonic()))
            writer = LinkWriter()
            for message in to_send:
                writer.write(message)
            connection.sendall(b"".join(writer.buffers()))
            if challenge.peer is not None:
                break
            while (answer := reader.next()) is None:
                connection.settimeout(max(0.001, ends_at - time.monotonic()))
                if not (count := connection.recv_into(reader.buffer())):
                    challenge.end()
                reader.received(count)
            to_send = challenge.receive(answer)
        reader.limit = MESSAGE_BYTES
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A call that receives returns after this time, so that the reading thread can look at the heartbeats.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(SEND_EVERY), 0))
        return Link(connection, challenge.peer, reader, lost_after)
    except TimeoutError:
        connection.close()
        raise LinkError(f"has not answered the challenge within {seconds:g} s") from None
    except BaseException:
        connection.close()
        raise
