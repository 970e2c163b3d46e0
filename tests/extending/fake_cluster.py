"""What stands for `srun`, `scontrol` and `kubectl`: it takes the options of the examples, and no others.

Each call adds a line to the file CALLS. `python3` is the Python that runs this.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

MACHINES = ["n1", "n2"]
ENVIRONMENT = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CPUS_ON_NODE": "2"}


def run(python: str, *arguments: str) -> None:
    """Become the program on the machine, with the standard input of the command."""
    assert python == "python3", python
    os.execv(sys.executable, [sys.executable, *arguments])


def srun(*options: str) -> None:
    """Run a job step on one node."""
    node, *others = options[:6]
    assert others == ["--nodes=1", "--ntasks=1", "--overlap", "--cpu-bind=none", "--cpus-per-task=2"], others
    assert node.removeprefix("--nodelist=") in MACHINES, node
    run(*options[6:])


def scontrol(*options: str) -> None:
    """The names of the nodes, one a line."""
    assert options == ("show", "hostnames", "n[1-2]"), options
    print("\n".join(MACHINES))


def kubectl(command: str, *options: str) -> None:
    """List pods, or run a program in one."""
    if command == "get":
        phase, output = "--field-selector=status.phase=Running", "--output=jsonpath={.items[*].metadata.name}"
        assert options == ("pods", "--selector=app=squares", phase, output), options
        print(" ".join(MACHINES), end="")
        return
    stdin, pod, end, *program = options
    assert (command, stdin, end) == ("exec", "--stdin", "--"), (command, *options)
    assert pod in MACHINES, pod
    run(*program)


if __name__ == "__main__":
    name, arguments = Path(sys.argv[1]).name, sys.argv[2:]
    with Path(os.environ["CALLS"]).open("a", encoding="utf-8") as file:
        file.write(" ".join([name, *arguments]) + "\n")
    {"srun": srun, "scontrol": scontrol, "kubectl": kubectl}[name](*arguments)
