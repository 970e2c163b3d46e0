"""What Ray decides for a stage, what it refuses, and what is left in the cluster."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chainpump import Pipeline, Processes, Ray, RunError, Runnable, Threads, WorkerLostError, source
from chainpump.cluster import ray_launcher
from cluster import work as host_work
from cluster.programs import agent_of
from contract import stages
from on_ray import work
from support.gate import LIMIT, WHOLE, Gate, Journal
from support.processes import gone, parent, press_ctrl_c, watching

HERE = socket.gethostname()
# The process of the machine of a worker; two machines of the tests differ in it.
NODE = "RAY_RAYLET_PID"


def seen(gate: Gate, journal: Journal, on: Ray, *names: str) -> list[list[str]]:
    """These variables of each worker, which are held until all of them have an item."""
    before = len(journal.lines)
    with Pipeline(source(stages.endless)).map(partial(work.around, names, journal, gate), on=on).open():
        for _ in range(on.workers):
            gate.wait_held()
    return [line.split(" ") for line in journal.lines[before:]]


# --------------------------------------------------------------------------------------------------------- resources


def test_workers_are_where_their_resource_is(gate: Gate, journal: Journal) -> None:
    here, also_here = seen(gate, journal, Ray(2, resources={"special": 1}), NODE)
    assert here == also_here
    one, other = seen(gate, journal, Ray(2, scheduling_strategy="STRICT_SPREAD"), NODE)
    assert one != other
    assert here in (one, other)


def test_each_worker_sees_its_own_devices(gate: Gate, journal: Journal) -> None:
    assert sorted(seen(gate, journal, Ray(2, num_gpus=1), "CUDA_VISIBLE_DEVICES")) == [["0"], ["1"]]


def test_agents_start_in_the_environment_of_ray_and_workers_have_their_variables(gate: Gate, journal: Journal) -> None:
    on = Ray(1, num_cpus=3, runtime_env={"env_vars": {"COLOUR": "blue"}}, env={"SHADE": "dark"})
    assert seen(gate, journal, on, "COLOUR", "SHADE", "OMP_NUM_THREADS") == [["blue", "dark", "3"]]


def test_stages_with_other_resources_mix_with_those_of_this_machine() -> None:
    pipeline = Pipeline(source(stages.numbers, 300), on=Ray(num_cpus=0.5)).map(host_work.doubled, on=Processes(2))
    mixed = pipeline.map(host_work.doubled, on=Ray(3)).map(host_work.doubled, on=Threads())
    assert list(mixed) == list(mixed.inline())


def test_a_pipeline_without_executors_may_run_on_ray() -> None:
    assert list(Pipeline(range(50)).map(host_work.doubled).open(on=Ray(2))) == list(range(0, 100, 2))


# ---------------------------------------------------------------------------------------------------------- failures


def test_no_room_is_an_error_that_says_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launcher, "RESERVED_WITHIN", 1.0)
    with pytest.raises(RunError) as caught:
        list(Pipeline(range(3)).map(host_work.doubled, on=Ray(2, resources={"special": 2})))
    assert "Ray has found no room for 2 workers with 1 CPU, 2 special each within 1 s." in str(caught.value)
    assert "The cluster has 32 CPU, 2 special; free: 32 CPU, 2 special." in str(caught.value)


def test_ctrl_c_ends_the_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.util import placement_group_table

    def interrupt() -> None:
        while not any(each["state"] == "PENDING" for each in placement_group_table().values()):
            pass
        press_ctrl_c(os.getpid())

    monkeypatch.setattr(ray_launcher, "RESERVED_WITHIN", WHOLE)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(Pipeline(range(3)).map(host_work.doubled, on=Ray(resources={"nowhere": 1})))
    thread.join(LIMIT)


def test_what_ray_refuses_is_named() -> None:
    with pytest.raises(RunError, match="the run could not start: Ray has refused: ValueError: /no/such/folder is not"):
        list(Pipeline(range(3)).map(host_work.doubled, on=Ray(runtime_env={"working_dir": "/no/such/folder"})))


def killed(gate: Gate, find: Any) -> str:
    """Kill a process while a worker is busy; the text of the error that this causes."""
    on = Ray(2, scheduling_strategy="SPREAD")
    with Pipeline(source(stages.endless)).map(partial(host_work.held, gate, 30), on=on).open() as run:
        worker = gate.wait_held()
        with watching([worker, agent_of(worker)]) as watched:
            os.kill(find(worker), signal.SIGKILL)
            with pytest.raises(WorkerLostError) as caught:
                for _ in run:
                    pass
            assert gone(watched)
    return str(caught.value)


# The switchboard notices the end of the link, and Ray that of the actor: whichever comes first.
KILLED = rf"lost worker \d of 2 \(pid \d+ on {HERE}\): ({HERE}|the (agent|actor of Ray that runs the agent) of {HERE}) "


def test_the_death_of_an_agent_is_the_loss_of_its_machine(gate: Gate) -> None:
    assert re.search(KILLED, killed(gate, agent_of))


def test_the_death_of_an_actor_is_the_loss_of_its_machine(gate: Gate) -> None:
    assert re.search(KILLED, killed(gate, lambda worker: parent(agent_of(worker))))


def test_another_agent_of_a_lost_one_gets_its_room() -> None:
    launcher = ray_launcher.RayLauncher([Ray(3)])
    try:
        assert launcher.places == [[0, 0, 0]]
        assert launcher.another(0, []) == 1
        assert launcher.names == [HERE, HERE]
    finally:
        launcher.close()


def test_the_death_of_a_machine_ends_the_run(cluster: Any, gate: Gate) -> None:
    node = cluster.add_node(num_cpus=1, resources={"doomed": 1})
    held = Pipeline(source(stages.endless)).map(partial(host_work.held, gate, 30), on=Ray(resources={"doomed": 1}))
    with held.open() as run:
        worker = gate.wait_held()
        with watching([worker, agent_of(worker)]) as watched:
            cluster.remove_node(node, allow_graceful=False)
            with pytest.raises(WorkerLostError, match=rf"\(pid \d+ on {HERE}\)"):
                for _ in run:
                    pass
            assert gone(watched)


# ------------------------------------------------------------------------------------------------- nothing is left

PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from chainpump import Pipeline, Ray
from cluster import work
from support.gate import Gate

if __name__ == "__main__":
    gate = Gate.__new__(Gate)
    gate.__setstate__((Path(sys.argv[1]), Path(sys.argv[2])))
    print(list(Pipeline(range(100)).map(partial(work.held, gate, 30), on=Ray(2)))[-1])
    if "ray" in sys.modules:
        import ray

        print(ray.is_initialized())
"""


