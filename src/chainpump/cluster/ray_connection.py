"""The connection of this process to a Ray cluster: that of the user, or one for the time of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..errors import RunError, StageOptionError
from ..lazy_dataclass import dataclass
from ..messages import ray_texts

__all__ = ["Connection", "connected"]


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to a cluster. ray: the module.

    is_own: whether the cluster was started here, for runs of this process. address: of this machine, as the machines of
    the cluster reach it.
    """

    # Any: the types of Ray are not installed where this is checked.
    ray: Any
    is_own: bool
    address: str


class _Own:
    """The connection that this module has made. A process has only one, so that runs at the same time share it."""

    def __init__(self) -> None:
        # Held while a connection is made or ended.
        self.lock = threading.Lock()
        self.users = 0
        self.is_local = False


_own = _Own()


@contextmanager
def connected(num_cpus: float) -> Generator[Connection, None, None]:
    """Be connected to a cluster inside this block. num_cpus: a Ray that is started for it has at least so many.

    Raises StageOptionError if Ray is not installed or cannot be used here, and RunError if there is no cluster.
    """
    ray = _imported()
    with _own.lock:
        is_users = not _own.users and ray.is_initialized()
        if not is_users:
            if not _own.users:
                _own.is_local = _connect(ray, num_cpus)
            _own.users += 1
    try:
        if ray.util.client.ray.is_connected():
            raise StageOptionError(ray_texts.CLIENT)
        is_local = not is_users and _own.is_local
        yield Connection(ray, is_local, "127.0.0.1" if is_local else ray.util.get_node_ip_address())
    finally:
        if not is_users:
            with _own.lock:
                _own.users -= 1
                if not _own.users:
                    ray.shutdown()


# Any: see `Connection`.
def _imported() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]  # an extra
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise StageOptionError(ray_texts.NOT_INSTALLED) from None
    return ray


def _connect(ray: Any, num_cpus: float) -> bool:
    """Connect this process to the cluster of RAY_ADDRESS, or to a new one. Returns whether it is new."""
    is_new = not os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {}
    if is_new:
        options = {
            "address": "local",
            # Workers beyond the number of processors share these, as those of `Processes` do.
            "num_cpus": max(os.cpu_count() or 1, int(num_cpus) + 1),
            "include_dashboard": False,
            # Processes without work, one for each processor.
            "_system_config": {"prestart_worker_first_driver": False},
        }
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        # What workers print comes by the run. Ray would also print, into the standard output of this program, what
        # happens elsewhere in the cluster.
        ray.init(logging_level="WARNING", log_to_driver=False, **options)
    except Exception as error:
        raise RunError(ray_texts.refused(error)) from error
    finally:
        if is_main and handler is not None:
            # Ray sets its own.
            signal.signal(signal.SIGTERM, handler)
    return is_new
