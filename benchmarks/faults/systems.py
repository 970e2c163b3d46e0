"""How each system runs a source and a function on two workers: in the plainest way, with its own defaults."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module

# Items are opaque, and the peers are optional and untyped.
from typing import Any

from benchmarks.faults.wrongs import WRONGS, Wrong

WORKERS = 2

Consume = Callable[[Iterable[Any]], None]


def run_chainpump(wrong: Wrong, consume: Consume) -> None:
    """The loop is in the main process."""
    from chainpump import Pipeline, Processes

    consume(Pipeline(wrong.items()).map(wrong.work, on=Processes(WORKERS)))


def run_facade_of_pypeln(wrong: Wrong, consume: Consume) -> None:
    """The program of pypeln, with another import."""
    process = import_module("chainpump.compat.pypeln").process
    consume(process.map(wrong.work, wrong.items(), workers=WORKERS))


def run_pypeln(wrong: Wrong, consume: Consume) -> None:
    """The loop is in the main process."""
    process = import_module("pypeln").process
    consume(process.map(wrong.work, wrong.items(), workers=WORKERS))


def run_pipeline_lib(wrong: Wrong, consume: Consume, library: str = "pipeline_lib") -> None:
    """The source and the loop are in processes of their own; its type check accepts Iterable results only."""
    pipeline_lib = import_module(library)
    # The least that it takes for so many workers.
    room = {"packets_in_flight": WORKERS}
    tasks = [
        pipeline_lib.PipelineTask(wrong.items, **room),
        pipeline_lib.PipelineTask(refine_all, constants={"place": WRONGS.index(wrong)}, num_workers=WORKERS, **room),
        pipeline_lib.PipelineTask(consume),
    ]
    pipeline_lib.execute(tasks, "process-fork", type_check_pipeline=False)


def refine_all(items: Iterable[Any], place: int) -> Iterator[Any]:
    """The function as a stage of pipeline_lib, which has no element-wise ones."""
    yield from map(WRONGS[place].work, items)


def run_pool(wrong: Wrong, consume: Consume) -> None:
    """The block ends the pool."""
    with multiprocessing.Pool(WORKERS) as pool:
        consume(pool.imap(wrong.work, wrong.items()))


def run_executor(wrong: Wrong, consume: Consume) -> None:
    """It takes all items before it gives the first result."""
    with ProcessPoolExecutor(WORKERS) as executor:
        consume(executor.map(wrong.work, wrong.items()))


SYSTEMS: dict[str, Callable[[Wrong, Consume], None]] = {
    "chainpump": run_chainpump,
    "chainpump.compat.pypeln": run_facade_of_pypeln,
    "pypeln": run_pypeln,
    "pipeline_lib": run_pipeline_lib,
    "compat.pipeline_lib": partial(run_pipeline_lib, library="chainpump.compat.pipeline_lib"),
    "Pool": run_pool,
    "ProcessPoolExecutor": run_executor,
}
