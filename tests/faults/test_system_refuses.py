"""The system has no room: for descriptors, memory, processes or threads. The run says so, and nothing of it is left."""

import asyncio
import errno
import gc
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from multiprocessing import forkserver, popen_fork, popen_spawn_posix, reduction
from pathlib import Path
from typing import Any

import pytest

from chainpump import (
    DeadLetter,
    Inline,
    Pipeline,
    Processes,
    RunError,
    StageError,
    Threads,
    UnpicklableItemError,
    source,
    stage,
)
from chainpump.engine.fault_rules import VARIABLE
from chainpump.executors import start_methods
from chainpump.ipc.system import VARIABLE as TRANSPORT
from chainpump.ipc.system import is_portable
from chainpump.worker.output import Output
from faults import stages
from faults.places import FORKING, MOST, PROCESSES, WAYS, on, places
from faults.roles import passed
from support.cases import in_turns, pairwise
from support.gate import WHOLE, Gate
from support.processes import descendants, descriptors

N = 50
REFUSED = (
    r"^(the run could not start|(source|stage|sink) '\w+' could not start worker \d of \d): {error}.*\n"
    r"  The system refused: give it fewer workers, or raise its limits \(`ulimit -a` shows them\)\.$"
)
TOO_MANY_FILES = REFUSED.format(error=r"OSError: \[Errno 24\] Too many open files")


def wide(place: str) -> Pipeline[int]:
    """Three workers, and one more where a sink has its own."""
    return Pipeline(source(stages.count, N), on=on(place)).then(stages.same, on=on(place, 2))


FIRST_RUN = """
import resource
from pathlib import Path
from chainpump import Pipeline, RunError, Threads

pipeline = Pipeline(range(3)).map(str, on=Threads(1))
used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
held = [open("/dev/null") for _ in range(used)]
resource.setrlimit(resource.RLIMIT_NOFILE, (len(held), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    list(pipeline)
except RunError as error:
    print(error)
"""


def test_first_run_of_a_program_without_a_free_descriptor_is_refused_with_advice() -> None:
    """The first run imports the engine, which takes a descriptor for each module."""
    done = subprocess.run([sys.executable, "-c", FIRST_RUN], capture_output=True, text=True, check=True)
    assert re.match(TOO_MANY_FILES, done.stdout.rstrip())


@contextmanager
def descriptors_left(n: int) -> Iterator[None]:
    """At most n more can be opened in this process. (A new number has to be below the limit.)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    free = (number for number in count() if number not in used)
    limit = next(number for number in free if number - sum(each < number for each in used) == n)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def starts_with_few_descriptors(way: Any, place: str, step: int) -> int:
    """Start a run with ever more descriptors until it has enough; returns how often it was refused."""
    others = descendants()
    for refusals in count():
        try:
            with descriptors_left(step * refusals):
                items = way(wide(place), place)
        except RunError as error:
            assert re.search(TOO_MANY_FILES, str(error))  # noqa: PT017  # or it had enough
            assert descendants() == others
        else:
            assert sorted(items) == list(range(N))
            return refusals
    raise AssertionError("unreachable")


@in_turns
@WAYS
@pytest.mark.parametrize("place, step", [("forkserver", 5), ("spawn", 5), ("fork", 5), ("threads", 1)])
def test_run_that_has_too_few_descriptors_says_so_wherever_they_run_out(place: str, step: int, way: Any) -> None:
    assert starts_with_few_descriptors(way, place, step) > 5


def test_run_that_has_too_few_descriptors_leaves_others_alone(gate: Gate) -> None:
    """It must not break off what it asks of the fork server, which would end, and all workers with it."""
    with Pipeline(range(10)).then(stage(stages.held_at, gate, 1), on=Processes()).open() as run:
        items = iter(run)
        assert next(items) == 0
        gate.wait_held()
        starts_with_few_descriptors(lambda pipeline, _: list(pipeline), "forkserver", 2)
        gate.release()
        assert list(items) == list(range(1, 10))


def nth(call: Any, n: int, error: Exception) -> Callable[..., Any]:
    """The same function, but its n-th call raises."""
    calls = count(1)

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == n:
            raise error
        return call(*args, **kwargs)

    return failing


@WAYS
@pytest.mark.parametrize("n", [1, 2, 3])
def test_run_for_which_there_is_no_shared_memory_says_so(n: int, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its board, or for the slabs of one of its junctions."""
    error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    owner, name = (tempfile, "TemporaryFile") if is_portable() else (os, "memfd_create")
    monkeypatch.setattr(owner, name, nth(getattr(owner, name), n, error))
    message = r"^the run could not start: OSError: \[Errno 12\] Cannot allocate memory\n  The system refused: "
    with pytest.raises(RunError, match=message) as caught:
        way(wide("forkserver"), "forkserver")
    assert caught.value.__cause__ is error
    assert descendants() == set()


