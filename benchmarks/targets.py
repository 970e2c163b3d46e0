"""What is wanted of chainpump, and its target figures. Source: the design measurements.

Ratios hold within one run on one machine. The target figures are absolute ones of the machine of the design
measurements (two shared cores, Linux 6.18, Python 3.11.7): elsewhere they are a scale, not a bar.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """rate: items/s; cpu: seconds per item, user + system time of all processes."""

    rate: float
    cpu: float


# (payload, peer) -> how many times the peer's rate chainpump's generator stages are to reach, at least.
WANTED_RATIOS: dict[tuple[str, str], float] = {
    ("int", "pypeln"): 20,
    ("int", "pool-1000"): 0.4,
    ("dict", "pypeln"): 20,
    ("dict", "pipeline_lib"): 5,
    ("array1M", "pypeln"): 5,
}

# Payload -> how many times the rate of the best pool `map` is to reach, at least, results iterated in the main process.
WANTED_MAP_RATES: dict[str, float] = {"int": 1, "bytes100": 1, "dict": 1, "array1M": 3}
# Payload -> how many times the CPU per item of `Pool.imap` with chunks `map` may take, at most.
WANTED_MAP_CPU: dict[str, float] = {"int": 1, "bytes100": 1, "dict": 1}

# Original -> how many times its rate the facade is to reach, at least, and of its CPU per item, at most.
WANTED_COMPAT_RATES: dict[str, float] = {"pipeline_lib": 3, "pypeln": 10}
WANTED_COMPAT_CPU = 0.5

# One worker, three processes, generator stages (for dicts: pickled at the yield).
TARGETS: dict[str, Target] = {
    "int": Target(1.5e6, 0.6e-6),
    "dict": Target(300e3, 4e-6),
    "bytes100": Target(1.2e6, 0.8e-6),
    "bytes64K": Target(20e3, 60e-6),
    "array1M": Target(5e3, 0.25e-3),
    "array40M": Target(70, 12e-3),
}

# Times as fast with 2 workers as with 1, on 2 cores, 5 ms of pure Python per item.
WANTED_SPEEDUP = 1.85
# Times the ideal time, at most, for 400 items of 5 ms over 4 workers.
WANTED_BALANCE = 1.15
WANTED_OF_BEST = (
    # Times the rate of the best split of workers by hand, at least, where they are given by measuring.
    0.95
)
WANTED_OF_RECYCLED = (
    # Times the rate without a leak and without recycling, at least, with a leak of 1 MB an item and recycled workers.
    0.9
)
# Seconds over two hops, at most, for an item that comes alone.
WANTED_LONE_P50 = 0.3e-3

# Seconds between items -> p10, p50, p99, in seconds, of the design's model over two hops (flush after 2 ms).
MODEL_LATENCY: dict[float, tuple[float, float, float]] = {
    10e-3: (1.1e-3, 2.7e-3, 4.2e-3),
    1e-3: (0.9e-3, 1.9e-3, 4.6e-3),
}

# Seconds, at most, with the order kept where one item is slow: that item's own, and so many times what all takes in any
# order without it.
WANTED_ORDER = 1.1

# Times the rate of a run that nobody watches, at least.
WANTED_WATCHED = 0.99

# Items -> times the rate of a run without a journal, at least.
WANTED_DURABLE: dict[str, float] = {"64 KB": 0.97, "1 ms": 0.97}

# Seconds to check a pipeline of 10 stages.
WANTED_BUILD = 2e-3

# A run that is not the first of its process, of the time that the faster of the pools of the standard library takes.
WANTED_START = 1.5
