"""Sources, stages and sinks that behave badly on purpose. Workers import them from here."""

from __future__ import annotations

import atexit
import ctypes
import errno
import faulthandler
import gc
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

# Other names of it only where they are used: most workers need none of them, and what they import takes long.
import chainpump
from chainpump import Cancelled, Processes, RunError
from chainpump.transport.pipe_wire import RecordIn, RecordOut
from chainpump.transport.socket_wire import PacketIn, PacketOut
from chainpump.transport.wire import PACKET_BYTES
from faults.executors import on
from support.gate import Gate, Journal

T = TypeVar("T")

# Tests say `stages.count`.
__all__: list[str] = []

# Characters; three times what a pipe holds.
LONG = 200_000


# ----------------------------------------------------------------------------------------------- well behaved


def count(n: int) -> Iterator[int]:
    """0 to n - 1."""
    yield from range(n)


def count_for_ever() -> Iterator[int]:
    """More than any test takes."""
    yield from range(1 << 60)


def same(items: Iterable[T]) -> Iterator[T]:
    """What comes, as it is."""
    yield from items


def collect(items: Iterable[T]) -> list[T]:
    """All items."""
    return list(items)


def tally(items: Iterable[Any]) -> int:
    """How many items came."""
    return sum(1 for _ in items)


def arrays(n: int, size: int = 1 << 20) -> Iterator[Any]:
    """n arrays of `size` bytes, each filled with its number."""
    # Most workers need none of it, and each would pay for it.
    import numpy as np

    for number in range(n):
        yield np.full(size, number % 251, np.uint8)


def announced(gate: Gate, n: int) -> Iterator[int]:
    """0 to n - 1, by a worker that has said who it is."""
    gate.announce()
    yield from range(n)


def announced_arrays(gate: Gate, n: int, size: int = 1 << 20) -> Iterator[Any]:
    """The same of arrays."""
    gate.announce()
    yield from arrays(n, size)


def terminated_at(place: int) -> Iterator[int]:
    """0, 1, ... by a process that gets SIGTERM behind the item in this place."""
    for number in count_for_ever():
        if number == place:
            os.kill(os.getpid(), signal.SIGTERM)
        yield number


def held_at(items: Iterable[T], gate: Gate, place: int) -> Iterator[T]:
    """What comes, holding at the item in one place."""
    yield from gate.hold_at(items, place)


def held_at_noting(items: Iterable[T], gate: Gate, place: int, journal: Journal) -> Iterator[T]:
    """The same; says how it ended."""
    yield from noting(gate.hold_at(items, place), journal, "stage")


