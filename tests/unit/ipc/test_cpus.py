"""How many processors there are for this process: by its affinity, and by the quotas of its cgroups."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from chainpump.ipc.cpus import processors

V2 = "0::/docker/one\n"
V1 = "12:memory:/docker/one\n4:cpu,cpuacct:/docker/one\n0::/\n"


@pytest.mark.parametrize(
    "cgroup,files,count",
    [
        pytest.param(V2, {}, 8, id="no quota: its affinity"),
        pytest.param(V2, {"docker/one/cpu.max": "200000 100000\n"}, 2, id="a quota of its own"),
        pytest.param(V2, {"docker/one/cpu.max": "150000 100000\n"}, 2, id="a part of one counts as one"),
        pytest.param(V2, {"docker/one/cpu.max": "1000 100000\n"}, 1, id="at least one"),
        pytest.param(V2, {"docker/one/cpu.max": "max 100000\n"}, 8, id="a quota without limit"),
        pytest.param(V2, {"docker/one/cpu.max": "1600000 100000\n"}, 8, id="a quota beyond the affinity"),
        pytest.param(V2, {"docker/one/cpu.max": "max 100000", "docker/cpu.max": "300000 100000"}, 3, id="of a parent"),
        pytest.param(V2, {"cpu.max": "400000 100000\n"}, 4, id="a container, which sees its own root only"),
        pytest.param(V2, {"docker/one/cpu.max": "odd\n"}, 8, id="what nobody can read says nothing"),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/docker/one/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/docker/one/cpu.cfs_period_us": "100000\n",
            },
            3,
            id="version 1",
        ),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "50000\n"},
            2,
            id="version 1, mounted by its short name, in a container",
        ),
        pytest.param(
            V1,
            {"cpu/docker/one/cpu.cfs_quota_us": "-1\n", "cpu/docker/one/cpu.cfs_period_us": "100000\n"},
            8,
            id="version 1 without limit",
        ),
        pytest.param(None, {}, 8, id="a system without cgroups"),
    ],
)
def test_the_fewest_that_anybody_allows_are_counted(
    cgroup: str | None, files: Mapping[str, str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    texts = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    if cgroup is not None:
        texts["proc/self/cgroup"] = cgroup
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processors(tmp_path) == count


def test_a_system_without_affinities_has_the_processors_that_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors(tmp_path) == 3


def test_this_process_has_at_least_one_and_no_more_than_its_affinity() -> None:
    assert 1 <= processors() <= len(os.sched_getaffinity(0))
