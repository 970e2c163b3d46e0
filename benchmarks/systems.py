"""The systems under measurement: source -> identity -> counting sink, one worker each.

A system is a function of a payload's name and n that returns how many items its sink has counted. What it
runs is importable, because workers may import it. Peers run in the fastest of the ways that were tried, under
`fork`; they are imported late, so that the others run without them.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

# Any: items are opaque, and the peers are optional and untyped.
from typing import Any, TypeVar

from benchmarks.payloads import PAYLOADS, ints

T = TypeVar("T")

# Items per junction for a peer; 8 to 1000 differ within the noise.
IN_FLIGHT_ITEMS = 64
# Bytes per junction, 2 items at least; 64 MB are half as fast with 1 MB arrays.
IN_FLIGHT_BYTES = 8 << 20
# Per queue of torch; each holds a descriptor, and 64 are no faster.
TENSORS_IN_FLIGHT = 8
# Bytes a message may take beside its payload.
MESSAGE_ROOM = 4096


@dataclass(frozen=True, slots=True)
class System:
    """run: payload name, n -> items counted; requirement: for pip, of a package with the system's name.

    only_memory: it takes only payloads that are a range of memory.
    """

    name: str
    run: Callable[[str, int], int]
    requirement: str | None = None
    only_memory: bool = False

    def missing(self) -> str | None:
        """How to install what this system needs, None if it is there."""
        if self.requirement is None or find_spec(self.name):
            return None
        return f"pip install {self.requirement}"


def make(payload: str, n: int) -> Iterator[Any]:
    """Yield n items of that payload."""
    return PAYLOADS[payload].make(n)


def identity(items: Iterable[Any]) -> Iterator[Any]:
    """Pass each item on."""
    for item in items:  # noqa: UP028  (as a stage does: `yield from` would delegate and cost less)
        yield item


def count(items: Iterable[Any]) -> int:
    """Count the items."""
    total = 0
    for _ in items:
        total += 1
    return total


def same(item: Any) -> Any:
    """Return the item: the element-wise form of identity."""
    return item


def run_plain(payload: str, n: int) -> int:
    """Nothing between the generators: the floor."""
    return count(identity(make(payload, n)))


def run_memcpy(payload: str, n: int) -> int:
    """One copy of each item to memory that is in use already, in one process: what each hop takes at least."""
    copy = memoryview(bytearray(PAYLOADS[payload].size))

    def copied(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            copy[:] = memoryview(item).cast("B")
            yield item

    return count(copied(make(payload, n)))


def run_chainpump(payload: str, n: int) -> int:
    """Three generator functions on three processes."""
    from chainpump import Pipeline, Processes, sink, source, stage

    pipeline = Pipeline(source(make, payload, n), on=Processes(1)).then(stage(identity), on=Processes(1))
    return pipeline.into(sink(count), on=Processes(1)).run().value


def run_into_count(work: Callable[[Iterable[int], T], Iterator[int]], argument: T, n: int, workers: int) -> None:
    """Send n ints through that stage of chainpump on so many workers. Raises if the sink counts fewer."""
    from chainpump import Pipeline, Processes, sink, source, stage

    working = Pipeline(source(ints, n), on=Processes(1)).then(stage(work, argument), on=Processes(workers))
    counted = working.into(sink(count), on=Processes(1)).run().value
    if counted != n:
        raise RuntimeError(f"chainpump lost items: sent {n}, counted {counted}")


def run_pool_1(payload: str, n: int) -> int:
    """One task per item; source and sink are in the main process."""
    return _run_pool(payload, n, chunk=1)


def run_pool_chunks(payload: str, n: int) -> int:
    """One task per chunk of the payload's size: 1000, or 16 for 64 KB, or 1 for arrays."""
    return _run_pool(payload, n, chunk=PAYLOADS[payload].chunk)


def _run_pool(payload: str, n: int, chunk: int) -> int:
    return map_in_pool_chunks(make(payload, n), chunk, workers=1)


def map_in_chainpump(items: Iterable[Any], _chunk: int, workers: int) -> int:
    """Iterated in the main process, in order, as it is by default."""
    from chainpump import Pipeline, Processes

    return count(Pipeline(items).map(same, on=Processes(workers)))


