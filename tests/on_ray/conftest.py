"""A Ray cluster of two machines, which are this one, for all tests here; without Ray, none of them runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.gate import LIMIT
from support.processes import descendants

# The folder is not called `ray`, which would be found in place of the library.
collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]
# No network is needed.
os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
CPUS = 16
# To start Ray, on a machine that is ten times slower.
ATTEMPTS = 5
# Ray of the tests has its own threads and descriptors, and warns of its own imports.
IGNORED = ("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray is not ours: what it warns of is no defect of this library."""
    # A string, since `Path` would take a second for all tests.
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        if str(item.path).startswith(here):
            for ignored in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(ignored))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """The cluster to which this process is connected."""
    import ray

    with pytest.MonkeyPatch.context() as monkeypatch:
        # `Cluster` of Ray starts a GCS and two machines, whose processes give up if others of them are slow to start.
        monkeypatch.setenv("RAY_raylet_start_wait_time_s", "60")
        made = next(found for _ in range(ATTEMPTS) if (found := _cluster()) is not None)
    ray.init(address=made.address, logging_level=logging.ERROR)
    yield made
    ray.shutdown()
    made.shutdown()


def _cluster() -> Any:
    """A cluster of two machines. None if it has not started."""
    from ray.cluster_utils import Cluster

    config = {"prestart_worker_first_driver": False}
    made = Cluster()
    try:
        made.add_node(num_cpus=CPUS, num_gpus=2, include_dashboard=False, _system_config=config)
        made.add_node(num_cpus=CPUS, resources={"special": 2})
    except Exception as error:
        print(f"Ray has not started: {error!r}")
        made.shutdown()
        return None
    return made


@pytest.fixture(autouse=True)
def nothing_left(cluster: Any) -> Iterator[None]:
    """After each test: nothing of it is in the cluster, none of our programs runs, and the program is connected."""
    import ray

    yield
    assert ray.is_initialized()
    by = time.monotonic() + LIMIT
    while found := _left():
        assert time.monotonic() < by, found


def _left() -> list[str]:
    """What there is of runs."""
    from ray._private.state import actors
    from ray.util import placement_group_table

    living = [str(each) for each in actors().values() if each["State"] != "DEAD"]
    groups = [str(each) for each in placement_group_table().values() if each["state"] != "REMOVED"]
    programs = [str(pid) for pid in descendants() if b"chainpump.cluster" in _command(pid)]
    return living + groups + programs


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
