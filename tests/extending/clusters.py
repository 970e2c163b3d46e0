"""A cluster that is this machine: commands that stand for `srun`, `scontrol` and `kubectl` are in front of others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

from extending import fake_cluster

__all__ = ["Cluster"]


class Cluster:
    """Its commands are in a folder. environment: of a program that runs there."""

    def __init__(self, folder: Path) -> None:
        self._calls = folder / "calls"
        self._calls.touch()
        for name in ("srun", "scontrol", "kubectl"):
            command = folder / name
            command.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} {quote(fake_cluster.__file__)} {name} "$@"\n')
            command.chmod(0o755)
        self.environment: Mapping[str, str] = {
            **os.environ,
            **fake_cluster.ENVIRONMENT,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "CALLS": str(self._calls),
        }

    def calls(self, command: str) -> Sequence[str]:
        """The calls so far that begin so."""
        return [line for line in self._calls.read_text().splitlines() if line.startswith(f"{command} ")]
