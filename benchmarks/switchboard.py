"""What one switchboard feeds: its CPU for each item of a whole run on hosts of this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
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
# The source is on another host, or in the main process: then its frames pass through the switchboard.
SOURCES = ("host", "main")
COLUMNS = ("item", "source on", "items/s", "CPU/item", "at most", "GB/s")
# The fields of /proc/PID/stat behind the name of the program, from 0: CPU time in user mode, and in the kernel.
USER, KERNEL = 11, 12


# Run in the process of a case.


def arrays(size: int, n: int) -> Iterator["np.ndarray[Any, Any]"]:
    """Arrays, each of which is a frame."""
    array = np.frombuffer(os.urandom(size), "u1")
    for _ in range(n):
        yield array


def length(array: "np.ndarray[Any, Any]") -> int:
    """Small: what the main process gets."""
    return len(array)


def run_frames(source: str, size: int, n: int) -> Mapping[str, Any]:
    """Seconds and CPU seconds of the switchboard for the frames between the first and the last tenth of a run."""
    import chainpump

    elsewhere = chainpump.Hosts(["localhost", "localhost"], workers=2)
    on = chainpump.Hosts(["localhost"]) if source == "host" else chainpump.Processes()
    pipeline = chainpump.Pipeline(chainpump.source(arrays, size, n), on=on).map(length, on=elsewhere)
    begin, end, marks = n // 10, n - n // 10, []
    with pipeline.open() as run:
        for number, _ in enumerate(run):
            if number in (begin, end):
                marks.append((perf_counter(), _cpu_of_switchboard()))
    (began, cpu_before), (ended, cpu_after) = marks
    return {"seconds": ended - began, "cpu": cpu_after - cpu_before, "n": end - begin}


def _cpu_of_switchboard() -> float:
    for task in Path("/proc/self/task").iterdir():
        # A thread or a child that was listed may have ended.
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in (task / "children").read_text().split():
                if b"switchboard_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    fields = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()
                    return (int(fields[USER]) + int(fields[KERNEL])) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError("there is no switchboard")


# Run in the main process.


def run(settings: Settings) -> Result:
    """A table with a line for each size of a frame and place of the source."""
    rows, records = [], []
    for name, size in SIZES.items():
        n = max(20, min(MOST_FRAMES, int(settings.seconds * BYTES / size)))
        for source in SOURCES:
            runs = [
                settings.case("switchboard:run_frames", source=source, size=size, n=n).value
                for _ in range(settings.repeats)
            ]
            cpu = median(each["cpu"] / each["n"] for each in runs)
            rate = median(each["n"] / each["seconds"] for each in runs)
            most = 1 / cpu if cpu else 0.0
            rows.append((
                name, source, table.rate(rate), table.duration(cpu), table.rate(most), f"{most * size / 1e9:.1f}",
            ))  # fmt: skip
            records.append({"size": size, "source": source, "runs": runs})
    notes = [
        "An array is a frame; two hosts receive them; all of it is on this machine, and the results are small.",
        "CPU: of the switchboard, with that of the kernel, of 50 looks at the board a second and of the results.",
        "At most: what one processor of it could feed.",
        f"Between the first and the last tenth of each run. Median of {settings.repeats} turns.",
    ]
    return Result(table.Table("switchboard", COLUMNS, rows, notes), records)