def held(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """What comes, holding at each item."""
    yield from gate.hold_each(items)


def held_last(items: Iterable[int], gate: Gate, last: int) -> Iterator[int]:
    """What comes, holding at one value."""
    for item in items:
        yield gate.hold(item) if item == last else item


def held_source(gate: Gate) -> Iterator[int]:
    """Held before its first item."""
    gate.hold(None)
    yield 0


def say_and_hold(items: Iterable[T], inside: threading.Event, gate: Gate) -> Iterator[T]:
    """Held at each item; tells a thread of the same process."""
    for item in items:
        inside.set()
        yield gate.hold(item)


def announcing(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """What comes, by a worker that has said who it is."""
    gate.announce()
    yield from items


def announcing_tally(items: Iterable[Any], gate: Gate) -> int:
    """How many items came, by a worker that has said who it is."""
    return tally(announcing(items, gate))


def pair_up(items: Iterable[T]) -> Iterator[T]:
    """Take two, then give two: holds items across calls."""
    held: list[T] = []
    for item in items:
        held.append(item)
        if len(held) == 2:
            yield from held
            held.clear()
    yield from held


def making(n: int, journal: Journal) -> Iterator[int]:
    """0 to n - 1; says when it makes each."""
    yield from making_from(range(n), journal)


def making_from(items: Iterable[int], journal: Journal) -> Iterator[int]:
    """What comes; says when it is asked for each."""
    for item in items:
        journal.write(f"making {item}")
        yield item


def using(items: Iterable[int], journal: Journal) -> None:
    """A sink that says when it has each item, and when it has done with it."""
    for item in items:
        journal.write(f"using {item}")
        journal.write(f"used {item}")


def hoard_numbers(items: Iterable[Any]) -> list[int]:
    """Keeps every array to the end; gives their numbers."""
    hoard = list(items)
    return [int(array[0]) for array in hoard if (array == array[0]).all()]


def logging_each(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """What comes; each is logged, and afterwards it says so."""
    import logging

    for item in items:
        logging.getLogger(__name__).info("item %s", item)
        yield item
    gate.announce()


async def awaited(item: T) -> T:
    """What comes, once others have had their turn."""
    import asyncio

    await asyncio.sleep(0)
    return item


def tell_of_runs(place: str, connection: Any) -> None:
    """Sends what comes of a pipeline that is iterated, and of one with a sink: items, or the error."""
    numbers = _inner(place, 10)
    for run in (lambda: list(numbers), lambda: numbers.into(collect, on=on("inline")).run().value):
        try:
            connection.send(run())
        except RunError as error:
            connection.send(error)


def sums_of_a_pipeline(items: Iterable[int], place: str) -> Iterator[int]:
    """For each item n the sum of 0 to n - 1, found by a pipeline, in both ways."""
    for item in items:
        pipeline = _inner(place, item)
        total: int = pipeline.into(sum, on=on("inline")).run().value
        assert total == sum(pipeline)
        yield total


async def sum_of_a_pipeline(place: str, item: int) -> int:
    """The same for `map` on tasks."""
    pipeline = _inner(place, item)
    total: int = (await pipeline.into(sum, on=on("threads")).run_async()).value
    assert total == sum([each async for each in pipeline])
    return total


def _inner(place: str, n: int) -> chainpump.Pipeline[Any]:
    if place == "tasks":
        return chainpump.Pipeline(chainpump.source(awaited_each, count, n), on=on(place)).map(awaited, on=on(place))
    return chainpump.Pipeline(chainpump.source(count, n), on=on(place)).then(same, on=on(place))


def failing_pipeline(items: Iterable[int]) -> Iterator[int]:
    """Runs a pipeline that fails."""
    for _ in items:
        yield from chainpump.Pipeline(range(5)).then(
            chainpump.stage(failing_stage, raise_value_error, 3), on=Processes(1)
        )


def children_beside_a_pipeline(items: Iterable[int], place: str) -> Iterator[int]:
    """How many processes `multiprocessing` knows of while a pipeline runs."""
    for _ in items:
        with chainpump.Pipeline(chainpump.source(count_for_ever), on=on(place)).open() as run:
            assert next(iter(run)) == 0
            yield len(multiprocessing.active_children())


def holding_pipeline(items: Iterable[int], gate: Gate) -> Iterator[int]:
    """Runs a pipeline that waits at the gate; says who it is first."""
    for _ in items:
        gate.announce()
        yield from chainpump.Pipeline(range(5)).then(chainpump.stage(held, gate), on=Processes(1))


# ------------------------------------------------------------------------------------------- ways to go wrong


class Unusual(BaseException):
    """Not an Exception."""


class Locked(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Odd(Exception):
    """Pickles, but does not load: its `args` do not fit its `__init__`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def limit_memory(nbytes: int) -> None:
    """Let this process have so much more address space, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + nbytes, resource.RLIM_INFINITY))


def arrays_without_memory(n: int) -> Iterator[Any]:
    """Arrays, by a process that can map no other one."""
    large = list(arrays(n, 8 << 20))
    limit_memory(4 << 20)
    yield from large


def arrays_without_files(n: int) -> Iterator[Any]:
    """Arrays, by a process that can make no file any larger."""
    large = list(arrays(n))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield from large


def arrays_without_descriptors(n: int) -> Iterator[Any]:
    """Arrays, by a process that can open nothing more."""
    large = list(arrays(n))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    yield from large


def kept_without_descriptors(items: Iterable[Any]) -> Iterator[int]:
    """How many items it keeps, in a process that can open nothing more from the first one on."""
    kept = []
    for item in items:
        kept.append(item)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        yield len(kept)


def starved(item: int) -> int:
    """For `map`: as a function that cannot open a file."""
    if item == 1:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return item


class Starving:
    """As an item that opens a file when it is rebuilt."""

    def __reduce__(self) -> tuple[Any, ...]:
        return starved, (1,)


def starving() -> Iterator[Starving]:
    """One of those."""
    yield Starving()


def raise_value_error() -> NoReturn:
    raise ValueError("bad value", 42)


def raise_from_another() -> NoReturn:
    raise ValueError("for a reason") from KeyError("the reason")


def raise_while_handling() -> NoReturn:
    try:
        raise KeyError("the reason")
    except KeyError:
        raise ValueError("for a reason")  # noqa: B904  # the reason is in the context alone


def raise_large() -> NoReturn:
    raise ValueError("x" * 3_000_000)


def raise_unusual() -> NoReturn:
    raise Unusual("not an Exception")


def raise_cancelled() -> NoReturn:
    raise Cancelled("by myself")


def cancelled_at_three(item: int) -> int:
    """For `map`: raises what only the library is to raise."""
    if item == 3:
        raise_cancelled()
    return item


def raise_locked() -> NoReturn:
    raise Locked("holds a lock")


def raise_odd() -> NoReturn:
    raise Odd(7, "odd init")


def raise_local() -> NoReturn:
    class Local(Exception):
        pass

    raise Local("of a class that has no name outside")


def raise_recursion() -> NoReturn:
    raise_recursion()


def raise_long() -> NoReturn:
    raise ValueError("x" * LONG)


def raise_group() -> NoReturn:
    raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])])


