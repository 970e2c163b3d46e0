"""What importing takes, module by module: `python -m benchmarks.imports [--save FILE] [--before FILE]`.

Times are those of `-X importtime`, of a module without those that it imports: the least of some fresh interpreters, in
which modules that bare Python has are left out. `--before` sets those that were saved earlier beside them.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.table import Table, duration

WAYS = {
    "package": "import chainpump",
    "names": "from chainpump import Inline, Pipeline, Processes, Tasks, Threads",
    "building": "import chainpump; chainpump.Pipeline([1]).map(str)",
    "all names": "from chainpump import *",
    "spawned worker": "import multiprocessing.spawn, chainpump.executors.process_main",
    "fork server": "import multiprocessing.forkserver, chainpump.executors.fork_server_preload",
}
LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)")
Times = dict[str, float]


def python(*arguments: str) -> str:
    """What a fresh interpreter writes to standard error. It may keep bytecode, as where a package is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stderr


def cpu_seconds(code: str) -> float:
    """User and system time of an interpreter that runs this code."""
    before = getrusage(RUSAGE_CHILDREN)
    python("-c", code)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def totals(repeats: int) -> Times:
    """CPU time of each way beyond that of bare Python: the least of each, all taking turns."""
    ways = {"": "pass", **WAYS}
    rounds = [{way: cpu_seconds(code) for way, code in ways.items()} for _ in range(repeats)]
    least = {way: min(each[way] for each in rounds) for way in ways}
    return {way: least[way] - least[""] for way in WAYS}


def modules(code: str, repeats: int) -> Times:
    """Seconds of each module that this code imports, and bare Python does not."""
    rounds = [
        {name: int(own) / 1e6 for own, name in LINE.findall(python("-X", "importtime", "-c", code))}
        for _ in range(repeats)
    ]
    bare = {name for _, name in LINE.findall(python("-X", "importtime", "-c", "pass"))}
    return {name: min(each[name] for each in rounds if name in each) for name in rounds[0] if name not in bare}


def compared(title: str, before: Mapping[str, float], now: Mapping[str, float], most: int) -> Table:
    """Those that take most, now or before, and the sum of all."""
    names = sorted({*before, *now}, key=lambda name: -max(before.get(name, 0), now.get(name, 0)))
    rows = [(name, *(duration(each[name]) if name in each else "" for each in (before, now))) for name in names[:most]]
    sums = (f"all {len(each)}: {duration(sum(each.values()))}" if each else "" for each in (before, now))
    rows.append(("sum", *sums))
    return Table(title, ("module", "before", "now"), rows, labels=1)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table of totals, and one of modules for each way of importing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="interpreters for each figure (10)")
    parser.add_argument("--most", type=int, default=25, help="modules in a table (25)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--before", type=Path, metavar="FILE", help="figures that were saved, to compare with")
    options = parser.parse_args(argv)
    before = json.loads(options.before.read_text()) if options.before else {}
    now = {"totals": totals(options.repeats)} | {way: modules(code, options.repeats) for way, code in WAYS.items()}
    known = before.get("totals", {})
    rows = [
        (way, WAYS[way], duration(known[way]) if way in known else "", duration(value))
        for way, value in now["totals"].items()
    ]
    print(Table("CPU time beyond bare Python", ("way", "code", "before", "now"), rows).text())
    for way, code in WAYS.items():
        print(f"\n{compared(f'{way}: {code}', before.get(way, {}), now[way], options.most).text()}")
    if options.save:
        options.save.write_text(json.dumps(now, indent=1))


if __name__ == "__main__":
    main()
