"""What an agent does in a run: it makes its links, gets its plan, and serves the run on its machine."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import ExitStack
from typing import Any

from ..ipc.board_copies import Clock
from ..transport.link import LinkError
from .agent import Agent
from .agent_control import STANDARD_INPUT, Control, Expected, Invitation, Lost, wait
from .ferry import Ferry
from .links import Link, connect
from .listener import Listener
from .mailbox import Mailbox
from .messages import CONTROL, DATA, Address, Hello, Measure, Measured, Plan, Ready

__all__ = ["serve"]

# How often the difference of the clocks is measured; the quickest answer is the most exact one.
MEASUREMENTS = 5
# Seconds from the end of the switchboard to the end of standard input, when a run ends.
RUN_ENDS_WITHIN = 2.0


def _measured(control: Control, expected: Expected) -> Clock:
    """Measure the clock of the main process's machine."""
    answers: list[tuple[int, Clock]] = []
    for _ in range(MEASUREMENTS):
        control.send(Measure(time.monotonic_ns()))
        answer = expected.next(Measured)
        now = time.monotonic_ns()
        answers.append((now - answer.asked, Clock.measured(answer.asked, answer.there, now)))
    return min(answers, key=lambda each: each[0])[1]


def serve() -> None:
    """Read the invitation from standard input, and serve the run until its end."""
    invitation = Invitation.read(STANDARD_INPUT)
    try:
        _serve(invitation)
    except Lost:
        pass


def _serve(invitation: Invitation) -> None:
    """Serve one run. Raises Lost at its end."""
    name = b"%d" % invitation.host
    mailbox: Mailbox[Any] = Mailbox()
    with ExitStack() as undo:
        undo.callback(mailbox.close)
        try:
            link = _linked(invitation, invitation.address, CONTROL)
        except (LinkError, OSError) as error:
            # The run may have ended before this program has started. That is no error.
            wait([], RUN_ENDS_WITHIN)
            place = "{} port {}".format(*invitation.address)
            sys.exit(f"chainpump: the machine of the main process, {place}, cannot be reached: {error}")
        control = Control(link, mailbox)
        undo.callback(control.close)
        ferry = Ferry(invitation.host, control)
        control.start(ferry)
        expected = Expected(mailbox)
        clock = _measured(control, expected)

        def accept(link: Link) -> None:
            """Use the link at once: the other machine expects signs of life, and the agent may be busy with a start."""
            ferry.add_link(int(link.name.removeprefix(DATA)), link)

        listening = socket.create_server((_own_address(invitation.address), 0))
        listener = Listener(
            listening,
            invitation.key,
            DATA + name,
            accept,
            on_failed=control.unlinked,
            lost_after=invitation.lost_after,
        )
        undo.callback(listener.close)
        control.send(Hello(listening.getsockname()[:2], os.getpid()))
        plan = expected.next(Plan)
        agent = Agent(plan, clock, control, mailbox, ferry)
        undo.callback(agent.close)
        agent.carry()
        for host, address in {0: invitation.address, **plan.addresses}.items():
            try:
                ferry.add_link(host, _linked(invitation, address, DATA))
            except (LinkError, OSError) as error:
                control.lost(host, f"cannot be reached from {plan.names[plan.host]}: {error}")
        control.send(Ready())
        for message in expected.others:
            agent.take(message)
        agent.run()


def _linked(invitation: Invitation, address: Address, kind: bytes) -> Link:
    """Make a link to another machine. Raises LinkError and OSError."""
    name = kind + b"%d" % invitation.host
    return connect(address, invitation.key, name, lost_after=invitation.lost_after)


def _own_address(there: Address) -> str:
    """The address of this machine from which it reaches the switchboard, and so the other machines."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # This sends nothing.
        probe.connect(there)
        address: str = probe.getsockname()[0]
    return address
