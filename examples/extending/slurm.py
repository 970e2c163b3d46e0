"""Machines of SLURM: a stage on all nodes of the allocation in which the program runs, reached by `srun`."""

import os
import subprocess

from chainpump import Hosts, Pipeline


def slurm(workers: int, python: str = "python3") -> Hosts:
    """Each node gets one job step, with all processors of the node that the job has. python: on the nodes."""
    listed = subprocess.run(
        ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]],  # noqa: S607  # SLURM sets the PATH
        check=True,
        capture_output=True,
        text=True,
    )
    step = "srun --nodelist={host} --nodes=1 --ntasks=1 --overlap --cpu-bind=none"
    processors = f"--cpus-per-task={os.environ['SLURM_CPUS_ON_NODE']}"
    return Hosts(listed.stdout.split(), workers, command=f"{step} {processors} {python}")


def squared(number: int) -> int:
    """What the nodes compute."""
    return number * number


if __name__ == "__main__":
    print(list(Pipeline(range(4)).map(squared, on=slurm(workers=4))))  # [0, 1, 4, 9]
