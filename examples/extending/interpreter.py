"""An executor: each worker is a program on another Python, of another version or with other packages."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from chainpump import Pipeline
from chainpump.extending import ProgramExecutor


@dataclass(frozen=True)
class Interpreter(ProgramExecutor):
    """Runs a stage on another Python, which has the same version of chainpump installed. python: its path."""

    python: str = field(kw_only=True)

    def launch(self, arguments: Sequence[str], descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
        """Start one worker; the library does all the rest."""
        return subprocess.Popen([self.python, *arguments], pass_fds=descriptors)


def version(_: int) -> str:
    """Of the Python that runs this."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    print(set(Pipeline(range(100)).map(version, on=Interpreter(2, python=path))))
