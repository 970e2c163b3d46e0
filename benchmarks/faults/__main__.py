"""Do the same wrongs to chainpump and to its peers, and print what came of each: `python -m benchmarks.faults`."""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.systems import SYSTEMS
from benchmarks.faults.watch import LINGER, Seen, watch
from benchmarks.faults.wrongs import WRONGS, Wrong, item_is_named_in
from benchmarks.machine import as_text, facts
from benchmarks.systems import SYSTEMS as MEASURED
from benchmarks.table import Table, duration


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cells, and print the table. Returns 1 if one of chainpump's own is not as it should be."""
    options = _parser().parse_args(argv)
    wrongs = [wrong for wrong in WRONGS if re.search(options.only, wrong.name)]
    cells = [(system, wrong) for wrong in wrongs for system in options.systems if not _missing(system)]
    with ThreadPoolExecutor(options.jobs) as pool:
        found = pool.map(lambda cell: _watch(cell[0], cell[1], options.limit), cells)
        seen = {(system, wrong.name): each for (system, wrong), each in zip(cells, found, strict=True)}
    table = _table(wrongs, options.systems, seen, options.limit)
    machine = as_text(facts())
    print(f"{machine}\n\n{table.text()}")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in seen.values()], indent=1))
    if options.markdown:
        options.markdown.write_text(f"{machine}.\n\n{table.markdown()}")
    return int(
        any(not _is_well(wrong, seen["chainpump", wrong.name]) for system, wrong in cells if system == "chainpump")
    )


def _watch(system: str, wrong: Wrong, limit: float) -> Seen:
    print(f"  {system}: {wrong.name}", file=sys.stderr)
    return watch(system, wrong, limit)


def _missing(system: str) -> str | None:
    return MEASURED[system].missing() if system in MEASURED else None


def _table(
    wrongs: Sequence[Wrong], systems: Sequence[str], seen: Mapping[tuple[str, str], Seen], limit: float
) -> Table:
    rows = [
        [wrong.name, *(_missing(system) or _told(wrong, seen[system, wrong.name], limit) for system in systems)]
        for wrong in wrongs
    ]
    notes = (
        "names it: an exception whose text, traceback included, says what went wrong; in brackets, what else it names.",
        "other error: an exception that says something else.",
        "the time is from the start until the program has ended; after a kill, until the last process has.",
        f"leaves N: so many processes were there {LINGER:g} s later.",
    )
    return Table(
        "What becomes of a program in which something goes wrong", ("", *systems), rows, notes, len(systems) + 1
    )


def _told(wrong: Wrong, seen: Seen, limit: float) -> str:
    """A cell in words."""
    if seen.late:
        return f"**hangs** (over {limit:g} s)"
    words = [_outcome(wrong, seen), f"then **hangs** (over {limit:g} s)" if seen.stays else duration(seen.seconds)]
    if seen.left:
        words.append(f"**leaves {seen.left}**")
    return ", ".join(words)


def _outcome(wrong: Wrong, seen: Seen) -> str:
    # 1. The main process was killed: it says nothing. 2. An error: does it name what went wrong, where, and at what?
    # 3. No error, and items are missing. 4. No error, and as many items as were to come.
    if wrong.kills_main:
        return "ends"
    if seen.error is not None:
        if not wrong.is_named_in(seen.error):
            return "other error" if wrong.tells else "error"
        named = [("function", wrong.stage_is_named_in(seen.error)), ("item", item_is_named_in(seen.error))]
        return f"names it ({', '.join(what for what, is_named in named if is_named) or 'neither'})"
    if not wrong.ends_early and seen.arrived < wrong.n:
        return f"**no error, loses {wrong.n - seen.arrived}**"
    return "ends"


def _is_well(wrong: Wrong, seen: Seen) -> bool:
    """What chainpump promises."""
    named = not wrong.tells or (seen.error is not None and wrong.is_named_in(seen.error))
    return named and not (seen.late or seen.stays or seen.left)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--only", default="", metavar="REGEX", help="the rows of this name")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds until a cell is killed (60)")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time (1); more for a quick look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen, with all texts of errors")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
