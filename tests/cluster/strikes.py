"""What may happen to the machines of a run: they and their workers are killed or frozen, at random."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.programs import agents, family, workers_of

__all__ = ["NAME", "OF_MACHINES", "STRIKES", "Victims", "striking"]

# In the environment of an agent: the name of its machine.
NAME = "CHAOS_MACHINE"
# Seconds. After the longest one, a frozen machine is lost.
FROZEN_FOR = (0.5, 8.0)


class Victims:
    """The machines of the run of this process, and what has been done to them.

    lost: names, in order. struck: how many of each kind. at: when the first one was lost.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lost: list[str] = []
        self.struck: Counter[str] = Counter()
        self.at: float | None = None
        self._frozen: dict[int, list[int]] = {}
        self._timers: list[threading.Timer] = []

    def choose(self, count: int = 1) -> list[tuple[int, str]]:
        """Some machines that live: agent and name. Fewer if there are not so many."""
        living = [(agent, name) for agent in agents() if agent not in self._frozen and (name := _name_of(agent))]
        return self.rng.sample(living, min(count, len(living)))

    def lose(self, agent: int, name: str, number: signal.Signals, pids: Sequence[int]) -> None:
        """Send a signal that the machine does not survive to all of these processes of it."""
        self.at = self.at or time.monotonic()
        self.lost.append(name)
        if number is signal.SIGSTOP:
            self._frozen[agent] = []
        for pid in pids:
            with suppress(ProcessLookupError):
                if number is signal.SIGSTOP:
                    self._frozen[agent].append(os.pidfd_open(pid))
                os.kill(pid, number)

    def resume_later(self, agent: int) -> None:
        """Let a frozen machine go on after a while."""
        timer = threading.Timer(self.rng.uniform(*FROZEN_FOR), self._resume, [agent])
        timer.start()
        self._timers.append(timer)

    def _resume(self, agent: int) -> None:
        for end in self._frozen[agent]:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(end, signal.SIGCONT)

    def close(self) -> None:
        """Let all go on that are frozen."""
        for timer in self._timers:
            timer.cancel()
            timer.join()
        for agent, ends in self._frozen.items():
            self._resume(agent)
            for end in ends:
                os.close(end)


def _name_of(agent: int) -> str | None:
    """The name of the machine of an agent. None if the program has not started, or has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for each in Path(f"/proc/{agent}/environ").read_bytes().split(b"\0"):
            if each.startswith(f"{NAME}=".encode()):
                return each.partition(b"=")[2].decode()
    return None


def kill_agents(victims: Victims, count: int = 1) -> int:
    """Kill agents alone. Their workers have to notice."""
    chosen = victims.choose(count)
    for agent, name in chosen:
        victims.lose(agent, name, signal.SIGKILL, [agent])
    return len(chosen)


def kill_machines(victims: Victims, count: int = 1) -> int:
    """Kill all processes of machines, in any order."""
    chosen = victims.choose(count)
    for agent, name in chosen:
        pids = family(agent)
        victims.rng.shuffle(pids)
        victims.lose(agent, name, signal.SIGKILL, pids)
    return len(chosen)


def kill_worker_and_agent(victims: Victims) -> int:
    """A worker dies just before its machine does."""
    chosen = victims.choose()
    for agent, name in chosen:
        victims.lose(agent, name, signal.SIGKILL, [*workers_of(agent)[:1], agent])
    return len(chosen)


def kill_worker(victims: Victims) -> int:
    """Kill one worker of a machine."""
    workers = [worker for agent, _ in victims.choose() for worker in workers_of(agent)]
    if not workers:
        return 0
    with suppress(ProcessLookupError):
        os.kill(victims.rng.choice(workers), signal.SIGKILL)
    return 1


def freeze(victims: Victims) -> int:
    """Freeze an agent, or all of a machine."""
    chosen = victims.choose()
    for agent, name in chosen:
        victims.lose(agent, name, signal.SIGSTOP, victims.rng.choice([[agent], family(agent)]))
    return len(chosen)


def freeze_for_a_while(victims: Victims) -> int:
    """Freeze a machine that goes on later, which may be too late."""
    chosen = victims.choose()
    for agent, name in chosen:
        victims.lose(agent, name, signal.SIGSTOP, family(agent))
        victims.resume_later(agent)
    return len(chosen)


Strike = Callable[[Victims], int]
# Name -> what it does, and how often it is chosen.
STRIKES: dict[str, tuple[Strike, int]] = {
    "agent killed": (kill_agents, 5),
    "machine killed": (kill_machines, 5),
    "two agents killed": (lambda victims: kill_agents(victims, 2), 2),
    "two machines killed": (lambda victims: kill_machines(victims, 2), 2),
    "worker and agent killed": (kill_worker_and_agent, 2),
    "worker killed": (kill_worker, 2),
    "machine frozen": (freeze, 1),
    "machine frozen for a while": (freeze_for_a_while, 1),
}
OF_MACHINES = [name for name in STRIKES if name != "worker killed"]


@contextmanager
def striking(strikes: Sequence[str], victims: Victims, may_end: threading.Event) -> Iterator[None]:
    """Strike while the block runs, at random moments. may_end: set just before the last strike."""
    over = threading.Event()

    def strike_all() -> None:
        for left, name in reversed(list(enumerate(strikes))):
            if not left:
                may_end.set()
            if over.wait(victims.rng.choice((0.05, 0.5, 2.0)) * victims.rng.random()):
                return
            victims.struck[name] += STRIKES[name][0](victims)

    thread = threading.Thread(target=strike_all)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        victims.close()
