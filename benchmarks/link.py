"""What a frame costs on a link between hosts: CPU of both sides together, over a localhost connection."""

import os
import socket
from collections.abc import Mapping
from statistics import median
from time import perf_counter, process_time

# What a case returns is JSON.
from typing import Any

from benchmarks import table
from benchmarks.experiment import Result, Settings

SIZES = {"64 KB": 64 << 10, "1 MB": 1 << 20, "16 MB": 16 << 20}
# Times the seconds of other runs: the bytes that a run moves.
BYTES = 2 << 30
# Frames of a small size: a run has no more of them.
MOST_FRAMES = 20_000
# Bytes. A packet that describes one slab with some buffers.
PACKET = bytes(120)
COLUMNS = ("frame", "bytes", "frames/s", "CPU/frame", "more", "per GB")
# A link: messages are encoded and decoded. Plain: the same bytes through the same calls of sockets.
KINDS = ("plain", "link")

# Run in the process of a case.


def run_link(kind: str, size: int, n: int) -> Mapping[str, Any]:
    """Seconds and CPU seconds of n frames from this process to a fork of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    out = socket.create_connection(listener.getsockname())
    into, _ = listener.accept()
    listener.close()
    out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    send, receive = {"plain": (_send_plain, _receive_plain), "link": (_send, _receive)}[kind]
    slab = memoryview(os.urandom(size))
    started, cpu = perf_counter(), process_time()
    receiver = os.fork()
    if not receiver:
        out.close()
        os._exit(receive(into, size, n) != slab)
    into.close()
    send(out, slab, n)
    out.close()
    _, status, used = os.wait4(receiver, 0)
    if status:
        raise RuntimeError("a frame was damaged or lost")
    return {"seconds": perf_counter() - started, "cpu": process_time() - cpu + used.ru_utime + used.ru_stime}


def _send(out: socket.socket, slab: memoryview, n: int) -> None:
    from chainpump.transport.link import Kind, LinkWriter, Message

    writer = LinkWriter()
    for number in range(n):
        writer.write(Message(Kind.FRAME, 0, number, (PACKET, slab)))
        while buffers := writer.buffers():
            writer.sent(out.sendmsg(buffers))


def _receive(into: socket.socket, size: int, n: int) -> memoryview:
    from chainpump.transport.link import MESSAGE_BYTES, LinkReader

    # The agent has slabs to receive into, which it uses again.
    memory = {len(PACKET): bytearray(len(PACKET)), size: bytearray(size)}
    reader = LinkReader(MESSAGE_BYTES, lambda _kind, _first, _second, sizes: [memory[size] for size in sizes])
    for number in range(n):
        while (message := reader.next()) is None:
            reader.received(into.recv_into(reader.buffer()))
        if message.second != number:
            raise RuntimeError(f"frame {message.second} came in place {number}")
    return memoryview(memory[size])


def _send_plain(out: socket.socket, slab: memoryview, n: int) -> None:
    for _ in range(n):
        sent = 0
        while sent < len(slab):
            sent += out.send(slab[sent:])


def _receive_plain(into: socket.socket, size: int, n: int) -> memoryview:
    view = memoryview(bytearray(size))
    for _ in range(n):
        got = 0
        while got < size:
            got += into.recv_into(view[got:])
    return view


# Run in the main process.


def run(settings: Settings) -> Result:
    """Run both kinds in turns, for each size."""
    rows, records = [], []
    for name, size in SIZES.items():
        n = max(2, round(min(MOST_FRAMES, BYTES / size) * settings.seconds))
        found: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in KINDS}
        for _ in range(settings.repeats):
            for kind, runs in found.items():
                runs.append(settings.case("link:run_link", kind=kind, size=size, n=n).value)
        plain = median(each["cpu"] for each in found["plain"]) / n
        for kind, runs in found.items():
            cpu = median(each["cpu"] for each in runs) / n
            rows.append((
                name,
                kind,
                table.rate(n / median(each["seconds"] for each in runs)),
                table.duration(cpu),
                "" if kind == "plain" else f"{cpu / plain - 1:+.0%}",
                table.duration(cpu / size * 1e9),
            ))  # fmt: skip
            records.append({"size": size, "kind": kind, "n": n, "runs": runs})
    notes = [
        "Two processes send and receive over TCP on localhost. CPU: of both, with that of the kernel.",
        "plain: the bytes alone, through the same calls; link: encoded, decoded, and received into their slab.",
        f"A frame has a packet of {len(PACKET)} bytes and one slab. Median of {settings.repeats} turns.",
    ]
    return Result(table.Table("link", COLUMNS, rows, notes), records)