def raise_base_group() -> NoReturn:
    raise BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("one")])


def raise_group_with_lock() -> NoReturn:
    raise ExceptionGroup("several", [ValueError("one"), Locked("two")])


def run_out_of_memory() -> NoReturn:
    """In a process of its own."""
    limit_memory(64 << 20)
    hoard = []
    while True:
        hoard.append(bytes(1 << 20))


def raise_mute() -> NoReturn:
    raise Mute


def raise_keyboard_interrupt() -> NoReturn:
    raise KeyboardInterrupt


def sys_exit_0() -> NoReturn:
    raise SystemExit(0)


def sys_exit_1() -> NoReturn:
    raise SystemExit(1)


def sys_exit_3() -> NoReturn:
    raise SystemExit(3)


def exit_0() -> NoReturn:
    os._exit(0)


def exit_3() -> NoReturn:
    os._exit(3)


def die_of(number: signal.Signals) -> NoReturn:
    """End this process by a signal, leaving no core file and no trace on standard error."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)
    raise AssertionError("it survived")


def sigkill() -> NoReturn:
    die_of(signal.SIGKILL)


def sigsegv() -> NoReturn:
    die_of(signal.SIGSEGV)


def sigabrt() -> NoReturn:
    die_of(signal.SIGABRT)


# --------------------------------------------------------------------------- where they go wrong: by role


def failing_source(fail: Callable[[], Any], after: int) -> Iterator[int]:
    """Yield 0 to after - 1, then fail."""
    yield from range(after)
    fail()


async def awaited_each(make: Callable[..., Iterable[T]], *arguments: Any) -> AsyncIterator[T]:
    """What a plain source makes, as an async one."""
    for item in make(*arguments):
        yield await awaited(item)


async def failing_source_async(fail: Callable[[], Any], after: int) -> AsyncIterator[int]:
    """The same for tasks."""
    for number in range(after):
        yield await awaited(number)
    fail()


async def failing_item(fail: Callable[[], Any], at: int, item: int) -> int:
    """For `map` and `each` on tasks: fail at one item."""
    if await awaited(item) == at:
        fail()
    return item


def failing_stage(items: Iterable[int], fail: Callable[[], Any], at: int) -> Iterator[int]:
    """Pass items on, and fail at one of them."""
    for item in items:
        if item == at:
            fail()
        yield item


def failing_sink(items: Iterable[int], fail: Callable[[], Any], at: int) -> int:
    """Count items, and fail at one of them."""
    seen = 0
    for item in items:
        if item == at:
            fail()
        seen += 1
    return seen


def fail_at_gate(
    items: Iterable[int], fail: Callable[[], Any], gate: Gate, at: int = 0, deaf: bool = False
) -> Iterator[int]:
    """Hold at one item, then fail. deaf: without hearing of a cancellation meanwhile."""
    for item in items:
        if item == at:
            if deaf:
                ignore_sigterm()
            gate.hold(item)
            fail()
        yield item


async def fail_at_gate_item(fail: Callable[[], Any], gate: Gate, at: int, item: int) -> int:
    """For `map` and `each` on tasks: hold at one item, then fail; nothing comes in between."""
    if item == at:
        gate.hold(item)
        fail()
    return item


def fail_at_gate_deaf(items: Iterable[int], fail: Callable[[], Any], gate: Gate) -> int:
    """The same as a sink that does not hear of a cancellation."""
    return sum(fail_at_gate(items, fail, gate, deaf=True))


def fail_at_one(items: Iterable[int], fail: Callable[[], Any], gate: Gate, at: int) -> Iterator[int]:
    """Hold at each item, and fail at one of them."""
    for item in items:
        gate.hold(item)
        if item == at:
            fail()
        yield item


def ignoring(items: Iterable[T], argument: object) -> Iterator[T]:
    """What comes, as it is."""
    yield from items


def one_sink_fails(items: Iterable[int], fail: Callable[[], Any], gate: Gate, journal: Journal) -> None:
    """Hold at the first item; whoever gets item 1 fails."""
    try:
        for item in gate.hold_at(items, 0):
            if item == 1:
                fail()
    finally:
        journal.write("sink cleaned up")


def refusing(items: Iterable[Any]) -> int:
    """A sink that fails before it asks for anything."""
    raise_value_error()


def raising_at_the_end(items: Iterable[Any]) -> int:
    """A sink that fails after its input has ended."""
    for _ in items:
        pass
    raise_value_error()


def angry(items: Iterable[T]) -> Iterator[T]:
    """What comes, as it is; a cancellation becomes an error of its own."""
    try:
        yield from items
    except BaseException:
        raise ValueError("angry") from None


def angry_source() -> Iterator[int]:
    """As `angry`, for ever."""
    try:
        yield from count_for_ever()
    except BaseException:
        raise ValueError("angry") from None


def batches_with_rest(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of ten; what is left comes out of the `finally`, which also runs when nothing should."""
    batch: list[T] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == 10:
                yield batch
                batch = []
    finally:
        if batch:
            yield batch


