"""Fixtures for every test: a gate to meet workers at, a journal for evidence, and the check that nothing is left."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import pytest

from chainpump import Pipeline, source
from support import hypothesis_profiles
from support.cases import ALL_CASES, needs_pairs
from support.gate import Gate, Journal
from support.processes import become_reaper, descendants, descriptors, gone, kill_and_reap, mappings, watching
from support.scaling import ForcedScaling
from support.threads import threads_that_stay
from support.usual import unusual
from support.wires import crosses_a_wire

FAILED = pytest.StashKey[bool]()

# Before hypothesis loads the profile of the command line, if there is one.
hypothesis_profiles.register()

# What most workers run, which the fork server of the tests imports for all of them: to import it takes four fifths of
# their time. Spawned workers, programs under test, workers of other machines and those of a fork server that a test has
# had to start import it each for itself. So these modules import late what takes long and few workers need; the fork
# server has that, too.
IMPORTED_ONCE = (
    *("asyncio", "logging", "numpy"),
    *("contract.operations", "contract.stages", "faults.deaths", "faults.stages", "property.chains"),
)

# Under `nohup`, and behind a shell's `&`, processes ignore these signals, and so do their children: the tests mean what
# they do by default.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


class Noise:
    """What workers, and the fork server, have written to standard error.

    It goes to a file of its own, since pytest's capture comes and goes. The main process of the tests writes elsewhere:
    its `sys.stderr` is pytest's, and not over descriptor 2. So what a fork writes through that is not heard.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch()
        self._heard = 0
        self._server: int | None = None

    def listen(self) -> None:
        """Have a fork server that writes there; a test may have ended the last one."""
        server = vars(forkserver._forkserver)
        if self._server is not None and server["_forkserver_pid"] == self._server and _is_running(self._server):
            return
        if server["_forkserver_pid"] is not None:
            # Which ends it.
            os.close(server["_forkserver_alive_fd"])
            # It has ended, and a test has reaped it with all else that was left.
            with suppress(ChildProcessError):
                os.waitpid(server["_forkserver_pid"], 0)
            server.update(_forkserver_pid=None, _forkserver_alive_fd=None, _forkserver_address=None)
        # It starts with the first worker, and stays.
        with self.heard(), pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
            # Who forks has no threads.
            monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
            monkeypatch.setitem(server, "_preload_modules", [*server["_preload_modules"], *IMPORTED_ONCE])
            assert list(Pipeline(source(range, 1))) == [0]
        self._server = server["_forkserver_pid"]

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Have descriptor 2 lead there, which workers take as the run starts."""
        kept = os.dup(2)
        with self._path.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)

    def read(self) -> str:
        """What is new since the last call."""
        new = self._path.read_bytes()[self._heard :]
        self._heard += len(new)
        return new.decode()


def _is_running(child: int) -> bool:
    """Whether a child of this process has not ended."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        # It has been reaped.
        return False


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Last, so that pytest has set up its own capture; a test that reads what descriptor 2 gets has it for itself."""
    arguments = getattr(item, "funcargs", {})
    noise = None if "capfd" in arguments else arguments.get("worker_noise")
    with nullcontext() if noise is None else noise.heard():
        return (yield)


@pytest.fixture(scope="session")
def worker_noise(tmp_path_factory: pytest.TempPathFactory) -> Noise:
    """Of all workers of the fork server, during all tests."""
    become_reaper()
    return Noise(tmp_path_factory.mktemp("workers") / "stderr")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where a test meets a worker."""
    with _gate(tmp_path, "gate") as made:
        yield made


@pytest.fixture
def second_gate(tmp_path: Path) -> Iterator[Gate]:
    """Another one."""
    with _gate(tmp_path, "second_gate") as made:
        yield made


def _gate(folder: Path, name: str) -> Gate:
    (folder / name).mkdir()
    return Gate(folder / name)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Where workers leave evidence."""
    return Journal(tmp_path / "journal")


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> ForcedScaling:
    """Lets a test decide how many workers "auto" stages have."""
    return ForcedScaling(monkeypatch)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, worker_noise: Noise) -> Iterator[None]:
    """After each test: no process, thread, descriptor or shared memory of it, and no noise from a worker."""
    worker_noise.listen()
    before = descriptors()
    yield
    if orphans := _processes_that_stay():
        kill_and_reap(orphans)
    assert not orphans, f"processes are left: {orphans}"
    assert not threads_that_stay()
    assert worker_noise.read() == ""
    # The frames of a failed test are kept, with all they hold.
    if not request.node.stash.get(FAILED, False):
        assert not _left(lambda: descriptors() - before - _descriptors_of_helpers())
        assert not _left(mappings)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --wires`, for another transport than the usual one."""
    parser.addoption("--wires", action="store_true", help="only tests in which something may cross between processes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for."""
    if config.getoption("--wires"):
        config.hook.pytest_deselected(items=[item for item in items if not crosses_a_wire(item)])
        items[:] = [item for item in items if crosses_a_wire(item)]
    if not os.environ.get(ALL_CASES):
        left_out = _unusual(items, tuple(argument for argument in config.args if "::" in argument))
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _unusual(items: Sequence[pytest.Item], named: tuple[str, ...]) -> set[pytest.Item]:
    """The cases that the usual run leaves out. named: tests that the command line names, which have all cases."""
    return unusual(
        (item, item.nodeid, item.callspec.params)
        for item in items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and not needs_pairs(item.function)
        if not item.nodeid.startswith(named)
    )


def pytest_collection_finish() -> None:
    """Thousands of tests live to the end: who collects garbage, as many of them do, need not look at them each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let `nothing_left` know whether the test has failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def _processes_that_stay() -> dict[int, str]:
    """What does not end by itself: orphans, whose end nobody waited for, have a moment to do so."""
    staying = {}
    if found := descendants():
        for pid in found:
            name = _name(pid)
            with watching([pid]) as watched:
                if not gone(watched):
                    staying[pid] = name
        descendants()
    return staying


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _left(look) -> set[str]:
    """What is there, and is still there once cycles have been collected, which takes long."""
    if look():
        gc.collect()
    return look()


def _descriptors_of_helpers() -> set[str]:
    """Those of the fork server and the resource tracker: a test may have had to start new ones."""
    ends = (vars(forkserver._forkserver)["_forkserver_alive_fd"], vars(resource_tracker._resource_tracker)["_fd"])
    return {str(Path(f"/proc/self/fd/{end}").readlink()) for end in ends if end is not None}
