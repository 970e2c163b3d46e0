"""An observer: what a run looked like, once a second, as lines of JSON."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from chainpump import Inline, Pipeline, Progress


class JsonLines:
    """Adds a line to a file for each snapshot of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, progress: Progress) -> None:
        """Called by a thread of the run, while it goes on; the last snapshot has `is_over`."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(progress)) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        lines = JsonLines(Path(folder, "progress.jsonl"))
        Pipeline(range(1000)).into(sum, on=Inline()).run(observe=lines)
        print(lines.path.read_text())
