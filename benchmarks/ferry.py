"""What a frame costs that crosses hosts: CPU of all processes together, beside a frame of a local channel.

A hop is a frame from one worker to another one, by channels and ferries alone. A run is a whole pipeline, with its
agents and the switchboard.
"""

import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from threading import Event, Lock
from time import perf_counter

# What a case returns is JSON.
from typing import Any

import numpy as np

from benchmarks import table
from benchmarks.experiment import Result, Settings

SIZES = {"64 KB": 64 << 10, "1 MB": 1 << 20, "16 MB": 16 << 20}
# Times the seconds of other runs: the bytes that a run moves.
BYTES = 1 << 30
# Frames of a small size: a run has no more of them.
MOST_FRAMES = 10_000
COLUMNS = ("frame", "way", "workers", "frames/s", "GB/s", "CPU/frame", "of local")
# Local: a producer and a consumer on one channel. Ferry: a producer and its ferry, a consumer and its ferry.
KINDS = ("local", "ferry")
# The same in a run: on processes of this machine, and on two agents.
PLACES = ("processes", "hosts")
# Of the stage that receives.
WORKERS = (1, 4)
# Frames of a run whose cost counts as that of the start.
FEW = 8
SENDS, RECEIVES = 1, 2

# Run in the process of a case.


def run_hop(kind: str, size: int, n: int) -> Mapping[str, Any]:
    """Seconds and CPU seconds of n frames from one process to another one."""
    # Before the start: the forked processes have imported it as well.
    import chainpump.cluster.ferry  # noqa: F401

    started, used = perf_counter(), _cpu_of_children()
    {"local": _local, "ferry": _ferried}[kind](np.frombuffer(os.urandom(size), "u1"), n)
    return {"seconds": perf_counter() - started, "cpu": _cpu_of_children() - used}


def _cpu_of_children() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _local(array: Any, n: int) -> None:
    from chainpump.transport.process_channel import PacketChannel

    channel = PacketChannel(1, 1, None)
    sender, receiver = channel.sender(0), channel.receiver()
    children = [_forked(_send, sender, array, n), _forked(_receive, receiver, array, n)]
    sender.close()
    receiver.close()
    channel.started()
    _join(children)
    channel.close()


def _ferried(array: Any, n: int) -> None:
    control, data = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    _join([_forked(host, None, control, data, array, n) for host in (_sending_host, _receiving_host)])


def _forked(function: Callable[..., None], end: Any, *args: Any) -> int:
    """Run a function in a forked process, which gets this end of a channel, if any."""
    from chainpump.ipc.descriptors import kept_by_fork

    with kept_by_fork(() if end is None else end.descriptors):
        child = os.fork()
    if not child:
        status = 1
        try:
            function(*(() if end is None else (end,)), *args)
            status = 0
        finally:
            os._exit(status)
    return child


def _join(children: list[int]) -> None:
    if any([os.waitpid(child, 0)[1] for child in children]):  # noqa: C419 - wait for all of them
        raise RuntimeError("a frame was damaged or lost")


def _send(sender: Any, array: Any, n: int) -> None:
    from chainpump.transport.frames import Span

    sender.open()
    for number in range(n):
        sender.send([array], False, Span(number, number + 1), None)
    sender.close()


def _receive(receiver: Any, array: Any, n: int) -> None:
    receiver.open()
    frame = None
    for number in range(n):
        frame = receiver.receive(wait=True)
        if frame is None or frame.span.start != number:
            raise RuntimeError(f"no frame {number}")
    if frame is None or not np.array_equal(frame.entries[0], array) or receiver.receive(wait=True) is not None:
        raise RuntimeError("the last frame is damaged")


class _Pairing:
    """Pairs the two hosts. It is in the process of the host that sends, which is asked for frames on a link."""

    def __init__(self) -> None:
        self.ferry: Any = None
        self.asking: Any = None
        # The lock guards both numbers.
        self._lock = Lock()
        self._has = self._wanted = 0

    def has(self, junction: int, n: int) -> None:
        self._pair(junction, n, 0)

    def wants(self, junction: int, n: int) -> None:
        from chainpump.transport.link import Kind

        self.asking.send(Kind.CONTROL, n)

    def asked(self, message: Any) -> None:
        self._pair(0, 0, message.first)

    def _pair(self, junction: int, has: int, wanted: int) -> None:
        with self._lock:
            self._has += has
            self._wanted += wanted
            while self._has and self._wanted:
                self._has -= 1
                self._wanted -= 1
                self.ferry.granted(junction, RECEIVES)

    def parted(self, junction: int, dead: int, again: int, arrived: int) -> None:
        raise RuntimeError(f"host {dead} was replaced")

    def full(self, junction: int, is_full: bool) -> None:
        raise RuntimeError(f"junction {junction} is full")

    def lost(self, host: int, reason: str) -> None:
        raise RuntimeError(f"host {host} {reason}")

    def failed(self, junction: int, reason: str) -> None:
        raise RuntimeError(f"junction {junction}: {reason}")