# ------------------------------------------------------------------------------------- tampering with the transport


def _ends(*kinds: type[Any]) -> list[Any]:
    """This process's ends of wires. A fork has frozen those that it has inherited, and is to keep all that frozen."""
    gc.unfreeze()
    found = [end for end in gc.get_objects() if isinstance(end, kinds) and not end.descriptors[0].closed]
    gc.freeze()
    return found


def steal_frame(items: Iterable[T]) -> Iterator[T]:
    """What comes, but for one frame."""
    for index, item in enumerate(items):
        if index == 0:
            (end,) = _ends(PacketIn, RecordIn)
            assert end.receive_into(memoryview(bytearray(PACKET_BYTES)), wait=True)
        yield item


def double_frame(items: Iterable[T]) -> Iterator[T]:
    """What comes, and one frame twice: a copy of what comes next goes straight on to the next stage."""
    for index, item in enumerate(items):
        if index == 0:
            _forward_next(*_ends(PacketIn, RecordIn), *_ends(PacketOut, RecordOut))
        yield item


def _forward_next(end: Any, out: Any) -> None:
    """Have the next packet that this worker receives sent on, too."""
    receive_into = end.receive_into

    def receive_and_forward(buffer: memoryview, wait: bool) -> int:
        length: int = receive_into(buffer, wait)
        out.send(bytes(buffer[:length]))
        # Once.
        del end.receive_into
        return length

    end.receive_into = receive_and_forward


def close_everything(items: Iterable[T]) -> Iterator[T]:
    """Close every descriptor that there may be."""
    for item in items:
        os.closerange(3, 1 << 10)
        yield item


