"""Flow decisions, as pure functions: how many items to a frame, how much shared memory to whom.

Sources of the figures: measurements of the transport on Linux 6.18, two cores, CPython 3.11; see docs/design.md.
"""

from __future__ import annotations

__all__ = [
    "FIRST_ITEMS",
    "FLUSH_BYTES",
    "FLUSH_NS",
    "FRAME_BYTES",
    "HELD_BYTES",
    "MAX_HINT",
    "MAX_WINDOW",
    "arena_cap",
    "consumer_share",
    "first_window",
    "has_room",
    "next_hint",
    "next_service_ns",
    "next_window",
    "slab_size",
]

# Bytes per frame; 16 to 191 KB differ within the noise.
FLUSH_BYTES = 65_536
# A frame waits at most this long for more items: bounds the latency of a lone one.
FLUSH_NS = 2_000_000
# A frame should keep its consumer busy for about 1 ms: small enough to balance.
TARGET_NS = 1_000_000
# Items per frame; above that a frame's fixed cost is lost in the noise.
MAX_HINT = 4096
# A hint grows at most by this factor at a time: one lucky frame must not unbalance the stage.
MAX_STEP = 4
# Bytes; small pools stay in the cache and are about 3x faster than large ones.
MIN_ARENA = 8 << 20
# On their way before any has arrived: a run of a few items waits for nothing.
FIRST_ITEMS = 64
# Items; enough for the largest frames of a dozen workers.
MAX_WINDOW = 65_536
# Bytes that may wait in one place: between threads, behind tasks, or for their turn.
HELD_BYTES = 64 << 20
# Bytes that the items of one frame keep alive, if there are several; at most a quarter more.
FRAME_BYTES = 524_288
# Bytes; a multiple of every page size.
MIN_SLAB = 65_536


def next_service_ns(average: float, elapsed_ns: int, items: int) -> float:
    """Fold one frame into the moving average of nanoseconds per item; 0 means that there is none yet.

    >>> next_service_ns(0.0, 1000, 10), next_service_ns(100.0, 3000, 10)
    (100.0, 200.0)
    """
    latest = elapsed_ns / items
    return latest if not average else (average + latest) / 2


def next_hint(hint: int, service_ns: float) -> int:
    """How many items to ask for in a frame: what takes about 1 ms, growing at most by a factor of 4 a step.

    >>> next_hint(1, 5e6), next_hint(1, 100.0), next_hint(4096, 100.0)
    (1, 4, 4096)
    """
    wanted = int(TARGET_NS / max(service_ns, 1.0))
    return max(1, min(hint * MAX_STEP, wanted, MAX_HINT))


def has_room(waiting: int, nbytes: int, least: int, most: int) -> bool:
    """Whether one more may wait in a place: up to 64 MB, however small they are; a few, however large they are.

    waiting: how many there are. least: so many may wait whatever they weigh. most: so many, and no more.

    >>> has_room(5, 0, 2, 8), has_room(8, 0, 2, 8), has_room(5, 1 << 30, 2, 8), has_room(1, 1 << 30, 2, 8)
    (True, False, False, True)
    """
    return waiting < least or (waiting < most and nbytes < HELD_BYTES)


def next_window(held: int, bytes_each: float, least: int) -> int:
    """How many items may be on their way to where their order is restored: as many as take 64 MB there.

    held: bytes that wait there. least: what keeps all workers busy on the way, however large the items are.

    >>> next_window(0, 100.0, 8), next_window(0, 100_000.0, 8), next_window(0, 1e9, 8), next_window(1 << 30, 100.0, 8)
    (65536, 671, 8, 8)
    """
    if held >= HELD_BYTES:
        return least
    return max(least, min(MAX_WINDOW, int(HELD_BYTES / max(bytes_each, 1.0))))


def first_window(arrived: int, least: int) -> int:
    """How many items may be on their way at first: 64, and two more for each one that has arrived.

    A producer knows how many items to put in a frame only once its consumers have dealt with some. All that it sends
    before that are small frames, and each costs as much as hundreds of small items.

    >>> first_window(0, 8), first_window(0, 100), first_window(1000, 8)
    (64, 100, 2064)
    """
    return max(least, FIRST_ITEMS) + 2 * arrived


def slab_size(size: int) -> int:
    """The size class of a slab: the next power of two. Pages that nobody touches cost nothing.

    >>> slab_size(1), slab_size(65_537), slab_size(40_000_000)
    (65536, 131072, 67108864)
    """
    return int(max(MIN_SLAB, 1 << (size - 1).bit_length()))


def arena_cap(largest: int, consumers: int) -> int:
    """Bytes of slabs a producer may have: 8 MB, or two of the largest in flight and two for each consumer to hold.

    Two, because the variable of a loop still holds the item before while the next one arrives.

    >>> arena_cap(1 << 20, 2) == 8 << 20, arena_cap(1 << 26, 2) == 6 << 26
    (True, True)
    """
    return max(MIN_ARENA, (2 + 2 * consumers) * largest)


def consumer_share(largest: int, consumers: int) -> int:
    """Bytes of one producer's slabs that each consumer may hold on to; two slabs are always left to move.

    >>> consumer_share(1 << 26, 2) == 2 << 26
    True
    """
    return (arena_cap(largest, consumers) - 2 * largest) // consumers
