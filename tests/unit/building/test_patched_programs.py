"""Programs whose standard library was patched for green threads."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from chainpump import Inline, Pipeline, Processes, StageOptionError, Tasks, Threads
from chainpump.executors.base import Executor

GEVENT = {"gevent.monkey": SimpleNamespace(is_module_patched=lambda name: name in {"threading", "select"})}
EVENTLET = {"eventlet.patcher": SimpleNamespace(is_monkey_patched=lambda name: name in {"thread", "select"})}
HARMLESS = {
    "gevent.monkey": SimpleNamespace(is_module_patched=lambda name: name in {"select", "time"}),
    "eventlet.patcher": SimpleNamespace(is_monkey_patched=lambda _: False),
}


async def same(item: int) -> int:
    return item


def chain(on: Executor) -> Pipeline[int]:
    numbers = Pipeline(range(3))
    return numbers.map(same, on=on) if on.capabilities.runs_async else numbers.map(abs, on=on)


@pytest.mark.parametrize(
    "modules,on",
    [
        *((GEVENT, Processes(start_method=method)) for method in ("forkserver", "spawn", "fork")),
        (EVENTLET, Processes()),
        (EVENTLET, Threads()),
        (EVENTLET, Tasks()),
    ],
)
def test_what_cannot_work_there_is_refused_before_it_starts(monkeypatch, modules, on):
    monkeypatch.setattr(sys, "modules", sys.modules | modules)
    library = next(iter(modules)).partition(".")[0]
    message = rf"cannot work in this program: {library} has patched its (threading|select, thread)\.\n  .*subprocess"
    for pipeline in (chain(on), Pipeline.concat(chain(on))):
        with pytest.raises(StageOptionError, match=message):
            list(pipeline)


@pytest.mark.parametrize(
    "modules,on",
    [
        (GEVENT, Threads()),
        (GEVENT, Tasks()),
        (GEVENT, Inline()),
        (EVENTLET, Inline()),
        (HARMLESS, Threads()),
        (HARMLESS, Processes()),
    ],
)
def test_what_works_there_runs(monkeypatch, modules, on):
    monkeypatch.setattr(sys, "modules", sys.modules | modules)
    assert list(chain(on)) == [0, 1, 2]
