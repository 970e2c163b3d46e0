"""pypeln on chainpump: `from chainpump.compat import pypeln as pl`. See docs/from_pypeln.md.

* `async_calls`: functions that may be async or plain, in the event loop of the caller
* `async_iteration`: stages of tasks, which can be awaited
* `async_operators`: the public functions of the module `task`
* `async_queue`: a queue of an event loop, as the source of a stage
* `async_works`: what a stage of tasks does
* `calls`: functions of one item, with what is injected into them by the names of their parameters
* `deadlines`: a limit on the time of a call in a thread
* `elements`: a value with its index
* `graph`: the pipeline of a stage and of all stages before it
* `iteration`: stages that can be iterated
* `loops`: coroutines of a program without an event loop
* `making`: how the functions of a module make stages
* `namespaces`: attributes that threads, or processes, share
* `operators`: the public functions of the modules `process`, `thread` and `sync`
* `process`: stages on processes
* `process_queue`: a queue that other processes can fill
* `queue_server`: a queue of one process, for other processes
* `queues`: queues that are the source of a stage while a program fills them
* `reading`: an iterable as the source of a pipeline
* `stages`: stages as values, and partial applications of the functions that make them
* `sync`: stages in the calling thread
* `task`: stages on asyncio tasks
* `thread`: stages on threads
* `utils`: names that programs use in type hints
* `works`: what a stage does, and the step of a pipeline that it becomes
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .elements import Element
from .stages import BaseStage

if TYPE_CHECKING:
    from . import process, sync, task, thread, utils

__all__ = ["BaseStage", "Element", "process", "sync", "task", "thread", "utils"]

# The version of pypeln whose interface this is.
__version__ = "0.4.9"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # A worker that is spawned needs the code of its calls only.
    if name in ("process", "sync", "task", "thread", "utils"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
