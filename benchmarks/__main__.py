"""Measure chainpump beside its peers and print a table per experiment. Never a timed test."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import (
    auto,
    awaiting,
    balance,
    checks,
    compat,
    durable,
    epochs,
    ferry,
    growth,
    joining,
    latency,
    link,
    mapping,
    memory,
    order,
    progress,
    recycling,
    scaling,
    shared,
    startup,
    switchboard,
    throughput,
)
from benchmarks.experiment import Experiment, Result, Settings
from benchmarks.machine import as_text, facts
from benchmarks.payloads import PAYLOADS
from benchmarks.runner import CaseError
from benchmarks.systems import MAPS, SYSTEMS
from benchmarks.table import Table
from benchmarks.targets import WANTED_MAP_RATES, WANTED_RATIOS

EXPERIMENTS: dict[str, Experiment] = {
    "throughput": throughput.run,
    "map": mapping.run,
    "scaling": scaling.run,
    "balance": balance.run,
    "auto": auto.run,
    "growth": growth.run,
    "joining": joining.run,
    "latency": latency.run,
    "memory": memory.run,
    "order": order.run,
    "tasks": awaiting.run,
    "checks": checks.run,
    "compat": compat.run,
    "progress": progress.run,
    "durable": durable.run,
    "link": link.run,
    "ferry": ferry.run,
    "switchboard": switchboard.run,
    "recycling": recycling.run,
    "shared": shared.run,
    "startup": startup.run,
    "epochs": epochs.run,
}
# Those of which something is wanted.
QUICK_PAYLOADS = {
    "throughput": [name for name in PAYLOADS if any(name == payload for payload, _ in WANTED_RATIOS)],
    "map": [name for name in PAYLOADS if name in WANTED_MAP_RATES],
    "joining": ["int", "dict", "array1M"],
}
ALL_SYSTEMS = list(dict.fromkeys([*SYSTEMS, *MAPS]))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiments named, or all. Returns 1 if a case broke or lost items, never for a poor figure."""
    parser = _parser()
    options = parser.parse_args(argv)
    if unknown := set(options.experiments) - set(EXPERIMENTS):
        parser.error(f"EXPERIMENT must be of {', '.join(EXPERIMENTS)} but got: {', '.join(sorted(unknown))}")
    settings = Settings(
        payloads=options.payloads or list(PAYLOADS),
        systems=options.systems or ALL_SYSTEMS,
        repeats=options.repeats or (1 if options.quick else 3),
        seconds=options.seconds or (0.4 if options.quick else 1.0),
        limit=options.limit,
    )
    machine = facts()
    print(as_text(machine))
    results: dict[str, Result] = {}
    for name in options.experiments or EXPERIMENTS:
        shortened = options.quick and not options.payloads and name in QUICK_PAYLOADS
        own = replace(settings, payloads=QUICK_PAYLOADS[name]) if shortened else settings
        results[name] = _run(name, own)
        print(f"\n{results[name].table.text()}", flush=True)
    if options.json:
        _write_json(options.json, machine, results)
    if options.markdown:
        _write_markdown(options.markdown, machine, results)
    return int(any(result.failed for result in results.values()))


def _run(name: str, settings: Settings) -> Result:
    # Those beside others show what is missing, or what broke, per row; the rest are about chainpump alone.
    missing = SYSTEMS["chainpump"].missing()
    if missing and name not in QUICK_PAYLOADS:
        return Result(_no_figure(name, missing), [])
    try:
        return EXPERIMENTS[name](settings)
    except CaseError as error:
        return Result(_no_figure(name, f"{error.problem}: {error.case}"), [], failed=True)


def _no_figure(name: str, reason: str) -> Table:
    return Table(name, ("no figure",), [(reason,)], labels=1)


def _write_json(path: Path, machine: Mapping[str, str], results: Mapping[str, Result]) -> None:
    records = {name: result.records for name, result in results.items()}
    path.write_text(json.dumps({"machine": machine, "results": records}, indent=1))


def _write_markdown(path: Path, machine: Mapping[str, str], results: Mapping[str, Result]) -> None:
    tables = "\n".join(result.table.markdown() for result in results.values())
    path.write_text(f"# Measurements\n\n{as_text(machine)}.\n\n{tables}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    # Not choices=: with nargs="*" that would reject the empty list.
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    parser.add_argument("--payloads", nargs="+", choices=PAYLOADS, metavar="NAME", help=", ".join(PAYLOADS))
    parser.add_argument("--systems", nargs="+", choices=ALL_SYSTEMS, metavar="NAME", help=", ".join(ALL_SYSTEMS))
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short run of each, some minutes in all; only payloads of which something is wanted",
    )
    parser.add_argument(
        "--repeats", type=int, help="runs of each case; the best counts, of auto the median (3, quick: 1)"
    )
    parser.add_argument("--seconds", type=float, help="about the length of a measured run (1, quick: 0.4)")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds until a case is killed (30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures behind the tables")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