STARTS = {
    "fork": (popen_fork.Popen, "_launch", BlockingIOError, r"\[Errno 11\] Resource temporarily unavailable"),
    "spawn": (popen_spawn_posix.Popen, "_launch", BlockingIOError, r"\[Errno 11\] Resource temporarily unavailable"),
    "threads": (threading.Thread, "start", RuntimeError, "can't start new thread"),
}


@pairwise
@WAYS
@pytest.mark.parametrize(
    "n, who", [(1, "source 'count' could not start worker 1 of 1"), (2, "stage 'same' could not start worker 1 of 2")]
)
@pytest.mark.parametrize("place", places(*STARTS))
def test_worker_that_the_system_does_not_start_is_named(
    place: str, n: int, who: str, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, kind, text = STARTS[place]
    error = kind(errno.EAGAIN, os.strerror(errno.EAGAIN)) if kind is BlockingIOError else kind(text)
    monkeypatch.setattr(owner, name, nth(getattr(owner, name), n, error))
    with pytest.raises(RunError, match=rf"^{who}: {kind.__name__}: {text}") as caught:
        way(wide(place), place)
    assert caught.value.__cause__ is error
    assert descendants() == set()


@WAYS
def test_tasks_that_get_no_thread_to_wait_for_room_tell_it(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_threads(monkeypatch, "sender")
    with pytest.raises(
        StageError, match=r"^stage 'same' \(worker 1 of 1, pid \d+\) raised RuntimeError:\n  can't start"
    ):
        way(passed("tasks", 2, stages.count, N).map(abs, on=Threads(), in_flight=1), "tasks")


@in_turns
@WAYS
@pytest.mark.parametrize("thread", ["supervisor", "logs", "dead letters", "observer"])
def test_run_that_gets_no_thread_of_its_own_does_not_start(
    thread: str, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, thread)
    pipeline = passed("forkserver", 2, stages.count, N).map(abs, on=Inline(), on_error=DeadLetter(to=print))
    message = REFUSED.format(error="RuntimeError: can't start new thread")
    with pytest.raises(RunError, match=message) as caught:
        way(pipeline, "forkserver", observe=print)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert descendants() == set()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("place", places("forkserver", "threads", "tasks"))
def test_run_that_gets_no_thread_from_some_moment_on_ends_with_an_error_of_its_own(
    place: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one for those that have started already to be ended by."""
    refuse_threads_from(monkeypatch, n)
    pipeline = passed(place, 2, stages.count, N).map(abs, on=Inline(), on_error=DeadLetter(to=print))
    with pytest.raises(RunError, match=r"RuntimeError: can't start new thread\n  The system refused: "):
        list(pipeline.open(observe=print))
    assert descendants() == set()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_run_in_an_event_loop_that_gets_no_thread_says_so(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def consumed() -> list[int]:
        return [item async for item in Pipeline(range(3)).map(abs, on=Threads(2))]

    refuse_threads_from(monkeypatch, n)
    with pytest.raises(RunError, match=r"RuntimeError: can't start new thread\n  The system refused: "):
        asyncio.run(consumed())


def refuse_threads_from(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """As the system does once there are as many as it allows. n: counted from 1."""
    start, numbers = threading.Thread.start, count(1)

    def refuse(thread: threading.Thread) -> None:
        if next(numbers) >= n:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def refuse_threads(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As the system does where it has no room for one more."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == f"chainpump {name}":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


@WAYS
@pytest.mark.parametrize("place", places("fork", "threads"))
def test_worker_that_gets_no_thread_to_send_by_tells_it(place: str, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_threads(monkeypatch, "flusher")
    monkeypatch.setattr(Output, "frame_items", 10)
    message = r"^source 'count' \(worker 1 of 1, pid \d+\) could not send: BlockingIOError: .* can't start new thread\n"
    with pytest.raises(RunError, match=message):
        way(passed(place, 1, stages.count, N), place)


def test_process_whose_death_cannot_be_watched_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    owner, name = (start_methods, "_watch_by_thread") if is_portable() else (os, "pidfd_open")
    monkeypatch.setattr(owner, name, refuse)
    with pytest.raises(RunError, match=TOO_MANY_FILES):
        list(Pipeline(range(3)).map(abs, on=Processes(1, start_method="spawn")))
    assert descendants() == set()


@pytest.mark.parametrize("place", FORKING)
def test_error_of_a_start_that_was_refused_holds_no_descriptors(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "spawn@same=#1")
    errors = []
    # Of what ran before.
    gc.collect()
    before = descriptors()
    for _ in range(3):
        with pytest.raises(RunError) as caught:
            list(wide(place))
        errors.append(caught.value)
        assert descriptors() == before


FORKED = """
import os
from chainpump import *

if __name__ == "__main__":
    numbers = Pipeline(source(range, 50), on=Processes())
    print(list(numbers) == list(range(50)), flush=True)
    child = os.fork()
    if not child:
        print(list(numbers) == list(range(50)), flush=True)
    else:
        os.waitpid(child, 0)
"""


def test_child_that_a_program_forks_has_a_fork_server_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "forked.py").write_text(FORKED)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "forked.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n" * 2, "")


FORK_FAILS = """
import sys
from multiprocessing import forkserver
from chainpump import *

if __name__ == "__main__":
    forkserver.set_forkserver_preload(["no_forks"])
    for n in map(int, sys.argv[1:]):
        numbers = Pipeline(source(range, n), on=Processes()).map(abs, on=Processes(2))
        try:
            print(list(numbers) == list(range(n)))
        except RunError as error:
            print(error)
"""
NO_FORKS = """
import errno, itertools, os
from pathlib import Path

refused, *others = [*Path("refused").read_text().split(), 0]  # of each fork server, as it starts
Path("refused").write_text(" ".join(map(str, others)))
calls, fork = itertools.count(1), os.fork

def refusing():
    if next(calls) == int(refused):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.fork = refusing
"""
NOT_STARTED = (
    r"source 'range' could not start worker 1 of 1: EOFError: unexpected EOF\n"
    r"  Or the fork server has died, which starts workers: see its output above, and the limits of the system\.\n"
)
LOST = (
    r"source 'range' lost worker 1 of 1 \(pid \d+\): exited with code 255\.\n"
    r"  Or the fork server has died, which tells of exit codes; check the kernel log\.\n(- .*\n|  .*\n|Also .*\n)*"
)
# Items; workers that have done all their work are not lost with their fork server.
MORE_THAN_CAN_PASS = "1000000000"


@pytest.mark.parametrize(
    "refused, n, told",
    [
        pytest.param("1", "50", r"True\n", id="once"),
        pytest.param("1 1", "50", NOT_STARTED, id="twice"),
        pytest.param("3", MORE_THAN_CAN_PASS, LOST, id="as it has others"),
    ],
)
def test_fork_server_that_is_refused_a_process_is_followed_by_another(
    refused: str, n: str, told: str, tmp_path: Path
) -> None:
    """It ends by that, which is Python's way. The worker is started once more, and the next run has another server."""
    (tmp_path / "program.py").write_text(FORK_FAILS)
    (tmp_path / "no_forks.py").write_text(NO_FORKS)
    (tmp_path / "refused").write_text(refused)
    command = [sys.executable, "program.py", n, "50"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WHOLE, check=False)
    assert re.fullmatch(told + r"True\n", done.stdout)
    assert done.returncode == 0
    # Workers that are found lost later than the others are in the log behind it.
    assert "BlockingIOError: [Errno 11] Resource temporarily unavailable\n" in done.stderr


FORK_SERVER_CALLS: dict[str, tuple[Any, str]] = {
    "it goes": (forkserver._forkserver, "ensure_running"),
    "it has gone": (forkserver._forkserver, "ensure_running"),
    "it was asked": (reduction, "sendfds"),
}


def dying_at(call: str, kills: int) -> Callable[..., Any]:
    """A call of the fork server's client, behind which the server is killed, in so many attempts to start a worker."""
    owner, method = FORK_SERVER_CALLS[call]
    original, calls = getattr(owner, method), count(1)

    def killing(*args: Any) -> Any:
        if next(calls) > kills:
            return original(*args)
        if method == "sendfds":
            # So that it answers nothing.
            os.kill(vars(forkserver._forkserver)["_forkserver_pid"], signal.SIGSTOP)
        made = original(*args)
        server = vars(forkserver._forkserver)["_forkserver_pid"]
        os.kill(server, signal.SIGKILL)
        if call == "it has gone":
            poll = select.poll()
            poll.register(vars(forkserver._forkserver)["_forkserver_alive_fd"], 0)
            poll.poll()
        return made

    return killing


@pytest.mark.parametrize("call", FORK_SERVER_CALLS)
def test_run_that_starts_while_the_fork_server_dies_has_another(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FORK_SERVER_CALLS[call], dying_at(call, 1))
    assert sorted(wide("forkserver")) == list(range(N))


@pytest.mark.parametrize("call", FORK_SERVER_CALLS)
def test_run_whose_second_fork_server_dies_too_says_so(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FORK_SERVER_CALLS[call], dying_at(call, 2))
    first_line = (
        r"^source 'count' could not start worker 1 of 1: (ConnectionRefused|ConnectionReset|BrokenPipe|EOF)Error: .*\n"
    )
    with pytest.raises(RunError, match=first_line + "  Or the fork server has died, which starts workers: "):
        list(wide("forkserver"))


def test_run_has_another_fork_server_where_somebody_has_reaped_the_first() -> None:
    server = vars(forkserver._forkserver)["_forkserver_pid"]
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    assert sorted(wide("forkserver")) == list(range(N))


@in_turns
@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_worker_that_has_no_room_for_its_slabs_is_named(place: str, way: Any) -> None:
    pipeline = Pipeline(source(stages.arrays_without_files, 3), on=on(place), name="load")
    first_line = r"^source 'load' \(worker 1 of 1, pid \d+\) could not send: OSError: \[Errno 27\] .*\n"
    with pytest.raises(RunError, match=first_line + "  Shared memory counts as a file: ") as caught:
        way(pipeline.then(stages.same, on=on(place)), place)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG


@pytest.mark.parametrize("place", PROCESSES)
@pytest.mark.parametrize("arrays", [stages.arrays_without_memory, stages.arrays_without_descriptors])
def test_worker_that_can_map_and_open_nothing_more_sends_its_arrays(place: str, arrays: Any) -> None:
    assert len(list(Pipeline(source(arrays, 12), on=on(place)).map(len, on=on(place)))) == 12


NO_DESCRIPTOR = (
    r" could not receive: OSError: \[Errno 24\] Too many open files\n"
    r"  Its process has no descriptor left: raise the limit \(`ulimit -n`\), "
    r"or hold fewer arrays at once, which take one each\.$"
)


@in_turns
@WAYS
@pytest.mark.parametrize("place", PROCESSES)
def test_consumer_that_has_no_descriptor_left_for_an_array_is_told_of_the_limit(place: str, way: Any) -> None:
    pipeline = Pipeline(source(stages.arrays, 20), on=on(place)).then(stages.kept_without_descriptors, on=on(place))
    with pytest.raises(RunError, match=r"^stage 'kept_without_descriptors' \(worker 1 of 1, pid \d+\)" + NO_DESCRIPTOR):
        way(pipeline, place)


def all_kept(items: Iterable[Any]) -> list[Any]:
    """All items, by a process that can open nothing more from the first one on."""
    kept = []
    with ExitStack() as stack:
        for item in items:
            if not kept:
                stack.enter_context(descriptors_left(0))
            kept.append(item)
    return kept


def test_loop_of_the_caller_that_has_no_descriptor_left_for_an_array_is_told_of_the_limit() -> None:
    with pytest.raises(RunError, match=r"^sink 'iteration' \(worker 1 of 1, pid \d+\)" + NO_DESCRIPTOR):
        all_kept(Pipeline(source(stages.arrays, 20)))


@pytest.mark.parametrize("place", MOST)
def test_error_of_the_system_that_a_function_raises_is_its_own(place: str) -> None:
    with pytest.raises(StageError, match=r"^stage 'starved' \(worker 1 of 1, pid \d+\) raised OSError on item 1:\n"):
        list(Pipeline(range(3)).map(stages.starved, on=on(place)))


@pytest.mark.parametrize("place", FORKING)
def test_error_of_the_system_from_an_item_that_is_rebuilt_is_the_items(place: str) -> None:
    with pytest.raises(
        UnpicklableItemError, match=r"^stage 'same' \(.*\) received item 0, .*\n  OSError: \[Errno 24\] "
    ):
        list(Pipeline(source(stages.starving), on=on(place)).then(stages.same, on=on(place)))


MOUNTED = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
FULL_SHM = """
mount -t tmpfs -o size=4k none /dev/shm || exit 77
cat /dev/zero > /dev/shm/full 2>/dev/null
exec "$@"
"""
SMALL_SHM = """
mount -t tmpfs -o size=512k none /dev/shm || exit 77
exec "$@"
"""
SMALL_FILES = """
ulimit -f {kilobytes} || exit 77
exec "$@"
"""
ARRAYS = """
from chainpump import *

if __name__ == "__main__":
    on = {on}
    blocks = Pipeline(source(map, bytes, [1 << 20] * 20), on=on).then(list[bytes], on=on)
    assert list(blocks) == [bytes(1 << 20)] * 20
    assert blocks.into(list[bytes], on=on).run().value == [bytes(1 << 20)] * 20
"""


def under(shell: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run program.py of this folder by a shell that makes its surroundings first."""
    command = [*shell, "sh", sys.executable, "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WHOLE, check=False)
    if done.returncode and re.match(r"unshare: |mount: ", done.stderr):
        pytest.skip("this system permits no mount to its users")
    return done


@pytest.mark.parametrize("on", ["Processes()", "Processes(start_method='spawn')", "Processes(start_method='fork')"])
def test_large_items_travel_although_dev_shm_is_full(on: str, tmp_path: Path) -> None:
    """As it often is in containers, where it has 64 MB; only the portable slabs are kept there."""
    (tmp_path / "program.py").write_text(ARRAYS.format(on=on))
    done = under([*MOUNTED, FULL_SHM], tmp_path)
    if is_portable():
        assert "RunError: the run could not start: OSError: [Errno 28] No space left on device\n" in done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_portable_slabs_for_which_dev_shm_has_no_room_are_told_of_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as a crash of native code, by the signal for a page that cannot be had."""
    monkeypatch.setenv(TRANSPORT, "portable")
    (tmp_path / "program.py").write_text(ARRAYS.format(on="Processes()"))
    done = under([*MOUNTED, SMALL_SHM], tmp_path)
    assert "RunError: source 'map' (worker 1 of 1, pid " in done.stderr
    assert ") could not send: OSError: [Errno 28] No space left on device\n  Shared memory is full: " in done.stderr


@pytest.mark.parametrize("transport", ["linux", "portable"])
def test_large_items_travel_under_a_limit_on_the_size_of_files(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRANSPORT, transport)
    (tmp_path / "program.py").write_text(ARRAYS.format(on="Processes()"))
    done = under(["bash", "-c", SMALL_FILES.format(kilobytes=16 << 10)], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_item_above_the_limit_on_the_size_of_files_is_told_of_as_that(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(ARRAYS.format(on="Processes()"))
    done = under(["bash", "-c", SMALL_FILES.format(kilobytes=1 << 10)], tmp_path)
    assert ") could not send: OSError: [Errno 27] File too large\n  Shared memory counts as a file: " in done.stderr


@pytest.mark.parametrize("place", places("forkserver", "spawn"))
def test_run_in_a_deleted_directory_says_so(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(RunError, match=r"^.* could not start worker .*\n  The working directory was deleted: "):
        list(Pipeline(range(3)).map(abs, on=on(place)))
