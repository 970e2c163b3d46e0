"""Machines of Kubernetes: a stage in all running pods with a label, reached by `kubectl exec`."""

import socket
import subprocess

from chainpump import Hosts, Pipeline


def pods(label: str, workers: int, python: str = "python3") -> Hosts:
    """The pods only have to run, such as those of a job with `sleep infinity`. python: in their container."""
    running = ["--field-selector=status.phase=Running", "--output=jsonpath={.items[*].metadata.name}"]
    listed = subprocess.run(
        ["kubectl", "get", "pods", f"--selector={label}", *running],  # noqa: S607  # it is where the user has it
        check=True,
        capture_output=True,
        text=True,
    )
    # No service names this pod: its address is what the others can reach.
    address = socket.gethostbyname(socket.gethostname())
    command = f"kubectl exec --stdin {{host}} -- {python}"
    return Hosts(listed.stdout.split(), workers, command=command, address=address)


def squared(number: int) -> int:
    """What the pods compute."""
    return number * number


if __name__ == "__main__":
    print(list(Pipeline(range(4)).map(squared, on=pods("app=squares", workers=4))))  # [0, 1, 4, 9]