def program(tmp_path: Path, gate: Gate, address: str | None) -> Sequence[str]:
    """The command of a program with one run. address: of the cluster."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    variable = [f"RAY_ADDRESS={address}"] if address else ["-u", "RAY_ADDRESS"]
    return ["env", *variable, sys.executable, str(path), *map(str, gate.__getstate__())]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_main_process(
    cluster: Any, gate: Gate, tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    with subprocess.Popen(program(tmp_path, gate, cluster.address), env=environment) as main:
        worker = gate.wait_held()
        with watching([worker, agent_of(worker), parent(agent_of(worker))]) as watched:
            main.send_signal(number)
            main.wait(WHOLE)
            assert gone(watched)


@pytest.mark.parametrize("is_own", [True, False])
def test_a_program_that_is_not_connected_is_so_for_the_run_only(
    cluster: Any, gate: Gate, tmp_path: Path, environment: dict[str, str], is_own: bool
) -> None:
    command = program(tmp_path, gate, None if is_own else cluster.address)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as main:
        worker = gate.wait_held()
        raylet = int(Path(f"/proc/{worker}/environ").read_text().split(f"{NODE}=")[1].split("\0")[0])
        assert (parent(raylet) == main.pid) == is_own
        with watching([worker, agent_of(worker), *([raylet] if is_own else [])]) as watched:
            gate.release()
            assert main.communicate(timeout=WHOLE)[0].split() == ["99", "False"]
            assert gone(watched)


# ----------------------------------------------------------------------------------------------------------- example


def records(runnable: Runnable[Any]) -> list[tuple[Any, ...]]:
    """All rows of the database that a run of the example writes."""
    with closing(sqlite3.connect(runnable.run().value.database)) as connection:
        return list(connection.execute("SELECT * FROM records"))


def test_the_main_example_gives_the_same_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.setattr(sys, "path", [str(root / "examples"), *sys.path])
    import index_code

    folder = root / "src" / "chainpump"
    on_ray = records(index_code.index(folder, tmp_path / "on_ray", "ray", Ray(1)))
    assert len(on_ray) > 300
    assert on_ray == records(index_code.index(folder, tmp_path / "here", "ray", Processes(1)))
