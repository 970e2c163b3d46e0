"""Namespaces: attributes that threads, or processes, share, with a lock."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import tempfile
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

__all__ = ["AsyncNamespace", "Namespace", "SharedNamespace"]

# The files of a shared namespace.
LOCK = "lock"
DATA = "attributes"


class Namespace:
    """Attributes that threads share. `with namespace:` holds its lock, which a thread may take several times.

    >>> namespace = Namespace(count=0)
    >>> with namespace:
    ...     namespace.count += 1
    >>> namespace.count
    1
    """

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes, _lock=threading.RLock())

    # Any attribute may exist. These two methods also tell type checkers so.
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the namespace has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)[name] = value

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class AsyncNamespace(Namespace):
    """Attributes that the tasks of an event loop share. `async with namespace:` holds its lock.

    >>> import asyncio
    >>> namespace = AsyncNamespace(count=0)
    >>> async def add() -> None:
    ...     async with namespace:
    ...         namespace.count += 1
    >>> asyncio.run(add())
    >>> namespace.count
    1
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # Only a program with an event loop needs it.
        import asyncio

        vars(self)["_async_lock"] = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._async_lock.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._async_lock.release()


class SharedNamespace:
    """Attributes that processes and threads share. `with namespace:` holds its lock, for changes of several steps.

    >>> namespace = SharedNamespace(count=0)
    >>> with namespace:
    ...     namespace.count += 1
    >>> namespace.count
    1

    The attributes are pickled into a file in a temporary folder. The kernel releases its lock if the process that holds
    it dies. The process that has made the namespace deletes the folder.
    """

    __slots__ = ("__weakref__", "_held", "_path")

    def __init__(self, **attributes: Any) -> None:
        path = tempfile.mkdtemp(prefix="chainpump-")
        self.__setstate__(path)
        weakref.finalize(self, _delete, path, os.getpid())
        (self._path / LOCK).touch()
        with self._locked():
            self._write(attributes)

    def __getstate__(self) -> str:
        return str(self._path)

    def __setstate__(self, path: str) -> None:
        object.__setattr__(self, "_path", Path(path))
        object.__setattr__(self, "_held", threading.local())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # `copy` and `pickle` ask for these before there is a file.
            raise AttributeError(name)
        with self._locked():
            attributes = self._read()
        if name not in attributes:
            raise AttributeError(f"the namespace has no attribute {name!r}")
        return attributes[name]

    def __setattr__(self, name: str, value: Any) -> None:
        with self._locked():
            self._write({**self._read(), name: value})

    def __enter__(self) -> Self:
        locked = self._locked()
        locked.__enter__()
        self._stack().append(locked)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack().pop().__exit__(None, None, None)

    def _stack(self) -> list[Any]:
        """What this thread has entered. A forked process has entered nothing."""
        held = self._held
        if getattr(held, "process", None) != os.getpid():
            held.process, held.stack, held.depth = os.getpid(), [], 0
        stack: list[Any] = held.stack
        return stack

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the lock. Each thread opens the file for itself, so the lock of the kernel separates threads, too."""
        self._stack()
        held = self._held
        held.depth += 1
        try:
            if held.depth > 1:
                yield
                return
            with (self._path / LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        finally:
            held.depth -= 1

    def _read(self) -> dict[str, Any]:
        attributes: dict[str, Any] = pickle.loads((self._path / DATA).read_bytes())
        return attributes

    def _write(self, attributes: dict[str, Any]) -> None:
        # A process that is killed here leaves the attributes as they were.
        new = self._path / f"{os.getpid()}-{threading.get_ident()}"
        new.write_bytes(pickle.dumps(attributes))
        new.replace(self._path / DATA)


def _delete(path: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
