"""Compare what the build says about chains of all kinds of functions with what mypy and pyright say.

    python -m tests.typing.chains [--all] [--few]

prints each chain on which the build differs from both checkers (with --all, from mypy), and the totals. It looks at
combinations of what `chain_cases` lists (with --few, only at those written one by one), and asks each checker in one
call. Where the build differs on purpose, as `chain_cases` says, is counted apart.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from chainpump import PlanError

sys.path.insert(0, str(Path(__file__).parent))
from checkers import Lines, mypy, pyright

CASES = Path(__file__).with_name("chain_cases.py")
# The module that checkers are asked about.
MODULE = "chains.py"


@dataclass(frozen=True)
class Verdict:
    """What was said about a chain. build: "" if it was built, or what it raised."""

    chain: str
    build: str
    mypy: bool
    pyright: bool
    on_purpose: bool

    @property
    def crashed(self) -> bool:
        """Whether it raised what no pipeline may raise."""
        return self.build.startswith("crash")

    @property
    def is_agreed(self) -> bool:
        """Whether both checkers say the same."""
        return self.mypy == self.pyright

    @property
    def differs(self) -> bool:
        """Whether the build says what no checker says."""
        return self.crashed or (self.is_agreed and not self.on_purpose and (not self.build) != self.mypy)


def chains(cases: dict[str, Any]) -> Iterator[str]:
    """All chains, as expressions."""
    for pipeline in cases["PIPELINES"]:
        yield from (f"{pipeline}.map({function})" for function in cases["ITEM_FUNCTIONS"])
        yield from (f"{pipeline}.then({stage})" for stage in cases["STAGES"])
        yield from (f"{pipeline}.into({sink})" for sink in cases["SINKS"])
    yield from cases["CHAINS"]


def build(chain: str, cases: dict[str, Any]) -> str:
    """What the build says: empty where it is built, else the error."""
    try:
        eval(chain, cases)
    except PlanError as error:
        return str(error)
    except TypeError as error:  # a call that Python itself refuses, and so do checkers
        return f"call: {error}" if "unexpected keyword argument" in str(error) else f"crash: {error!r}"
    except Exception as error:
        return f"crash: {error!r}"
    return ""


class Table(NamedTuple):
    """Chains, and the text of a module that has each on a line of its own, after a head of so many lines."""

    chains: Sequence[str]
    cases: dict[str, Any]
    module: str
    head: int

    def write(self, folder: Path) -> None:
        """Write the module."""
        (folder / MODULE).write_text(self.module)

    def verdicts(self, refused: Sequence[Lines]) -> list[Verdict]:
        """What was said about each chain. refused: the lines that mypy refuses, and those that pyright refuses."""
        return [
            Verdict(
                each,
                build(each, self.cases),
                *((MODULE, self.head + number) not in lines for lines in refused),
                on_purpose=any(map(each.endswith, self.cases["ON_PURPOSE"])),
            )
            for number, each in enumerate(self.chains, start=1)
        ]


def table(whole: bool = True) -> Table:
    """All chains, or those that are written one by one."""
    module = sys.modules["chain_cases"] = type(sys)("chain_cases")
    cases = vars(module)
    head = CASES.read_text()
    exec(compile(head, str(CASES), "exec", dont_inherit=True), cases)
    written = list(chains(cases)) if whole else cases["CHAINS"]
    lines = [*head.splitlines(), *(f"def case_{n}() -> None: _ = {each}" for n, each in enumerate(written))]
    return Table(written, cases, "\n".join(lines), len(lines) - len(written))


def main() -> int:
    """Print them, and the totals."""
    asked = table("--few" not in sys.argv)
    with tempfile.TemporaryDirectory() as folder:
        asked.write(Path(folder))
        found = asked.verdicts([checker(Path(folder)) for checker in (mypy, pyright)])
    shown = [each for each in found if each.differs or ("--all" in sys.argv and (not each.build) != each.mypy)]
    for each in shown:
        said = {True: "accepts", False: "refuses"}
        print(f"{each.chain}\n    mypy {said[each.mypy]}, pyright {said[each.pyright]}, the build: ", end="")
        print(" ".join(each.build.split())[:200] or "accepts")
    agreed = [each for each in found if each.is_agreed and not each.on_purpose]
    right = sum(not each.differs for each in agreed)
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"Python {version}: {len(found)} chains, {sum(each.crashed for each in found)} crashes; mypy and pyright agree"
        f" on {len(agreed)}, and the build with them on {right} ({right / len(agreed):.1%}); on"
        f" {sum(each.on_purpose for each in found)} it differs on purpose"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
