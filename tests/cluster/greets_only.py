"""A program in place of an agent: it joins the run, greets, and then does nothing that an agent would do."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from chainpump.cluster.agent_control import STANDARD_INPUT, Invitation
from chainpump.cluster.links import connect
from chainpump.cluster.messages import CONTROL, Hello, pack
from chainpump.transport.link import Kind

if __name__ == "__main__":
    invitation = Invitation.read(STANDARD_INPUT)
    link = connect(invitation.address, invitation.key, CONTROL + b"%d" % invitation.host)
    answered = threading.Event()
    link.start(lambda _: answered.set(), lambda _: None)
    link.send(Kind.CONTROL, 0, pack(Hello(("127.0.0.1", 9), os.getpid())))
    # The switchboard has taken the greeting: this is the plan.
    answered.wait()
    Path(sys.argv[1]).write_text("has its plan")
    os.read(STANDARD_INPUT, 1)
