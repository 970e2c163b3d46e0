"""docs/progress.md: its program hangs and is told as the page says, and the page names all that the JSON has."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from chainpump import DeadItem, DeadLetter, Inline, Pipeline, Progress, Report, StageReport, Threads
from chainpump.cli.stacks import stacks
from chainpump.cli.target import UsageError
from chainpump.ipc.system import is_portable
from chainpump.messages.failure_texts import STALL_ENDS, stall_goes_on
from chainpump.progress.scaling_rule import Decision
from support.gate import LIMIT, WHOLE

PAGE = (Path(__file__).parents[1] / "docs" / "progress.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
PROGRAM = re.search(r"^```python\n(import re\n.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
TEXTS = re.findall(r"^```text\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
TOLD = [text for text in TEXTS if "stalled.py" in text]


def plain(text: str) -> str:
    """Without what differs from one run to the next: numbers of processes and workers, times, folders and widths."""
    for pattern, same in (
        (r"(pid|process) \d+", r"\1 N"),
        (r"\d of 2", "N of 2"),
        (r"for \d[\d.:]*( s$)?", "for T"),
        (r'[^" ]*/stalled\.py', "stalled.py"),
        (r" {2,}", "  "),
    ):
        text = re.sub(pattern, same, text, flags=re.MULTILINE)
    return text.strip()


@pytest.mark.skipif(is_portable(), reason="what is portable cannot be told from other files")
def test_program_of_the_page_is_told_as_the_page_says(tmp_path: Path) -> None:
    assert PROGRAM is not None
    asked, ended, _ = TOLD
    script = tmp_path / "stalled.py"
    script.write_text(PROGRAM[1])
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + LIMIT
        while plain(told := stacks_of(process.pid)) != plain(asked) and time.monotonic() < until:
            assert process.poll() is None, f"it has ended, and was last told as:\n{told}"
        _, error = process.communicate(timeout=WHOLE)
    assert plain(error[error.index("chainpump.errors.StallError") :]) == plain(ended)


def test_a_warning_has_the_lines_of_the_error_and_other_advice() -> None:
    _, ended, warned = map(plain, TOLD)
    advice = stall_goes_on(None).replace(str(os.getpid()), "12793")
    error = ended.removeprefix("chainpump.errors.StallError: ").replace(STALL_ENDS, advice)
    assert error.startswith(warned)


def stacks_of(pid: int) -> str:
    """What is told of a process; why nothing is, before its run has begun."""
    try:
        return stacks(pid)
    except UsageError as error:
        return str(error)


def test_fragments_of_the_page_run() -> None:
    observed, interrupted = [text for text in BLOCKS if not text.startswith("import re\n")]
    gauges: list[tuple[str, int]] = []
    statsd = SimpleNamespace(gauge=lambda name, value: gauges.append((name, value)))
    numbers = Pipeline(range(3)).map(str, on=Threads())
    exec(observed, {"Progress": Progress, "statsd": statsd, "pipeline": numbers, "save": list})
    assert gauges[-1] == ("items", 3)

    def sink(numbers: Iterable[str]) -> None:
        list(numbers)
        raise KeyboardInterrupt

    saved: list[object] = []
    job = Pipeline([1, 0]).map(lambda n: str(1 / n), on=Inline(), on_error=DeadLetter()).into(sink, on=Inline())
    with pytest.raises(KeyboardInterrupt):
        exec(interrupted, {"job": job, "save": saved.extend})
    assert [letter.item for letter in saved if isinstance(letter, DeadItem)] == [0]


def test_the_page_names_every_key_of_the_json() -> None:
    paragraph = re.search(r"^`report\.to_json\(\)`.*?^$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert paragraph is not None
    keys = [
        *json.loads(Report(None, (), 0.0).to_json()),
        *(field.name for kind in (StageReport, Decision) for field in fields(kind)),
    ]
    assert set(keys) <= set(re.findall(r"`(\w+)`", paragraph[0]))
