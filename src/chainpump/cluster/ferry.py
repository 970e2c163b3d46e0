"""The ferry of one host: it carries the frames of junctions whose workers are on several hosts, without reading them.

    workers of this host ──► left channel ──► Departures ──┬── links ──► Arrivals ──► right channel ──► workers there
                                                           └──────────► Arrivals ──► right channel ──► workers here

    departures: has(1) ────────►            ◄──────── wants(1): arrivals
                                 [pairing]
                ◄──── granted(to_host)

Frames of one host keep their order, and its end comes after them on the same link. In a junction that is replayed,
the place of a host that dies is taken by a successor: what was sent to the dead host and is still needed is sent again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from ..transport.link import Kind, LinkError, Message, on_heap
from ..transport.raw_ends import RawFrame
from ..transport.retained import RETAINED_BYTES
from ..transport.slab_source import Reserved
from .arrivals import Arrivals
from .backlog import backlog
from .departures import Departures
from .links import Link
from .route import Destination, Pairing, Route

__all__ = ["Ferry"]


class Ferry:
    """All junctions and links of one host. host: its number. keeps: bytes of each junction that it may keep.

    Links, routes and successors may come in any order: what goes to a host waits for its link.

    `_members` guards them, and is held while one of them comes. `_lock` guards what threads of links read: the
    arrivals, and the ends that came before their route.
    """

    def __init__(self, host: int, pairing: Pairing, keeps: int = RETAINED_BYTES) -> None:
        self._host = host
        self._keeps = keeps
        self._pairing = pairing
        self._members = threading.Lock()
        self._links: dict[int, Link] = {}
        # Links to dead hosts, which are over.
        self._dead_links: list[Link] = []
        # Of each dead host.
        self._successors: dict[int, int] = {}
        self._routes: dict[int, Route] = {}
        self._departures: dict[int, Departures] = {}
        self._lock = threading.Lock()
        self._arrivals: dict[int, Arrivals] = {}
        self._early_ends: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)

    def add_link(self, host: int, link: Link) -> None:
        """Use a link to another host, and start it."""
        with self._members:
            if host in self._successors:
                link.abort()
                self._dead_links.append(link)
                return
            self._links[host] = link
            coming = _Coming(self._arrivals)
            link.start(
                partial(self._receive, host, coming),
                partial(self._pairing.lost, host),
                coming.allocate,
                coming.release,
            )
            for junction, departures in self._departures.items():
                departures.reach(host, _LinkTo(link, junction))

    def carry(self, route: Route) -> None:
        """Begin to carry the frames of a junction."""
        with self._members:
            route = route._replace(
                left_hosts=self._living(route.left_hosts), right_hosts=self._living(route.right_hosts)
            )
            junction = route.junction
            self._routes[junction] = route
            if route.right is not None:
                arrivals = Arrivals(route, self._pairing)
                with self._lock:
                    self._arrivals[junction] = arrivals
                    early = self._early_ends.pop(junction, [])
                for host, states in early:
                    arrivals.take_end(host, states)
                arrivals.start()
            if route.left is not None:
                reached = {host: self._destination(junction, host) for host in route.right_hosts if self._reaches(host)}
                waiting = backlog(route, self._host, self._keeps)
                departures = Departures(route, self._host, reached, self._pairing, waiting)
                self._departures[junction] = departures
                departures.start()

    def _living(self, hosts: Collection[int]) -> Collection[int]:
        """These hosts, with successors in the place of the dead."""
        return [self._last(host) for host in hosts]

    def _last(self, host: int) -> int:
        while host in self._successors:
            host = self._successors[host]
        return host

    def _reaches(self, host: int) -> bool:
        return host == self._host or host in self._links

    def _destination(self, junction: int, host: int) -> Destination:
        if host == self._host:
            return self._arrivals[junction]
        return _LinkTo(self._links[host], junction)

    def granted(self, junction: int, to_host: int) -> None:
        """An announced frame of a junction goes to a host: the oldest one, or the first one in order if it is replayed.

        The call does not wait. Any thread may make it. Grants to a host come before the news of its death.
        """
        # A frame that was announced before `close` may be granted afterwards.
        if (departures := self._departures.get(junction)) is not None:
            departures.granted(to_host)

    def succeed(self, dead: int, new: int) -> None:
        """A host is dead, and another one takes its place, which has a new number. The call does not wait.

        Nothing more is taken from the dead host. Junctions that are not replayed stay as they are: the run is over.
        """
        with self._members:
            self._successors[dead] = new
            if (link := self._links.pop(dead, None)) is not None:
                link.abort()
                self._dead_links.append(link)
            for junction, route in self._routes.items():
                if route.replayed is not None:
                    self._part(junction, dead, new)
            if new in self._links:
                for junction, departures in self._departures.items():
                    departures.reach(new, _LinkTo(self._links[new], junction))

    def _part(self, junction: int, dead: int, new: int) -> None:
        departures, arrivals = self._departures.get(junction), self._arrivals.get(junction)
        again = departures.succeed(dead, new) if departures is not None else 0
        arrived = arrivals.succeed(dead, new) if arrivals is not None else 0
        self._pairing.parted(junction, dead, again, arrived)

    def hold(self, junction: int, holds: bool) -> None:
        """Take no more frames of a junction from the workers here for now, or again."""
        self._departures[junction].hold(holds)

    def look(self) -> None:
        """The reorder buffers may have passed more items. Call it soon after that."""
        for junction, departures in list(self._departures.items()):
            if self._routes[junction].replayed is not None:
                departures.look()

    def _receive(self, host: int, coming: _Coming, message: Message) -> None:
        """Take a message of another host. Raises LinkError."""
        kind, junction, _, parts = message
        if kind is Kind.END:
            with self._lock:
                arrivals = self._arrivals.get(junction)
                if arrivals is None:
                    # The other host has started earlier, and had nothing to send.
                    self._early_ends[junction].append((host, bytes(parts[0])))
                    return
            arrivals.take_end(host, bytes(parts[0]))
        elif kind is Kind.FRAME and junction in self._arrivals:
            head, contents = (memoryview(part) for part in parts)
            self._arrivals[junction].arrive(host, RawFrame.decode(head, contents, coming.taken()))
        else:
            raise LinkError(f"sent {kind.name} of junction {junction}, which this host does not expect")

    def hang_up(self, junction: int) -> None:
        """Hang up the channels of a junction, and carry none of its frames any more."""
        for part in (self._departures.get(junction), self._arrivals.get(junction)):
            if part is not None:
                part.hang_up()
        if (route := self._routes.get(junction)) is not None:
            for channel in (route.left, route.right):
                if channel is not None:
                    channel.hang_up()

    def close(self) -> None:
        """End all threads and links. Junctions that have not ended are hung up. A second call does nothing.

        The caller closes the channels afterwards.
        """
        for junction in self._routes:
            self.hang_up(junction)
        with self._members:
            links, dead = list(self._links.values()), list(self._dead_links)
        for link in links:
            link.say_goodbye()
        for link in (*links, *dead):
            link.close()
        for departures in self._departures.values():
            departures.close()
        for arrivals in self._arrivals.values():
            arrivals.close()
        for owned in (self._routes, self._links, self._dead_links, self._departures, self._arrivals):
            owned.clear()


class _Coming:
    """The memory of the message that comes on one link. The reading thread of the link uses it.

    The contents of a large frame are received into a slab of the channel to which they go: they are not copied again.
    """

    def __init__(self, arrivals: Mapping[int, Arrivals]) -> None:
        self._arrivals = arrivals
        self._slab: Reserved | None = None

    def allocate(self, kind: Kind, junction: int, parts: int, sizes: Sequence[int]) -> Sequence[bytearray | memoryview]:
        """Memory for the parts of a message: see `link.Allocate`."""
        arrivals = self._arrivals.get(junction)
        if kind is Kind.FRAME and arrivals is not None and len(sizes) == 2:
            head, contents = sizes
            if (slab := arrivals.reserve(parts, contents)) is not None:
                self._slab = slab
                return bytearray(head), slab.contents
        return on_heap(kind, junction, parts, sizes)

    def taken(self) -> Reserved | None:
        """The slab with the contents of the frame that has come. The caller releases it."""
        slab, self._slab = self._slab, None
        return slab

    def release(self) -> None:
        """No message follows. Of a frame that has begun, nothing is needed."""
        if (slab := self.taken()) is not None:
            slab.release()


class _LinkTo:
    """Another host as the destination of a junction."""

    def __init__(self, link: Link, junction: int) -> None:
        self._link = link
        self._junction = junction

    def take_frame(self, frame: RawFrame, then: Callable[[], object]) -> None:
        """Send a frame. then: called once it is sent."""
        self._link.send(Kind.FRAME, self._junction, *frame.encoded(), second=len(frame.lengths), then=then)

    def take_end(self, host: int, states: bytes) -> None:
        """Send the end after all frames."""
        self._link.send(Kind.END, self._junction, states)
