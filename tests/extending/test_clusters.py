"""The examples for SLURM and Kubernetes start one agent on each machine, by commands that take these options only."""

from __future__ import annotations

from collections.abc import Callable

import kubernetes
import pytest
import slurm

from chainpump import Hosts, Pipeline
from extending.clusters import Cluster
from extending.fake_cluster import MACHINES


@pytest.fixture(autouse=True)
def on_the_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "CALLS", "SLURM_JOB_NODELIST", "SLURM_CPUS_ON_NODE"):
        monkeypatch.setenv(name, cluster.environment[name])


def of_slurm(python: str) -> Hosts:
    return slurm.slurm(4, python)


def of_kubernetes(python: str) -> Hosts:
    return kubernetes.pods("app=squares", 4, python)


CLUSTERS = pytest.mark.parametrize(
    "hosts, command", [(of_slurm, "srun --nodelist={}"), (of_kubernetes, "kubectl exec --stdin {}")]
)


@CLUSTERS
def test_each_machine_gets_one_agent_in_each_run(hosts: Callable[[str], Hosts], command: str, cluster: Cluster) -> None:
    on = hosts("python3")
    report = Pipeline(range(50)).map(slurm.squared, on=on).map(abs, on=on).into(sum, on=on).run()
    assert report.value is not None
    assert {each.host for stage in report.stages for each in stage.hosts} == set(MACHINES)
    for machine in MACHINES:
        called = cluster.calls(command.format(machine))
        assert [line.split()[-3:] for line in called] == [["python3", "-m", "chainpump.cluster.agent_main"]]
