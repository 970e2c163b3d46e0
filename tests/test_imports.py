"""What a program and its workers import: time and memory of each start. Counted in modules, since clocks vary."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.gate import WHOLE

# Of the standard library: each takes milliseconds, or brings others along that do.
COSTLY = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "decimal",
    "email",
    "importlib.metadata",
    "json",
    "logging",
    "sqlite3",
    "unittest",
    "uuid",
    "xml",
}
LIBRARIES = {"argcomplete", "cloudpickle", "numpy", "opentelemetry", "prometheus_client", "ray", "rich", "typeguard"}
STARTING_PROCESSES = {"multiprocessing", "socket", "subprocess", "tempfile"}
VALUES = "from chainpump import Inline, Pipeline, Processes, Ray, Retry, Skip, Tasks, Threads, source, stage"
PROGRAM = """
import sys

def modules(item):
    return sorted(sys.modules)

if __name__ == "__main__":
    from chainpump import Pipeline, Processes

    before = set(modules(0))
    for each in Pipeline(range(2)).map(modules, on=Processes(start_method=sys.argv[1])):
        print(*each)
"""
CLASSES = """
import sys
from types import FunctionType

def has_init(kind):
    \"\"\"Whether it is a lazy dataclass whose `__init__` has been compiled.\"\"\"
    space = getattr(kind, "__dict__", {})
    return "__lazy_fields__" in space and isinstance(space.get("__init__"), FunctionType)

def print_classes():
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("chainpump.")]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type) and has_init(kind)}
    print(*sorted(kind.__module__ + "." + kind.__qualname__ for kind in kinds))
"""
# Each worker prints them as it ends, after its report.
STAGES = """
import atexit
from collections.abc import Iterable, Iterator

def numbers() -> Iterator[int]:
    atexit.register(print_classes)
    yield 1

def same(item: int) -> int:
    atexit.register(print_classes)
    return item

def copied(items: Iterable[int]) -> Iterator[int]:
    atexit.register(print_classes)
    yield from items

def total(items: Iterable[int]) -> int:
    atexit.register(print_classes)
    return sum(items)

if __name__ == "__main__":
    from chainpump import Pipeline, source

    Pipeline(source(numbers)).map(same).then(copied).into(total).run()
"""


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after this code."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", script], text=True, timeout=WHOLE).split())


def parts(modules: set[str]) -> set[str]:
    """The files and folders of this package that are among them."""
    return {name.split(".")[1] for name in modules if name.startswith("chainpump.")}


def test_names_for_building_pipelines_start_no_engine() -> None:
    loaded = loaded_by(VALUES)
    assert parts(loaded).isdisjoint({"cli", "compat", "logs", "progress", "transport", "worker"})
    assert "chainpump.engine.run" not in loaded
    assert loaded.isdisjoint(COSTLY | LIBRARIES | STARTING_PROCESSES)


def test_building_a_pipeline_starts_no_engine() -> None:
    loaded = loaded_by(f"{VALUES}\nPipeline(['1']).map(int, on=Processes(2)).filter(bool).into(sum).plan()")
    assert parts(loaded).isdisjoint({"cli", "compat", "logs", "progress", "transport", "worker"})
    assert "chainpump.engine.run" not in loaded
    assert loaded.isdisjoint({"asyncio", "json", "subprocess", "tempfile", *LIBRARIES} - {"cloudpickle"})


def loaded_by_a_worker(program: Path, text: str, start_method: str) -> set[str]:
    """The modules that a worker of this program has loaded once it is in its second item."""
    program.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program), start_method], capture_output=True, text=True, timeout=WHOLE, check=True
    )
    return set(done.stdout.splitlines()[1].split())


def test_a_worker_started_afresh_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    loaded = loaded_by_a_worker(tmp_path / "program.py", PROGRAM, "spawn")
    assert parts(loaded).isdisjoint({"building", "cli", "compat", "engine", "pipeline", "progress", "start"})
    assert {name for name in loaded if name.startswith("chainpump.hints.")} == {"chainpump.hints.objects"}
    assert loaded.isdisjoint(COSTLY | LIBRARIES | {"ast", "dis", "inspect"})


def test_a_worker_of_the_fork_server_compiles_no_method_for_itself(tmp_path: Path) -> None:
    """An `__init__` that the server has not compiled, each worker compiles in every run."""
    program = tmp_path / "program.py"
    program.write_text(f"{CLASSES}\n{STAGES}", encoding="utf-8")
    workers = subprocess.check_output([sys.executable, str(program)], text=True, timeout=WHOLE).splitlines()
    preload = f"import chainpump.executors.fork_server_preload\n{CLASSES}\nprint_classes()"
    server = subprocess.check_output([sys.executable, "-c", preload], text=True, timeout=WHOLE).split()
    assert "chainpump.worker.outcome.Finished" in server
    assert len(workers) == 4
    assert {name for line in workers for name in line.split()} - set(server) == set()


@pytest.mark.parametrize("text", [PROGRAM, f"{VALUES}\n{PROGRAM}"], ids=["main file without names", "with names"])
def test_a_worker_of_the_fork_server_imports_nothing_for_itself(tmp_path: Path, text: str) -> None:
    """What one imports that the server has not, all of them import, one by one, in every run."""
    loaded = loaded_by_a_worker(tmp_path / "program.py", text, "forkserver")
    server = loaded_by("import multiprocessing.forkserver, chainpump.executors.fork_server_preload")
    assert loaded - server - {"__mp_main__"} == set()


def test_each_extra_that_a_message_names_exists() -> None:
    root = Path(__file__).parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    texts = [path.read_text(encoding="utf-8") for path in (root / "src").rglob("*.py")]
    named = {extra for text in texts for extra in re.findall(r"chainpump\[(\w+)\]", text)}
    assert {"check", "progress", "ray"} <= named
    assert named <= set(extras)
