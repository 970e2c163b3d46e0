"""Takes the frames that leave a host from the workers there, and sends each one to the host that it is granted to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from ..errors import Cancelled
from ..transport.raw_ends import RawFrame
from .backlog import Backlog
from .route import Destination, Pairing, Route

__all__ = ["Departures"]

# Frames, and bytes of frames, that are not sent yet. Two of any size: one is sent while the next one is announced.
LEAST_FRAMES = 2
MOST_FRAMES = 8
MOST_BYTES = 16 << 20


class Departures:
    """The frames of one junction that leave this host.

    destinations: the hosts that can be reached already.

    `_changed` guards all other fields. It is held while frames and the end are passed on, so they keep their order.
    """

    def __init__(
        self,
        route: Route,
        host: int,
        destinations: Mapping[int, Destination],
        pairing: Pairing,
        backlog: Backlog,
    ) -> None:
        assert route.left is not None
        self._route = route
        self._host = host
        self._pairing = pairing
        self._changed = threading.Condition()
        # The hosts that receive, and those among them that can be reached.
        self._receiving = set(route.right_hosts)
        self._destinations = dict(destinations)
        # Announced frames, those among them that were granted to a host that cannot be reached yet, and frames that
        # have to be announced again.
        self._backlog = backlog
        self._granted: Counter[int] = Counter()
        # Frames that are being sent, and their bytes.
        self._frames = self._bytes = 0
        # Frames that were taken and are not announced yet. Only the thread uses it.
        self._unannounced = 0
        self._is_held = self._is_full = False
        self._is_hung_up = False
        # What this host says at the end. None until the channel has ended.
        self._states: bytes | None = None
        self._has_ended = False
        self._receiver = route.left.raw_receiver()
        self._receiver.open()
        self._thread = threading.Thread(
            target=self._take_all, name=f"chainpump departures {route.junction}", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # ----------------------------------------------------------------------------------------------- other threads

    def granted(self, to_host: int) -> None:
        """The oldest announced frame goes to this host; in a junction that is replayed, the first one in order."""
        with self._changed:
            if self._is_hung_up:
                return
            if self._backlog.waiting <= self._granted.total():
                raise ValueError(f"junction {self._route.junction}: host {self._host} has no frame for host {to_host}")
            if to_host in self._destinations:
                self._send(to_host)
                self._end_if_empty()
            else:
                self._granted[to_host] += 1

    def reach(self, host: int, destination: Destination) -> None:
        """A host can be reached. Does nothing if it does not receive here."""
        with self._changed:
            if self._is_hung_up or host not in self._receiving or host in self._destinations:
                return
            self._destinations[host] = destination
            for _ in range(self._granted.pop(host, 0)):
                self._send(host)
            if self._has_ended:
                assert self._states is not None
                destination.take_end(self._host, self._states)
            else:
                self._end_if_empty()

    def succeed(self, dead: int, new: int) -> int:
        """A host is dead, and another one takes its place. Returns how many frames have to be granted again."""
        with self._changed:
            if dead not in self._receiving:
                return 0
            self._receiving.remove(dead)
            self._receiving.add(new)
            self._destinations.pop(dead, None)
            never_sent = self._granted.pop(dead, 0)
            # This host ends behind the first junction, or with it, so all that was sent has passed.
            again = 0 if self._has_ended else self._backlog.died(dead) + never_sent
            self._changed.notify()
            return again

    def look(self) -> None:
        """The reorder buffer may have passed more items."""
        with self._changed:
            if not self._is_hung_up:
                self._backlog.look()
                self._tell_full()
                self._end_if_empty()
                self._changed.notify()

    def hold(self, holds: bool) -> None:
        """Take no more frames from the workers for now, or again."""
        with self._changed:
            self._is_held = holds
            self._changed.notify()

    # -------------------------------------------------------------------------------------------------- its thread

    def _take_all(self) -> None:
        junction = self._route.junction
        try:
            while self._wait_for(self._may_take_one) and (frame := self._next()) is not None:
                if not self._take(frame):
                    return
            self._announce()
            # After a hang-up the channel has no end that means anything.
            if self._is_hung_up:
                return
            states = self._route.states()
        except Cancelled:
            # The run is over.
            return
        except Exception as error:
            self._pairing.failed(junction, f"cannot take a frame: {type(error).__name__}: {error}")
            return
        with self._changed:
            self._states = states
            self._end_if_empty()

    def _announce(self) -> None:
        """Announce the frames that were taken. Each wait comes after it: only announced frames leave."""
        count, self._unannounced = self._unannounced, 0
        if count:
            self._pairing.has(self._route.junction, count)

    def _wait_for(self, fact: Callable[[], bool]) -> bool:
        """Wait until something is so. Returns False after a hang-up."""
        with self._changed:
            if not self._is_hung_up and fact():
                return True
        self._announce()
        with self._changed:
            while not (self._is_hung_up or fact()):
                self._changed.wait()
            return not self._is_hung_up

    def _may_take_one(self) -> bool:
        frames = self._frames + self._backlog.waiting
        nbytes = self._bytes + self._backlog.waiting_bytes
        return not self._is_held and (frames < LEAST_FRAMES or (frames < MOST_FRAMES and nbytes < MOST_BYTES))

    def _next(self) -> RawFrame | None:
        """Wait for a frame. None at the end and after a hang-up."""
        try:
            return self._receiver.receive(wait=False)
        except BlockingIOError:
            self._announce()
            return self._receiver.receive(wait=True)

    def _take(self, frame: RawFrame) -> bool:
        """Wait until a frame may be kept, and take it. Returns False after a hang-up."""
        frame = self._backlog.prepared(frame)
        # Only this thread takes frames. A host that dies just now may add those of its frames that wait again.
        self._wait_for(lambda: self._backlog.has_room(frame))
        with self._changed:
            if self._is_hung_up:
                frame.release()
                return False
            self._backlog.take(frame)
            self._unannounced += 1
            self._tell_full()
            return True

    # ------------------------------------------------------------------------------------- while `_changed` is held

    def _send(self, host: int) -> None:
        frame = self._backlog.send(host)
        nbytes = len(frame.contents)
        self._frames += 1
        self._bytes += nbytes
        self._destinations[host].take_frame(frame, partial(self._sent, frame, nbytes))

    def _sent(self, frame: RawFrame, nbytes: int) -> None:
        frame.release()
        with self._changed:
            self._frames -= 1
            self._bytes -= nbytes
            self._changed.notify()

    def _tell_full(self) -> None:
        if self._backlog.is_full != self._is_full:
            self._is_full = self._backlog.is_full
            self._pairing.full(self._route.junction, self._is_full)

    def _end_if_empty(self) -> None:
        if self._states is None or self._has_ended or self._is_hung_up:
            return
        if not self._backlog.waiting and self._backlog.may_end:
            self._has_ended = True
            for destination in self._destinations.values():
                destination.take_end(self._host, self._states)

    # ----------------------------------------------------------------------------------------------------- its end

    def hang_up(self) -> None:
        """Send nothing more. The caller hangs up the channel afterwards, which wakes the thread."""
        with self._changed:
            self._is_hung_up = True
            dropped = self._backlog.drop()
            self._changed.notify()
        for frame in dropped:
            frame.release()

    def close(self) -> None:
        """Wait for the thread, and close this end of the channel."""
        self._thread.join()
        self._receiver.close()
