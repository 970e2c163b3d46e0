"""What the throughput experiment sends: eleven payloads, each a lazy stream of n items.

Pickle memoises an object that repeats within one message, which flatters whoever sends many items at once;
so the items of one message are distinct objects. Ints and dicts are made one by one; bytes and arrays come
from a ring made before the first item, because making them would cost more than sending them. Only tensors are copied
from it each time: torch.multiprocessing would move those of a ring into shared memory once and for all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle, islice
from random import Random
from typing import Any

# Items; more than the largest chunk (1000) and than a 64 KB frame holds.
RING_BYTES_100 = 4096
# Items; more than the largest chunk (16).
RING_BYTES_64K = 64
# Items; an array never shares a message.
RING_ARRAYS = 2


@dataclass(frozen=True, slots=True)
class Payload:
    """make: yields n items; size: bytes of one, pickled, at most; chunk: items per chunk for a pool.

    is_memory: it is a range of memory. needs: a module, of the package with its name, if no other is named.
    """

    name: str
    # Any: items are opaque to every system.
    make: Callable[[int], Iterator[Any]]
    size: int
    chunk: int = 1000
    is_memory: bool = False
    needs: str | None = None
    package: str | None = None

    def missing(self) -> str | None:
        """How to install what this payload needs, None if it is there."""
        return f"pip install {self.package or self.needs}" if self.needs and find_spec(self.needs) is None else None


def ints(n: int) -> Iterator[int]:
    """Distinct ints."""
    yield from range(n)


def dicts(n: int) -> Iterator[dict[str, object]]:
    """Dicts of three keys, about 70 bytes pickled alone."""
    for i in range(n):
        yield {"id": i, "name": "item", "value": i * 0.5}


@dataclass
class Record:
    """Three fields."""

    id: int
    name: str
    value: float


def tuples(n: int) -> Iterator[tuple[object, ...]]:
    """Tuples of three, as the values of the dicts."""
    for i in range(n):
        yield (i, "item", i * 0.5)


def records(n: int) -> Iterator[Record]:
    """Dataclasses of three fields, as the values of the dicts."""
    for i in range(n):
        yield Record(i, "item", i * 0.5)


def bytes_100(n: int) -> Iterator[bytes]:
    """Random bytes, 100 each."""
    return _random_bytes(n, 100, RING_BYTES_100)


def bytes_64k(n: int) -> Iterator[bytes]:
    """Random bytes, 65,536 each."""
    return _random_bytes(n, 65_536, RING_BYTES_64K)


def arrays_1m(n: int) -> Iterator[Any]:
    """float32 arrays, (262144,), 1 MiB each."""
    return _random_arrays(n, 262_144)


def arrays_40m(n: int) -> Iterator[Any]:
    """float32 arrays, (10000000,), 40 MB each."""
    return _random_arrays(n, 10_000_000)


def bytearrays_1m(n: int) -> Iterator[bytearray]:
    """Random bytearrays, 1 MiB each."""
    random = Random(0)
    return islice(cycle([bytearray(random.randbytes(1 << 20)) for _ in range(RING_ARRAYS)]), n)


def tensors_1m(n: int) -> Iterator[Any]:
    """float32 tensors, (262144,), 1 MiB each, in a dict."""
    # Any: an optional package.
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    ring = [torch.rand(262_144) for _ in range(RING_ARRAYS)]
    return ({"image": tensor.clone(), "label": 3} for tensor in islice(cycle(ring), n))


def images_1m(n: int) -> Iterator[Any]:
    """Pillow images, RGBA, 512 x 512, 1 MiB each."""
    # Any: an optional package.
    images: Any = import_module("PIL.Image")
    random = Random(0)
    ring = [images.frombytes("RGBA", (512, 512), random.randbytes(1 << 20)) for _ in range(RING_ARRAYS)]
    return islice(cycle(ring), n)


def _random_bytes(n: int, size: int, distinct: int) -> Iterator[bytes]:
    random = Random(0)
    return islice(cycle([random.randbytes(size) for _ in range(distinct)]), n)


def _random_arrays(n: int, length: int) -> Iterator[Any]:
    # Any: an optional package.
    numpy: Any = import_module("numpy")
    random = numpy.random.default_rng(0)
    return islice(cycle([random.random(length, dtype=numpy.float32) for _ in range(RING_ARRAYS)]), n)


PAYLOADS: dict[str, Payload] = {
    payload.name: payload
    for payload in (
        Payload("int", ints, 32),
        Payload("dict", dicts, 80),
        Payload("tuple", tuples, 60),
        Payload("record", records, 120),
        Payload("bytes100", bytes_100, 120),
        Payload("bytes64K", bytes_64k, 65_536, chunk=16),
        Payload("array1M", arrays_1m, 1_048_576, chunk=1, is_memory=True, needs="numpy"),
        Payload("bytearray1M", bytearrays_1m, 1_048_576, chunk=1, is_memory=True),
        Payload("tensor1M", tensors_1m, 1_048_576, chunk=1, needs="torch"),
        Payload("image1M", images_1m, 1_048_576, chunk=1, needs="PIL", package="pillow"),
        Payload("array40M", arrays_40m, 40_000_000, chunk=1, is_memory=True, needs="numpy"),
    )
}