def close_everything_and_stay(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """The same, and hear no cancellation."""
    for item in items:
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.closerange(3, 1 << 10)
        yield gate.hold(item)


def fail_once(items: Iterable[T], journal: Journal) -> Iterator[T]:
    """Fails in the first run of a test."""
    for item in items:
        if not journal.lines:
            journal.write("failed")
            raise_value_error()
        yield item


# -------------------------------------------------------------------------------------------- early returns


def first_only(items: Iterable[T], n: int) -> Iterator[T]:
    """Return after n items."""
    if n:
        for index, item in enumerate(items, 1):
            yield item
            if index == n:
                return


def stop_at_0_hold_at_1(items: Iterable[int], gate: Gate) -> Iterator[int]:
    """Whoever gets 0 returns; whoever gets 1 is held."""
    for item in items:
        yield gate.hold(item) if item == 1 else item
        if item == 0:
            return


def sum_first(items: Iterable[int], n: int) -> int:
    """A sink that returns after n items."""
    return sum(first_only(items, n))


def counting(n: int, journal: Journal, name: str = "source") -> Iterator[int]:
    """0 to n - 1; says how it ended."""
    try:
        yield from range(n)
    finally:
        journal.write(f"{name} cleaned up")


def held_in_clean_up(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """What comes, as it is; holds before it says that it has cleaned up."""
    try:
        yield from items
    finally:
        gate.hold(0)
        journal.write("cleaned up")


def noting(items: Iterable[T], journal: Journal, name: str) -> Iterator[T]:
    """What comes, as it is; says how it ended."""
    try:
        yield from items
        journal.write(f"{name} saw the end")
    finally:
        journal.write(f"{name} cleaned up")


def committing(items: Iterable[Any], journal: Journal) -> int:
    """A sink that commits after its loop."""
    seen = 0
    try:
        for _ in items:
            seen += 1
        journal.write("committed")
    finally:
        journal.write("sink cleaned up")
    return seen


def swallowing(items: Iterable[Any], journal: Journal) -> int:
    """A sink that takes anything, Cancelled too, for the end."""
    seen = 0
    try:
        for _ in items:
            seen += 1
    except BaseException as error:
        journal.write(type(error).__name__)
    # Asks again, as if nothing had happened.
    for _ in items:
        journal.write("item after the failure")
    return seen


def swallowing_stage(items: Iterable[T], journal: Journal) -> Iterator[T]:
    """A stage that takes anything, Cancelled too, for the end."""
    try:
        yield from items
    except BaseException as error:
        journal.write(type(error).__name__)


# --------------------------------------------------------------------------------------------------- stuck


def ignore_sigterm() -> None:
    """Replace the library's handler; threads have none."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stuck_ignoring_sigterm(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Replaces the signal handler, then waits for ever."""
    ignore_sigterm()
    for item in items:
        yield gate.hold(item)


def stuck_swallowing(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Starts waiting again, whatever is raised."""
    for item in items:
        waiting = True
        while waiting:
            try:
                gate.announce()
                gate.wait_released()
                waiting = False
            except BaseException:
                continue
        yield item


def raising_in_clean_up(items: Iterable[T]) -> Iterator[T]:
    """What comes, as it is; its clean-up fails."""
    try:
        yield from items
    finally:
        raise ValueError("bad value")


def killed_in_clean_up(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Holds at each item; dies of its own hand as it cleans up."""
    try:
        yield from gate.hold_each(items)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def stuck_in_c(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Waits in a call that comes back to Python for no signal."""
    for item in items:
        block_signals()
        gate.announce()
        while True:
            signal.sigwait({signal.SIGUSR2})
        yield item


def stuck_holding_gil(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Waits in native code that never gives the interpreter's lock back: no thread of the process runs."""
    for item in items:
        block_signals()
        gate.announce()
        ctypes.PyDLL(None).pause()
        yield item


def block_signals() -> None:
    """Hear nothing in this thread; SIGTERM, which the kernel may give to any thread, in none."""
    ignore_sigterm()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def fail_without_input(items: Iterable[Any], fail: Callable[[], Any], gate: Gate) -> Iterator[int]:
    """Fail at the gate, before it asks for anything."""
    gate.hold(None)
    fail()
    yield 0


def failing_without_input(items: Iterable[Any], fail: Callable[[], Any], gate: Gate) -> int:
    """The same as a sink."""
    return sum(fail_without_input(items, fail, gate))


def busy_for_ever(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Never waits, never ends."""
    for item in items:
        gate.announce()
        while True:
            pass
        yield item


def held_noting(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """Held at each item; says how that ended."""
    try:
        for item in items:
            yield gate.hold(item)
    except BaseException as error:
        journal.write(type(error).__name__)
        raise
    finally:
        journal.write("cleaned up")


def slow_clean_up(items: Iterable[T], gate: Gate, cleaning: Gate, journal: Journal) -> Iterator[T]:
    """Held at each item; waits in its clean-up, too."""
    try:
        for item in items:
            yield gate.hold(item)
    finally:
        cleaning.hold(None)
        journal.write("cleaned up")


class Finalized:
    """Calls a function as it is collected."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __del__(self) -> None:
        self.call()


def _come_and_go(gate: Gate) -> None:
    """Be at the gate until a signal has been handled, then leave."""
    heard = threading.Event()
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler)

    def hear(number: int, frame: Any) -> None:
        heard.set()
        handler(number, frame)

    signal.signal(signal.SIGTERM, hear)
    gate.announce()
    heard.wait()


def _wait_for_ever(gate: Gate, journal: Journal) -> None:
    try:
        gate.wait_released()
    except BaseException as error:
        journal.write(type(error).__name__)
        raise


def held_in_del(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """Is in a `__del__` when it is cancelled, and waits for ever after."""
    for item in items:
        Finalized(lambda: _come_and_go(gate))
        _wait_for_ever(gate, journal)
        yield item


def held_in_finalizer(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """Is in a `weakref.finalize` when it is cancelled, and waits for ever after."""
    for item in items:
        weakref.finalize(Finalized(lambda: None), _come_and_go, gate)
        _wait_for_ever(gate, journal)
        yield item


def held_in_callback(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """Is in the callback of a weak reference when it is cancelled, and waits for ever after."""
    for item in items:
        dying = Finalized(lambda: None)
        reference = weakref.ref(dying, lambda _: _come_and_go(gate))
        del dying
        assert reference() is None
        _wait_for_ever(gate, journal)
        yield item


def _cleaning_up(gate: Gate) -> Iterator[None]:
    try:
        yield
    finally:
        _come_and_go(gate)


def held_in_dropped_generator(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """Is in the clean-up of a generator that nobody holds when it is cancelled, and waits for ever after."""
    for item in items:
        next(_cleaning_up(gate))
        _wait_for_ever(gate, journal)
        yield item


def killed_in_callback(items: Iterable[T], gate: Gate, journal: Journal) -> Iterator[T]:
    """As a thread: is at the gate, in the callback of a weak reference; and then cannot end but by Cancelled."""
    for item in items:
        dying = Finalized(lambda: None)
        reference = weakref.ref(dying, lambda _: gate.hold(None))
        del dying
        assert reference() is None
        try:
            while True:
                pass
        except BaseException as error:
            journal.write(type(error).__name__)
            raise
        yield item


class NeverStarts(Processes):
    """An executor that has no room."""

    def start(self, worker: Any) -> Any:
        raise OSError("no room")


async def blocking_item(gate: Gate, item: T) -> T:
    """For `map` on tasks: holds the event loop, and all that it has in hand."""
    return gate.hold(item)


async def deaf_item(gate: Gate, item: T) -> T:
    """For `map` on tasks: starts waiting again, however often it is cancelled."""
    import asyncio

    gate.announce()
    released = asyncio.ensure_future(asyncio.to_thread(gate.wait_released))
    while not released.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(released)
    return item


STUCK = (stuck_ignoring_sigterm, stuck_swallowing, stuck_in_c, stuck_holding_gil)


# --------------------------------------------------------------------------------------------------- strays


def os_fork() -> int:
    """A child as Python makes it: what is registered for forks runs in it."""
    return os.fork()


def libc_fork() -> int:
    """A child made behind Python's back: it holds every descriptor that its parent had."""
    pid: int = ctypes.PyDLL(None).fork()
    return pid


def leave_child(
    items: Iterable[T], fork: Callable[[], int], journal: Journal, then: Callable[[], Any] | None = None
) -> Iterator[T]:
    """Leave a child behind that sleeps in a session of its own, at the first item; then go on, or fail."""
    for index, item in enumerate(items):
        if index == 0:
            is_apart, say = os.pipe()
            child = fork()
            if child == 0:
                os.setsid()
                os.write(say, b"!")
                while True:
                    ctypes.PyDLL(None).pause()
            os.read(is_apart, 1)
            journal.write(child)
            if then is not None:
                then()
        yield item


def leave_thread(items: Iterable[T], gate: Gate) -> Iterator[T]:
    """Leave a thread behind that is not a daemon."""
    threading.Thread(target=gate.wait_released, name="stray", daemon=False).start()
    gate.announce()
    yield from items


def count_leaving_child(n: int, fork: Callable[[], int], journal: Journal) -> Iterator[int]:
    """0 to n - 1, by a worker that leaves a child behind."""
    yield from leave_child(range(n), fork, journal)


# ------------------------------------------------------------------------------------------------ other items


class Reader:
    """What users put into items by mistake."""

    def __init__(self) -> None:
        self.handle = Path(os.devnull).open()  # noqa: SIM115  # it is to be open when it is pickled


def holding_a_file(at: int) -> Iterator[Any]:
    """A good item until place `at`, then one with an open file."""
    for index in range(at):
        yield {"number": index}
    reader = Reader()
    with reader.handle:
        yield {"number": at, "source": reader}


class Lazy:
    """As a lazily read file: what is wrong with it is seen as it is pickled."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getstate__(self) -> dict[str, int]:
        if self.number % 5 == 3:
            raise OSError(f"{self.number} is truncated")
        return vars(self)


def lazy_pair(number: int) -> list[Lazy]:
    """For `flat_map`."""
    return [Lazy(number), Lazy(number)]


async def lazy_awaited(number: int) -> Lazy:
    """For `Tasks`."""
    return Lazy(number)


class Unloadable:
    """Pickles, but does not load."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return raise_on_load, ()


def raise_on_load() -> NoReturn:
    raise ValueError("not for you")


def unloadable_at(at: int) -> Iterator[Any]:
    """A good item until place `at`, then one that does not load."""
    for index in range(at):
        yield {"number": index}
    yield Unloadable()


def unloadable_made(number: int) -> Any:
    """For `map`: of item 2,500 comes one that does not load."""
    return Unloadable() if number == 2_500 else (number,)


def most(number: int) -> bool:
    """For `filter`."""
    return number % 5 != 1


class KillsWhoLoadsIt:
    """Ends the process in which it is rebuilt."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return sigkill, ()


def killing_at(at: int) -> Iterator[Any]:
    """A good item until place `at`, then one that kills; and good ones again."""
    yield from range(at)
    yield KillsWhoLoadsIt()
    yield from range(at)


def repeated(n: int, make: Callable[[], T]) -> Iterator[T]:
    """So many of what it makes."""
    for _ in range(n):
        yield make()


def huge_bytes(n: int, size: int) -> Iterator[bytes]:
    """Blocks of their number; their pickles are as large."""
    for number in range(n):
        yield bytes([number]) * size


def huge_array(n: int, size: int) -> Iterator[Any]:
    """The same as arrays, which travel outside their pickles."""
    return arrays(n, size)


def edges(blocks: Iterable[Any]) -> Iterator[tuple[int, int, int]]:
    """First and last byte of each, and its length."""
    for block in blocks:
        yield int(block[0]), int(block[-1]), len(block)


def oddities() -> Iterator[Any]:
    """Items that could be mistaken for something else."""
    yield from (None, StopIteration(), ValueError("just data"), Cancelled("just data"), (), b"", "", False, [None], ...)


def numbers_of(items: Iterable[Any]) -> Iterator[int]:
    """The number of each item."""
    for item in items:
        yield item["number"]


def log_for_ever(gate: Gate) -> Iterator[int]:
    """Logs and yields nothing."""
    import logging

    gate.announce()
    while True:
        logging.getLogger().error("still here")
    yield 0


class LoadsWhereItWasMade:
    """Loads in the process that made it, nowhere else."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return _load_at_home, (self.pid,)


def _load_at_home(pid: int) -> LoadsWhereItWasMade:
    if os.getpid() != pid:
        raise ValueError("only at home")
    return LoadsWhereItWasMade()


def returns_unloadable(items: Iterable[Any]) -> object:
    """A sink whose value cannot be rebuilt in the main process."""
    for _ in items:
        pass
    return LoadsWhereItWasMade()


def returns_unpicklable(items: Iterable[Any]) -> object:
    """A sink whose value cannot be pickled."""
    for _ in items:
        pass
    return {"lock": threading.Lock()}


# ------------------------------------------------------------------------------- what a process does at its end

# Until the process has ended.
KEPT: list[Any] = []


def upload_later(item: Any, gate: Gate, journal: Journal) -> None:
    """As `each`: a thread that is not a daemon deals with it once the main thread is over, and the gate is open."""

    def upload() -> None:
        threading.main_thread().join()
        gate.hold(None)
        journal.write(f"uploaded {item}")

    threading.Thread(target=upload, name="uploading").start()


def upload_by_pool(item: Any, gate: Gate, journal: Journal) -> None:
    """The same by a pool of threads."""

    def upload() -> None:
        gate.hold(None)
        journal.write(f"uploaded {item}")

    if not KEPT:
        from concurrent.futures import ThreadPoolExecutor

        KEPT.append(ThreadPoolExecutor(1))
    KEPT[0].submit(upload)


def left_to_c(path: Path, text: str) -> Callable[[], object]:
    """Write to a file by the C library, which holds it in its buffer. Returns what closes the file."""
    c = ctypes.CDLL(None)
    c.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(c.fopen(bytes(path), b"a"))
    c.fputs(text.encode(), file)
    return partial(c.fclose, file)


def leave_all_open(item: Any, folder: Path) -> None:
    """As `each`: what a program leaves to its end."""
    if not KEPT:
        import gzip
        import tempfile

        KEPT.append(tempfile.TemporaryDirectory(dir=folder))
        KEPT.append((folder / "plain").open("w"))
        KEPT.append(gzip.open(folder / "zipped", "wt"))  # noqa: SIM115  # it is to be left open
        left_to_c(folder / "of_c", "worker\n")
        atexit.register(lambda: (folder / "handled").write_text("at exit"))
    KEPT[1].write(f"{item}\n")
    KEPT[2].write(f"{item}\n")


def handlers_in_a_fork(item: Any) -> tuple[Any, Any]:
    """How a process that a worker forks takes SIGTERM and SIGINT, as numbers."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(handlers)


def handlers() -> tuple[str, str]:
    """How this process takes SIGTERM and SIGINT."""
    found = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    return "default" if found[0] is signal.SIG_DFL else str(found[0]), str(getattr(found[1], "__name__", found[1]))


def stdin_attributes(items: Iterable[int]) -> Iterator[tuple[str, str, bool, bool, bool]]:
    """What may be asked of `sys.stdin` without reading it."""
    sys.stdin.reconfigure(encoding="utf-8")  # pyright: ignore[reportAttributeAccessIssue]
    for _ in items:
        yield sys.stdin.name, sys.stdin.encoding, sys.stdin.closed, sys.stdin.readable(), sys.stdin.isatty()


class Around(NamedTuple):
    """What a worker finds around it."""

    variables: dict[str, str]
    of_c_library: str
    directory: str
    umask: int
    path: list[str]
    zone: str
    locale: str


def look_around(_: object) -> Around:
    """All of it."""
    import locale

    umask = os.umask(0o022)
    os.umask(umask)
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_char_p
    told = library.getenv(b"CHAINPUMP_TEST_ADDED") or b""
    return Around(
        dict(os.environ),
        told.decode(),
        str(Path.cwd()),
        umask,
        sys.path,
        time.tzname[0],
        locale.setlocale(locale.LC_ALL),
    )


def look_around_later(gate: Gate) -> Around:
    """The same, once the test says so."""
    return look_around(gate.hold(0))


def say(text: str) -> None:
    """On both streams, without Python's own: in a fork those are what the tests have put there."""
    for number in (1, 2):
        os.write(number, f"{text} to {number}\n".encode())


# ----------------------------------------------------------------------------------- programs that workers start


def sleeper(gate: Gate, *, is_deaf: bool = False, is_apart: bool = False) -> subprocess.Popen[bytes]:
    """A program that comes to the gate, and sleeps."""
    deaf = "trap '' TERM;" if is_deaf else ""
    script = f"{deaf} echo $$ > {gate.held}; sleep 1000 & wait; wait"
    return subprocess.Popen(["/bin/sh", "-c", script], start_new_session=is_apart)


def in_a_program(item: int, gate: Gate, is_deaf: bool) -> int:
    """For `map`: item 1 is never done with."""
    if item == 1:
        sleeper(gate, is_deaf=is_deaf).wait()
    return item


def in_a_pool(item: int, gate: Gate) -> int:
    """The same by a process of a pool."""
    if item == 1:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            pool.apply(gate.hold, (item,))
    return item


def leave_program(item: int, gate: Gate, is_apart: bool) -> int:
    """For `map`: it does not wait for its program, which has begun."""
    KEPT.append(sleeper(gate, is_apart=is_apart))
    gate.wait_released()
    return item


# ---------------------------------------------------------------------------- tasks that ignore their time limit


async def swallowing_item(number: int) -> int:
    """Item 1 ignores every cancellation."""
    import asyncio

    while number == 1:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)
    return number


async def blocking_for_a_while(number: int) -> int:
    """Item 1 holds up the event loop, and returns."""
    if number == 1:
        threading.Event().wait(0.2)
    return number


async def blocking_for_ever(number: int, gate: Gate) -> int:
    """Item 1 holds up the event loop."""
    return gate.hold(number) if number == 1 else number
