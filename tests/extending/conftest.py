"""The examples of `docs/extending.md`, as modules that tests and their workers import."""

import sys
from pathlib import Path

import pytest

from extending.clusters import Cluster

sys.path.append(str(Path(__file__).parents[2] / "examples" / "extending"))


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Not in `tmp_path`, which is the folder of the program."""
    return Cluster(tmp_path_factory.mktemp("cluster"))