def _sending_host(control: socket.socket, data: socket.socket, array: Any, n: int) -> None:
    from chainpump.cluster.ferry import Ferry
    from chainpump.cluster.links import accepted
    from chainpump.cluster.route import Route
    from chainpump.transport.process_channel import PacketChannel

    channel = PacketChannel(1, 1, None)
    sender = channel.sender(0)
    child = _forked(_send, sender, array, n)
    sender.close()
    pairing = _Pairing()
    pairing.ferry = ferry = Ferry(SENDS, pairing)
    asking = accepted(control.accept()[0], bytes(32), b"sends")
    ferry.add_link(RECEIVES, accepted(data.accept()[0], bytes(32), b"sends"))
    ferry.carry(Route(0, channel, None, 0, [SENDS], [RECEIVES], bytes, lambda *_: None))
    over = Event()
    asking.start(lambda message: pairing.asked(message) if message.first else over.set(), print)
    channel.started()
    _join([child])
    over.wait()
    ferry.close()
    asking.close()


def _receiving_host(control: socket.socket, data: socket.socket, array: Any, n: int) -> None:
    from chainpump.cluster.ferry import Ferry
    from chainpump.cluster.links import connect
    from chainpump.cluster.route import Route
    from chainpump.transport.link import Kind
    from chainpump.transport.process_channel import PacketChannel

    channel = PacketChannel(1, 1, None, counts_taken=True)
    receiver = channel.receiver()
    child = _forked(_receive, receiver, array, n)
    receiver.close()
    pairing = _Pairing()
    pairing.asking = connect(control.getsockname(), bytes(32), b"receives")
    pairing.asking.start(print, print)
    ferry = Ferry(RECEIVES, pairing)
    ferry.add_link(SENDS, connect(data.getsockname(), bytes(32), b"receives"))
    ferry.carry(Route(0, None, channel, 1, [SENDS], [RECEIVES], bytes, lambda *_: None))
    _join([child])
    # The host that sends may end as well.
    pairing.asking.send(Kind.CONTROL, 0)
    ferry.close()
    pairing.asking.close()


def run_pipeline(place: str, size: int, n: int, workers: int) -> int:
    """Send n frames through a whole run, and return how many have come."""
    from chainpump import Hosts, Pipeline, Processes, sink, source

    if place == "processes":
        sends, receives = Processes(1), Processes(workers)
    else:
        command = f"env CHAINPUMP_BENCHMARK={{host}} {shlex.quote(sys.executable)}"
        sends = Hosts(["sends"], command=command, address="127.0.0.1")
        receives = Hosts(["receives"], workers=workers, command=command, address="127.0.0.1")
    value = Pipeline(source(_arrays, size, n), on=sends).into(sink(_counted), on=receives).run().value
    return sum(value) if isinstance(value, list) else value


def _arrays(size: int, n: int) -> Iterator[np.ndarray]:
    array = np.frombuffer(os.urandom(size), "u1")
    for _ in range(n):
        yield array


def _counted(arrays: Iterable[np.ndarray]) -> int:
    return sum(1 for _ in arrays)


# Run in the main process.


def run(settings: Settings) -> Result:
    """Run the ways in turns, for each size."""
    rows, records = [], []
    for name, size in SIZES.items():
        n = max(3 * FEW, round(min(MOST_FRAMES, BYTES / size) * settings.seconds))
        found: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in KINDS}
        for _ in range(settings.repeats):
            for kind, runs in found.items():
                runs.append(settings.case("ferry:run_hop", kind=kind, size=size, n=n).value)
        local = median(each["cpu"] for each in found["local"]) / n
        for kind, runs in found.items():
            cpu = median(each["cpu"] for each in runs) / n
            rate = n / median(each["seconds"] for each in runs)
            rows.append((
                name, kind, "1", table.rate(rate), f"{rate * size / 1e9:.2f}", table.duration(cpu),
                f"{cpu / local:.1f}x",
            ))  # fmt: skip
            records.append({"size": size, "kind": kind, "n": n, "runs": runs})
        for workers in WORKERS:
            costs = _costs_of_runs(settings, size, n, workers)
            for place, cpus in costs.items():
                cpu, local = median(cpus), median(costs[PLACES[0]])
                rows.append((name, place, str(workers), "", "", table.duration(cpu), f"{cpu / local:.1f}x"))
                records.append({"size": size, "kind": place, "workers": workers, "n": n, "cpu": cpus})
    notes = [
        "local: a producer and a consumer; ferry: the same and the ferries of two hosts, linked by TCP on localhost.",
        "processes, hosts: a run of a source and a sink on this machine, and on two agents; start-up is subtracted.",
        "A frame is one array. CPU: of all processes, with that of the kernel, and for local and ferry with the start.",
        f"local and ferry are without the process that pairs hosts. Median of {settings.repeats} turns.",
    ]
    return Result(table.Table("ferry", COLUMNS, rows, notes), records)


def _costs_of_runs(settings: Settings, size: int, n: int, workers: int) -> Mapping[str, list[float]]:
    """CPU seconds per frame of each run, by place, without those of a run of a few frames."""
    costs: dict[str, list[float]] = {place: [] for place in PLACES}
    for _ in range(settings.repeats):
        for place, cpus in costs.items():
            start, whole = (
                settings.case("ferry:run_pipeline", place=place, size=size, n=frames, workers=workers)
                for frames in (FEW, n)
            )
            if (start.value, whole.value) != (FEW, n):
                raise RuntimeError(f"{whole.value} of {n} frames have come")
            cpus.append((whole.cpu - start.cpu) / (n - FEW))
    return costs
