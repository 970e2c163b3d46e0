"""Decisions about flow, as pure functions: the number of items in a frame, and the amount of shared memory.

Sources of the figures: measurements of the transport on Linux 6.18, two cores, CPython 3.11; see docs/design.md.
"""

from __future__ import annotations

__all__ = [
    "FIRST_ITEMS",
    "FLUSH_BYTES",
    "FLUSH_NS",
    "FRAME_BYTES",
    "HELD_BYTES",
    "LONE_NS",
    "MAX_HINT",
    "MAX_WINDOW",
    "arena_cap",
    "consumer_share",
    "first_window",
    "flush_bytes",
    "gathering_seconds",
    "has_room",
    "next_hint",
    "next_service_ns",
    "next_window",
    "slab_size",
]

# Bytes per frame. In measurements, 16 to 191 KB differ only within the noise.
FLUSH_BYTES = 65_536
# Bytes. A limit below this is looked for in each item: see `flush_bytes`.
LEAST_CHECKED = 4096
# A frame waits at most this long for more items. This bounds the latency of a single item.
FLUSH_NS = 2_000_000
# An item leaves at once if no frame has left for so long: a frame takes its sender about a tenth of this time.
LONE_NS = 500_000
# The work that a frame gives its consumer: about 1 ms, which is small enough to balance the load.
TARGET_NS = 1_000_000
# Items. With fewer of them in flight, the pause would take longer than sending them one by one.
LEAST_TOGETHER = 32
# A longer pause would be noticed.
MOST_GATHER_NS = 500_000
# Items per frame. Above this number, the fixed cost of a frame does not matter.
MAX_HINT = 4096
# A hint grows at most by this factor in one step: a single fast frame must not unbalance the stage.
MAX_STEP = 4
# Bytes. Small pools stay in the CPU cache and are about 3 times faster than large ones.
MIN_ARENA = 8 << 20
# Items that may be on their way before the first one arrives: a run of few items never waits.
FIRST_ITEMS = 64
# Items. This is enough for the largest frames of a dozen workers.
MAX_WINDOW = 65_536
# Bytes that may wait in one queue: between threads, behind tasks, or in a reorder buffer.
HELD_BYTES = 64 << 20
# Bytes that the items of one frame keep alive, if the frame has several items. A frame may exceed it by a quarter.
FRAME_BYTES = 524_288
# Bytes. This is a multiple of every page size.
MIN_SLAB = 65_536


def flush_bytes(most: int | None) -> int:
    """The bytes of items that fill a frame. most: of each item; None for no limit.

    A frame within the limit shows that all of its items are. Where this would take frames of few items, these would
    cost more than to measure each item, which takes about 0.5 us.

    >>> flush_bytes(None), flush_bytes(1 << 20), flush_bytes(10_000), flush_bytes(1000)
    (65536, 65536, 5000, 65536)
    """
    return FLUSH_BYTES if most is None or most < LEAST_CHECKED else min(FLUSH_BYTES, most // 2)


def next_service_ns(average: float, elapsed_ns: int, items: int) -> float:
    """Add one frame to the moving average of nanoseconds per item. 0 means that there is no average yet.

    >>> next_service_ns(0.0, 1000, 10), next_service_ns(100.0, 3000, 10)
    (100.0, 200.0)
    """
    latest = elapsed_ns / items
    return latest if not average else (average + latest) / 2


def gathering_seconds(credits: int, hint: int) -> float:
    """How long to wait for further credits when one is free: until the consumer may have returned half of them.

    credits: how many there are. hint: how many items take the consumer 1 ms.
    """
    pause_ns = credits // 2 * TARGET_NS / (hint or 1)
    return pause_ns / 1e9 if credits >= LEAST_TOGETHER and pause_ns <= MOST_GATHER_NS else 0.0


def next_hint(hint: int, service_ns: float) -> int:
    """The number of items to request for a frame: about 1 ms of work. It grows at most by a factor of 4 in one step.

    >>> next_hint(1, 5e6), next_hint(1, 100.0), next_hint(4096, 100.0)
    (1, 4, 4096)
    """
    wanted = int(TARGET_NS / max(service_ns, 1.0))
    return max(1, min(hint * MAX_STEP, wanted, MAX_HINT))


def has_room(waiting: int, nbytes: int, least: int, most: int) -> bool:
    """Whether a queue has room for one more entry. 64 MB may wait, and always a few entries of any size.

    waiting: the current number of entries. least: this many may always wait. most: the upper bound of their number.

    >>> has_room(5, 0, 2, 8), has_room(8, 0, 2, 8), has_room(5, 1 << 30, 2, 8), has_room(1, 1 << 30, 2, 8)
    (True, False, False, True)
    """
    return waiting < least or (waiting < most and nbytes < HELD_BYTES)


def next_window(held: int, bytes_each: float, least: int) -> int:
    """The number of items that may be on their way to a reorder buffer: as many as take 64 MB there.

    held: bytes that wait in the buffer. least: the number of items that keeps all workers busy, for items of any size.

    >>> next_window(0, 100.0, 8), next_window(0, 100_000.0, 8), next_window(0, 1e9, 8), next_window(1 << 30, 100.0, 8)
    (65536, 671, 8, 8)
    """
    if held >= HELD_BYTES:
        return least
    return max(least, min(MAX_WINDOW, int(HELD_BYTES / max(bytes_each, 1.0))))


def first_window(arrived: int, least: int) -> int:
    """The number of items that may be on their way at first: 64, plus 2 for each item that has arrived.

    A producer learns the best size of a frame only after its consumers have processed some items. Until then it sends
    small frames, and each of them costs as much as hundreds of small items.

    >>> first_window(0, 8), first_window(0, 100), first_window(1000, 8)
    (64, 100, 2064)
    """
    return max(least, FIRST_ITEMS) + 2 * arrived


def slab_size(size: int) -> int:
    """The size class of a slab: the next power of two. Pages that are never written use no memory.

    >>> slab_size(1), slab_size(65_537), slab_size(40_000_000)
    (65536, 131072, 67108864)
    """
    return int(max(MIN_SLAB, 1 << (size - 1).bit_length()))


def arena_cap(largest: int, consumers: int, in_flight: int = 0) -> int:
    """The bytes of slabs that a producer may have: 8 MB, or two of the largest in flight and two for each consumer.

    Each consumer needs two because the variable of its loop keeps the previous item while the next one arrives.
    in_flight: how many items may be on their way, if this is limited. Slabs for all of them, up to 64 MB, let the
    producer use its credits: otherwise it would wait for each single slab.

    >>> arena_cap(1 << 20, 2) == 8 << 20, arena_cap(1 << 26, 2) == 6 << 26, arena_cap(1 << 21, 1, 7) == 8 << 21
    (True, True, True)
    """
    credited = min((in_flight + consumers) * largest, HELD_BYTES) if in_flight else 0
    return max(MIN_ARENA, (2 + 2 * consumers) * largest, credited)


def consumer_share(largest: int, consumers: int, in_flight: int = 0) -> int:
    """The bytes of one producer's slabs that each consumer may keep. Two slabs always remain for new items.

    >>> consumer_share(1 << 26, 2) == 2 << 26
    True
    """
    return (arena_cap(largest, consumers, in_flight) - 2 * largest) // consumers
