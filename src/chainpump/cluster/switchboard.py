"""The switchboard of a run: a process beside the main process that connects it with the agents of all other machines.

    main process ── connection, control pipes, log pipes ── switchboard ── control link ── agent
       board, channels  (shared memory, descriptors)             └──────── data link ───── agent

It pairs frames with machines that want them, passes commands and reports on, keeps the copies of the board equal, and
watches the machines. It is a process of its own, because the main process may run Python code of the user for long.
It imports nothing of the program.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..executors.control_pipe import ControlPipe, Gone, Report
from ..executors.control_pipe import pack as pack_event
from ..ipc.board import Board, Cell
from ..ipc.board_copies import write
from ..transport.link import Kind, Message
from ..transport.pairing import Grant, Pairing
from ..worker.outcome import Interrupted
from .ferry import Ferry
from .links import Link
from .listener import Listener
from .mailbox import Mailbox
from .members import MAIN, Members
from .messages import (
    CONTROL,
    DATA,
    Alive,
    Broken,
    Cancel,
    Copy,
    End,
    Failed,
    FromWorker,
    Full,
    Hello,
    Hold,
    HostDied,
    Launched,
    Log,
    LogTaken,
    Measure,
    Measured,
    Parted,
    Ready,
    Seal,
    Successor,
    ToWorker,
    Unlinked,
    pack,
    unpack,
)
from .pairings import Pairings
from .route import Route, replayed
from .switchboard_parts import Holds, LinkLost, Logged, LogWriter, OwnPairing, Setup

__all__ = ["Switchboard", "serve"]

# Seconds between two copies of the board.
COPY_EVERY = 0.02
# Seconds between two signs of life for the main process.
ALIVE_EVERY = 1.0


class Switchboard:
    """One thread uses it; other threads put messages into its mailbox, or call the pairings."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._board = setup.board
        self._mailbox: Mailbox[tuple[int | bytes, Any]] = Mailbox()
        self._main = ControlPipe(setup.connection)
        self._controls = {place: ControlPipe(end) for place, end in setup.controls.items()}
        joins_by = time.monotonic() + setup.join_within
        self._members = Members(setup.plans, setup.moves, setup.restoring, joins_by)
        self._log_writer = LogWriter(setup.logs)
        pairings = {number: Pairing() for number, each in enumerate(self._members.junctions) if each is not None}
        self._pairings = Pairings(pairings, self._grant)
        self._ferry = Ferry(MAIN, OwnPairing(self._mailbox, self._pairings))
        self._holds = Holds(setup.plans[0])
        # The junctions whose producers have all finished.
        self._sealed: set[int] = set()
        # What to do with a message, by its type: of a machine, and of the main process.
        self._takes: Mapping[type, Callable[[int, Any], None]] = {
            Broken: self._take_broken,
            Copy: self._take_copy,
            Failed: lambda sender, failed: self._lose_for(sender, failed.reason),
            FromWorker: self._take_event,
            Full: self._take_full,
            Hello: lambda sender, hello: self._members.greet(sender, hello.address, self._board),
            LinkLost: lambda sender, lost: self._lose_for(sender, lost.reason),
            Log: self._take_log,
            LogTaken: lambda sender, taken: self._members[sender].send(taken),
            Logged: self._take_logged,
            Measure: self._take_measure,
            Parted: self._take_parted,
            Ready: self._take_ready,
            Unlinked: self._take_unlinked,
        }
        self._takes_of_main: Mapping[type, Callable[[Any], None]] = {
            Broken: lambda broken: self._lose(broken.host, broken.reason),
            Cancel: self._take_cancel,
            Launched: self._take_launched,
            Seal: self._take_seal,
        }
        for limit in setup.limits:
            limit.open(setup.board)
        self._carry()
        listening = socket.socket(fileno=os.dup(setup.listener.fileno()))
        self._listener = Listener(
            listening,
            setup.key,
            DATA + b"%d" % MAIN,
            self._accept,
            on_failed=lambda reason: self._mailbox.put((MAIN, Unlinked(reason))),
            lost_after=setup.lost_after,
        )

    def _accept(self, link: Link) -> None:
        """A link of another machine has been made. A thread of the listener calls this."""
        if link.name.startswith(DATA):
            # Use it at once: the other machine expects signs of life.
            self._ferry.add_link(int(link.name.removeprefix(DATA)), link)
        else:
            self._mailbox.put((link.name, link))

    # -------------------------------------------------------------------------------------------------- its machines

    def _take_link(self, peer: bytes, link: Link) -> None:
        """An agent has made its control link."""
        number = int(peer.removeprefix(CONTROL))
        host = self._members[number]
        if host.is_lost:
            link.abort()
            return
        host.link = link

        def take(message: Message) -> None:
            if message.kind is Kind.HAS:
                self._pairings.has(number, message.first, message.second)
            elif message.kind is Kind.WANTS:
                self._pairings.wants(number, message.first, message.second)
            else:
                self._mailbox.put((number, unpack(message.parts[0])))

        link.start(take, lambda reason: self._mailbox.put((number, LinkLost(reason))))

    def _carry(self) -> None:
        """Carry the frames of the machine of the main process."""
        works = self._setup.plans[0].works
        for junction, (left, right) in self._setup.parts.items():
            each = self._members.junctions[junction]
            assert each is not None
            workers = len(self._members.workers(MAIN, junction + 1))
            rows = [works[junction].stages[-1].siblings[number] for number in self._members.workers(MAIN, junction)]
            states = partial(_states, self._board, rows)
            self._ferry.carry(
                Route(
                    junction,
                    left,
                    right,
                    workers,
                    each.left,
                    each.right,
                    states,
                    self._ended,
                    replayed(each.replay, self._board),
                )
            )

    def _ended(self, host: int, states: bytes) -> None:
        """All workers of a machine that send to a junction have ended."""
        if host != MAIN:
            for row, state in unpack(states):
                self._board.row(row)[Cell.STATE] = state

    def _lose_for(self, number: int, reason: str) -> None:
        """A machine is lost. reason: begins with a verb, whose subject is the machine."""
        self._lose(number, f"{self._members.name(number)} {reason}")

    def _lose(self, dead: int, text: str) -> None:
        """A machine is lost. All others learn who follows; if nobody can, the run ends. text: names it."""
        if dead != MAIN and self._members[dead].is_lost:
            return
        new = self._members.lose(dead, self._sealed) if dead != MAIN else None
        self._main.send(0, pack(HostDied(dead, text, new)))
        if new is None:
            return
        if (link := self._members[dead].link) is not None:
            link.abort()
        self._pairings.died(dead, partial(self._tell_of_successor, dead, new))
        self._hold(self._holds.died(dead))

    def _tell_of_successor(self, dead: int, new: int) -> None:
        """Tell all machines that must know. One without a plan will find it there."""
        for host in self._members.living:
            if host.has_plan:
                host.send(Successor(dead, new))
        self._ferry.succeed(dead, new)

    # -------------------------------------------------------------------------------------------------- its messages

    def _take(self, sender: int | bytes, message: Any) -> None:
        """Take a message. sender: the number of a machine; the name of a link that is the message."""
        if isinstance(sender, bytes):
            self._take_link(sender, message)
        elif sender == MAIN or not self._members[sender].is_lost:
            # A lost machine may still run. Others do its work now.
            self._takes[type(message)](sender, message)

    def _take_broken(self, sender: int, broken: Broken) -> None:
        if broken.host == MAIN and sender != MAIN:
            # This machine runs, as the message shows.
            self._lose_for(sender, f"has lost its link to this machine, which {broken.reason}")
        else:
            self._lose_for(broken.host, broken.reason)

    def _take_copy(self, _sender: int, copy: Copy) -> None:
        write(self._board, copy.changes)
        self._use_copies()

    def _take_event(self, sender: int, event: FromWorker) -> None:
        # What the worker has logged comes before that.
        self._log_writer.then(partial(self._mailbox.put, (sender, Logged(event))))

    def _take_logged(self, _sender: int, logged: Logged) -> None:
        event = logged.event
        self._controls[event.place].send(event.generation, event.message)

    def _take_log(self, sender: int, log: Log) -> None:
        self._log_writer.put(log.place, log.data)
        self._log_writer.then(partial(self._mailbox.put, (sender, LogTaken(log.place, len(log.data)))))

    def _take_measure(self, sender: int, measure: Measure) -> None:
        # It has no plan yet, which other messages wait for.
        if (link := self._members[sender].link) is not None:
            link.send(Kind.CONTROL, 0, pack(Measured(measure.asked, time.monotonic_ns())))

    def _take_ready(self, sender: int, _ready: Ready) -> None:
        self._members[sender].is_ready = True

    def _take_unlinked(self, sender: int, unlinked: Unlinked) -> None:
        self._main.send(0, pack(unlinked._replace(name=self._members.name(sender))))

    def _take_parted(self, sender: int, parted: Parted) -> None:
        self._pairings.parted(sender, *parted)

    def _take_full(self, sender: int, full: Full) -> None:
        self._hold(self._holds.full(sender, full.junction, full.is_full))

    def _hold(self, changed: Mapping[int, bool]) -> None:
        """Hold the first junctions of sections, or go on with them."""
        for junction, holds in changed.items():
            each = self._members.junctions[junction]
            assert each is not None
            if MAIN in each.left:
                self._ferry.hold(junction, holds)
            else:
                self._members[each.left[0]].send(Hold(junction, holds))

    def _grant(self, junction: int, grant: Grant) -> None:
        """Pass a grant on. The thread that has said what a machine has or wants calls this."""
        sender, receiver, frames = grant
        if sender == MAIN:
            for _ in range(frames):
                self._ferry.granted(junction, receiver)
        else:
            self._members[sender].grant(junction, receiver, frames)

    def _copy(self) -> None:
        """Send to each machine what has changed on the board."""
        for host in self._members.living:
            if host.watch is not None and (changes := host.watch.changed()) is not None:
                host.send(Copy(changes))

    def _use_copies(self) -> None:
        """Use what other machines have written to the board."""
        for limit in self._setup.limits:
            limit.wake()
        self._ferry.look()

    def _take_from_main(self) -> None:
        for _, data in self._main.receive():
            message = unpack(data)
            self._takes_of_main[type(message)](message)

    def _take_seal(self, seal: Seal) -> None:
        self._sealed.add(seal.junction)
        for host in self._members.living:
            host.send(seal)

    def _take_cancel(self, cancel: Cancel) -> None:
        # The flags are on the board.
        self._copy()
        self._take_commands()
        for place, generation in self._members.withdrawn(self._board):
            for event in (Report(Interrupted()), Gone()):
                self._controls[place].send(generation, pack_event(event))
        for junction in self._setup.parts:
            if junction < cancel.before:
                self._ferry.hang_up(junction)

    def _take_launched(self, launched: Launched) -> None:
        self._members.call(launched.host, launched.name)
        self._members[launched.host].joins_by = time.monotonic() + self._setup.join_within

    def _take_commands(self) -> None:
        for place, control in self._controls.items():
            for generation, message in control.receive():
                self._members.at(place).send(ToWorker(place, generation, message))

    # ------------------------------------------------------------------------------------------------------ its loop

    def run(self) -> None:
        """Serve the run until the main process ends it, or dies."""
        next_alive = next_copy = 0.0
        while not self._main.is_broken:
            now = time.monotonic()
            if now >= next_copy:
                next_copy = now + COPY_EVERY
                self._copy()
                self._use_copies()
            if now >= next_alive:
                next_alive = now + ALIVE_EVERY
                self._main.send(0, pack(Alive()))
            self._wait(max(0.0, min(next_copy, next_alive) - time.monotonic()))
            arrived = self._mailbox.take()
            # What has caused a message comes before it: an agent greets after its launch.
            self._take_from_main()
            for sender, message in arrived:
                self._take(sender, message)
            self._take_commands()
            for pipe in (self._main, *self._controls.values()):
                if pipe.has_unsent:
                    pipe.flush()
            self._check_joined(now)

    def _check_joined(self, now: float) -> None:
        for host in list(self._members.living):
            if not host.is_ready and host.joins_by is not None and now >= host.joins_by:
                self._lose_for(host.plan.host, f"has not joined the run within {self._setup.join_within:g} s")

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._mailbox.fileno(), select.POLLIN)
        for pipe in (self._main, *self._controls.values()):
            if not pipe.is_broken:
                poll.register(pipe.fileno(), select.POLLIN | (select.POLLOUT if pipe.has_unsent else 0))
        poll.poll(seconds * 1000)

    def close(self) -> None:
        """End the run on all machines."""
        self._listener.close()
        links = [host.link for host in self._members.living if host.link is not None]
        # All of them first: a frozen machine takes its time to close, and must not hold up the others.
        for link in links:
            link.send(Kind.CONTROL, 0, pack(End()))
            link.say_goodbye()
        for link in links:
            link.close()
        self._ferry.close()


def _states(board: Board, rows: Sequence[int]) -> bytes:
    return pack([(row, board.row(row)[Cell.STATE]) for row in rows])


def serve(setup: Setup) -> None:
    """Run the switchboard of one run in this process, until the run has ended."""
    # Ctrl-C is for the main process, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    switchboard = Switchboard(setup)
    try:
        switchboard.run()
    finally:
        switchboard.close()
