"""Passes the frames that arrive at a host to the workers there, and asks for as many as they need.

    reading thread of a link ──┬────────────── there is room ───────────────► right channel ──► workers
                               └──► [queue] ──► delivering thread ──────────►

Most frames need no other thread: there is room for a frame that was asked for, and whoever brings it looks how many
frames the workers have taken since, and asks for as many more.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

from ..errors import Cancelled
from ..transport.link import LinkError
from ..transport.raw_ends import RawFrame
from ..transport.slab_source import Reserved
from .route import Pairing, Route

__all__ = ["Arrivals"]

# Frames that each worker may have waiting, and one more for the worker that is ready first.
FRAMES_PER_WORKER = 2


class Arrivals:
    """The frames of one junction that arrive at this host.

    The host wants two frames for each worker and one more. For each frame that a worker takes from the channel it wants
    another one, at the latest when only one for each worker is on its way. So never more than this number are here or
    on their way, and a slow host hoards nothing.

    `_lock` guards all other fields. It is held while a frame is put into the channel without waiting, so frames of one
    host keep their order.
    """

    def __init__(self, route: Route, pairing: Pairing) -> None:
        assert route.right is not None
        assert route.right.taken is not None
        self._route = route
        self._channel = route.right
        self._pairing = pairing
        self._lock = threading.RLock()
        # For the delivering thread, and for the counting thread.
        self._changed, self._are_few = threading.Condition(self._lock), threading.Condition(self._lock)
        # Frames that are not in the channel yet, each with what is called afterwards. Another one may be in the
        # delivering thread.
        self._queue: deque[tuple[RawFrame, Callable[[], object]]] = deque()
        self._is_delivering = False
        # Frames that are wanted and have not come.
        self._coming = 0
        # Hosts that may send more.
        self._awaited = set(route.left_hosts)
        # Hosts that are dead, and what successors have said at their end before their hosts were known to be dead.
        self._dead: set[int] = set()
        self._early_ends: dict[int, bytes] = {}
        # How many frames have come from each other host.
        self._arrived: Counter[int] = Counter()
        self._is_hung_up = False
        # No more frames are wanted: all are in the channel, or it was hung up.
        self._is_over = False
        self._taken = route.right.taken.dup()
        self._sender = route.right.raw_sender(0)
        self._sender.open()
        self._threads = [
            threading.Thread(target=target, name=f"chainpump arrivals {route.junction}", daemon=True)
            for target in (self._deliver_all, self._count_all)
        ]

    def start(self) -> None:
        """Start the threads, and ask for the first frames."""
        for thread in self._threads:
            thread.start()

    def reserve(self, parts: int, nbytes: int) -> Reserved | None:
        """Memory for the contents of a frame: see `RawSender.reserve`."""
        return self._sender.reserve(parts, nbytes)

    def arrive(self, host: int, frame: RawFrame) -> None:
        """Pass on a frame of another host, and release it. The call does not wait. No lock of a ferry is held."""
        with self._lock:
            # What comes later from a dead host comes again from another one.
            is_queued = not self._is_hung_up and host not in self._dead
            if is_queued:
                self._arrived[host] += 1
                is_queued = self._pass_on(frame, frame.release)
        if not is_queued:
            frame.release()
        self._ask()

    def take_frame(self, frame: RawFrame, then: Callable[[], object]) -> None:
        """Pass on a frame of this host. The call does not wait. then: called once the frame may be released."""
        with self._lock:
            is_queued = not self._is_hung_up and self._pass_on(frame, then)
        if not is_queued:
            then()

    def _pass_on(self, frame: RawFrame, then: Callable[[], object]) -> bool:
        """Put a frame into the channel, or into the queue. Returns whether it is in the queue."""
        self._coming -= 1
        if self._coming <= self._route.workers:
            self._are_few.notify()
        if not (self._queue or self._is_delivering):
            # If the channel is hung up or has failed, the delivering thread meets the same error, and reports it.
            with suppress(Cancelled, OSError):
                if self._sender.send_now(frame):
                    return False
        self._queue.append((frame, then))
        self._changed.notify()
        return True

    def _ask(self) -> None:
        """Want as many frames as the workers have taken, if few are coming. Otherwise a later frame is early enough."""
        if self._coming > self._route.workers:
            return
        try:
            count = self._taken.take()
        except BlockingIOError:
            # The counting thread waits until there is one.
            return
        if self._is_over:
            # It may have been the unit of `_stop_counting`.
            self._taken.give(1)
        else:
            self._want(count)

    def _want(self, count: int) -> None:
        with self._lock:
            self._coming += count
        self._pairing.wants(self._route.junction, count)

    def take_end(self, host: int, states: bytes) -> None:
        """No more frames come from a host.

        Raises LinkError if it has said so before, or has no workers that send, in a junction that is not replayed.
        """
        with self._changed:
            if host in self._awaited:
                self._end(host, states)
            elif self._route.replayed is None:
                raise LinkError(f"sent END of junction {self._route.junction}, where nothing more was expected from it")
            else:
                # It takes the place of a host that has ended here before it died, or is not known to be dead yet.
                self._early_ends[host] = states

    def succeed(self, dead: int, new: int) -> int:
        """A host is dead, and another one takes its place. Returns how many frames of the dead one have come.

        The junction ends once the new one has ended, unless the dead one had done so.
        """
        with self._changed:
            self._dead.add(dead)
            if dead in self._awaited:
                self._awaited.remove(dead)
                self._awaited.add(new)
                if new in self._early_ends:
                    self._end(new, self._early_ends[new])
            return self._arrived[dead]

    def _end(self, host: int, states: bytes) -> None:
        # Consumers look at what the hosts say only when the channel has ended.
        self._route.ended(host, states)
        self._awaited.remove(host)
        self._changed.notify()

    def _deliver_all(self) -> None:
        try:
            while (arrived := self._next()) is not None:
                frame, then = arrived
                try:
                    self._sender.send(frame)
                finally:
                    then()
            if not self._is_hung_up:
                self._sender.close()
                self._channel.seal()
        except Cancelled:
            # The channel was hung up.
            pass
        except Exception as error:
            self._pairing.failed(self._route.junction, f"cannot deliver a frame: {type(error).__name__}: {error}")
        finally:
            self._stop_counting()

    def _next(self) -> tuple[RawFrame, Callable[[], object]] | None:
        """Wait for a frame. None at the end and after a hang-up."""
        with self._changed:
            self._is_delivering = False
            while not (self._queue or self._is_hung_up) and self._awaited:
                self._changed.wait()
            self._is_delivering = bool(self._queue)
            return self._queue.popleft() if self._queue else None

    def _count_all(self) -> None:
        """Want more frames where nobody who brings a frame does so: few are coming, and the workers have taken none."""
        self._want(FRAMES_PER_WORKER * self._route.workers + 1)
        while self._wait_until_few():
            self._taken.wait()
            try:
                count = self._taken.take()
            except BlockingIOError:
                continue
            # Look after the take: it takes the unit of `_stop_counting` as well, and no other one may follow.
            if self._is_over:
                return
            self._want(count)

    def _wait_until_few(self) -> bool:
        """Wait until few frames are coming. Returns False once no more are wanted."""
        with self._lock:
            while self._coming > self._route.workers and not self._is_over:
                self._are_few.wait()
            return not self._is_over

    def _stop_counting(self) -> None:
        # Set it first: this unit shows that it is set.
        with self._lock:
            self._is_over = True
            self._are_few.notify()
        self._taken.give(1)

    def hang_up(self) -> None:
        """Pass on nothing more. The caller hangs up the channel afterwards, which wakes the thread."""
        with self._changed:
            self._is_hung_up = True
            dropped, self._queue = list(self._queue), deque()
            self._changed.notify()
        for _, then in dropped:
            then()

    def close(self) -> None:
        """Wait for the threads, and close this end of the channel."""
        for thread in self._threads:
            thread.join()
        self._sender.close()
        self._taken.close()