def map_generator_in_chainpump(items: Iterable[Any], chunk: int, workers: int) -> int:
    """The same from a generator, of which each item is taken as it is at its `yield`."""
    return map_in_chainpump((item for item in items), chunk, workers)


def map_in_pool_1(items: Iterable[Any], _chunk: int, workers: int) -> int:
    """One task per item."""
    return map_in_pool_chunks(items, 1, workers)


def map_in_pool_chunks(items: Iterable[Any], chunk: int, workers: int) -> int:
    """One task per chunk."""
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return count(pool.imap(same, items, chunksize=chunk))


def map_in_executor(items: Iterable[Any], chunk: int, workers: int) -> int:
    """One task per chunk; it takes all items before it gives the first result."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as executor:
        return count(executor.map(same, items, chunksize=chunk))


def run_pypeln(payload: str, n: int) -> int:
    """Its source and its stage in processes; the sink is the main process."""
    process = import_module("pypeln").process
    items = process.from_iterable(make(payload, n), use_thread=False, maxsize=IN_FLIGHT_ITEMS)
    return count(process.map(same, items, workers=1, maxsize=IN_FLIGHT_ITEMS))


def run_pipeline_lib(payload: str, n: int) -> int:
    """Generators in three processes, with its shared buffer: fixed room per message, read without a copy."""
    pipeline_lib = import_module("pipeline_lib")
    room = PAYLOADS[payload].size + MESSAGE_ROOM
    in_flight = max(2, min(IN_FLIGHT_ITEMS, IN_FLIGHT_BYTES // room))
    counted = multiprocessing.get_context("fork").RawValue("q", -1)
    junction = {"packets_in_flight": in_flight, "max_message_size": room, "shared_buffer": True}
    tasks = [
        pipeline_lib.PipelineTask(make, constants={"payload": payload, "n": n}, **junction),
        pipeline_lib.PipelineTask(identity, **junction),
        pipeline_lib.PipelineTask(_count_into, constants={"counted": counted}),
    ]
    # Its type check accepts Iterable results only, not Iterator.
    pipeline_lib.execute(tasks, "process-fork", type_check_pipeline=False)
    return int(counted.value)


def run_torch(payload: str, n: int) -> int:
    """Three processes with queues of torch.multiprocessing between them, which share the memory of tensors."""
    # Any: an optional package.
    context: Any = import_module("torch.multiprocessing").get_context("fork")
    queues = [context.Queue(TENSORS_IN_FLIGHT) for _ in range(2)]
    counted, done = context.RawValue("q", -1), context.Event()
    workers = [
        context.Process(target=_put, args=(lambda: make(payload, n), queues[0], done)),
        context.Process(target=_put, args=(lambda: identity(_taken(queues[0])), queues[1], done)),
        context.Process(target=lambda: _count_into(_taken(queues[1]), counted)),
    ]
    for worker in workers:
        worker.start()
    workers[-1].join()
    done.set()
    for worker in workers:
        worker.join()
    return int(counted.value)


def _put(items: Callable[[], Iterable[Any]], queue: Any, done: Any) -> None:
    for item in items():
        queue.put(item)
    queue.put(None)
    # Whoever takes a tensor asks its sender for the descriptor of its memory.
    done.wait()


def _taken(queue: Any) -> Iterator[Any]:
    while (item := queue.get()) is not None:
        yield item


def _count_into(items: Iterable[Any], counted: Any) -> None:
    counted.value = count(items)


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("plain", run_plain),
        System("memcpy", run_memcpy, only_memory=True),
        System("chainpump", run_chainpump, "-e ."),
        System("pool-1", run_pool_1),
        System("pool-1000", run_pool_chunks),
        System("pypeln", run_pypeln, "pypeln==0.4.9"),
        System("torch", run_torch, "torch"),
        System("pipeline_lib", run_pipeline_lib, "pipeline_lib==0.5.0"),
    )
}

# Name -> what sends items from the main process through `same`, in chunks of this size where it has some, to so many
# workers, and counts the results there.
MAPS: dict[str, Callable[[Iterable[Any], int, int], int]] = {
    "chainpump": map_in_chainpump,
    "chainpump-gen": map_generator_in_chainpump,
    "pool-1": map_in_pool_1,
    "pool-1000": map_in_pool_chunks,
    "executor-1000": map_in_executor,
}
