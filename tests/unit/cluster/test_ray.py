"""What a stage asks of Ray, and which agents its workers get. No Ray is needed for that."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Sequence

import pytest

from chainpump import Pipeline, Ray, StageOptionError
from chainpump.cluster.ray_launcher import machines_of
from chainpump.messages import ray_texts


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: Ray(0), "workers must be a whole number"),
        (lambda: Ray("auto"), "workers must be a whole number"),  # type: ignore[arg-type]
        (lambda: Ray(restarts=-1), "restarts must be a whole number"),
        (lambda: Ray(num_cpus=-1), "num_cpus must be a number of at least 0 but got: -1"),
        (lambda: Ray(num_cpus=float("inf")), "num_cpus must be a number of at least 0 but got: inf"),
        (lambda: Ray(num_gpus=True), "num_gpus must be a number of at least 0 but got: True"),
        (lambda: Ray(num_gpus=1.5), "num_gpus above 1 must be a whole number but got: 1.5"),
        (lambda: Ray(memory=0.5), "memory must be a whole number"),  # type: ignore[arg-type]
        (lambda: Ray(num_cpus=0), "must need something that Ray counts"),
        (lambda: Ray(resources=["tpu"]), "resources must be a dict"),  # type: ignore[arg-type]
        (lambda: Ray(resources={"GPU": 1}), "resources cannot contain 'GPU': use the option num_gpus"),
        (lambda: Ray(resources={"tpu": "1"}), "resources['tpu'] must be a number"),  # type: ignore[dict-item]
        (lambda: Ray(runtime_env="torch"), "runtime_env must be a dict"),  # type: ignore[arg-type]
        (lambda: Ray(scheduling_strategy="DEFAULT"), "must be one of 'PACK', 'SPREAD'"),  # type: ignore[arg-type]
    ],
)
def test_options_that_cannot_work_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(StageOptionError, match=re.escape(words)):
        make()


def test_executors_for_ray_are_values() -> None:
    variables = {"x": "1"}
    on = Ray(2, num_cpus=0.5, restarts=1, env=variables)
    variables["x"] = "2"
    assert repr(on) == "Ray(2, restarts=1, num_cpus=0.5, env={'x': '1'})"
    assert on == Ray(2, num_cpus=0.5, restarts=1, env={"x": "1"})
    assert len({Ray(resources={"tpu": 1}), Ray(resources={"tpu": 1})}) == 1
    assert repr(Ray()) == "Ray(1)"


def test_a_worker_has_what_ray_counts() -> None:
    assert Ray().bundle == {"CPU": 1}
    on = Ray(num_cpus=0, num_gpus=0.5, memory=1 << 30, resources={"tpu": 2, "none": 0})
    assert on.bundle == {"GPU": 0.5, "memory": 1 << 30, "tpu": 2}


@pytest.mark.parametrize(
    "stages,nodes,agents,places",
    [
        ([Ray(3)], "aba", ["a0", "b1"], [[0, 1, 0]]),
        ([Ray(1), Ray(2, restarts=2)], "aab", ["a0", "b2"], [[0], [0, 1]]),
        ([Ray(1), Ray(1, num_cpus=2)], "aa", ["a0", "a1"], [[0], [1]]),
        ([Ray(1), Ray(1, runtime_env={"pip": ["x"]})], "aa", ["a0", "a1"], [[0], [1]]),
        ([Ray(2, num_gpus=1)], "aa", ["a0", "a1"], [[0, 1]]),
    ],
    ids=["in turn", "shared", "other resources", "another environment", "a device for each"],
)
def test_workers_of_equal_options_on_one_machine_share_an_agent(
    stages: Sequence[Ray], nodes: str, agents: Sequence[str], places: Sequence[Sequence[int]]
) -> None:
    machines, found = machines_of(stages, nodes)
    assert ([f"{each.node}{each.first}" for each in machines], found) == (agents, places)


def test_an_error_says_what_ray_has_no_room_for() -> None:
    bundles = [{"CPU": 2}, {"CPU": 2}, {"GPU": 1}]
    text = str(ray_texts.no_room(bundles, 5.0, {"CPU": 4.0, "memory": 1e9}, {"CPU": 3.0}))
    assert "no room for 2 workers with 2 CPU each and 1 worker with 1 GPU within 5 s." in text
    assert "The cluster has 4 CPU, 0 GPU; free: 3 CPU, 0 GPU." in text


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # An import of a module of this value fails.
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StageOptionError, match=re.escape("Run: pip install 'chainpump[ray]'")):
        list(Pipeline(range(3)).map(str, on=Ray()))


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed here")
def test_where_ray_is_not_installed_the_error_says_so() -> None:
    with pytest.raises(StageOptionError, match="needs ray, which is not installed"):
        list(Pipeline(range(3)).map(str, on=Ray()))
