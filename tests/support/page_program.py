"""A page of the documentation as a program: its blocks of Python in one file, and what it says that each prints.

All definitions come first, in the order of the page; what a block does under its main guard, or outside of functions,
comes under one guard. An HTML comment `<!-- setup` has code that readers need not see. A block of text directly behind
a block of Python is what that prints. `<!-- figures vary -->` before it says that numbers and the widths of columns may
differ, and `<!-- for example -->` that only the words at the beginnings of lines are the same.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .gate import WHOLE

PART = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->"
    r"|^ *```python\n(?P<code>.*?)^ *```$"
    r"|^<!-- (?P<vary>figures vary|for example) -->$"
    r"|^ *```text\n(?P<printed>.*?)^ *```$"
    r"|^(?P<prose>\S[^\n]*)$",
    re.DOTALL | re.MULTILINE,
)
GUARD = 'if __name__ == "__main__":'
MARK = "=== block"
DOES = (ast.Expr, ast.For, ast.With, ast.Try, ast.Assert, ast.If)


@dataclass
class Block:
    """One block of Python, and what the page says that it prints, if it does."""

    code: str
    printed: str | None = None
    vary: str = ""


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found: list[Block] = []
    vary, behind = "", False
    for part in PART.finditer(page):
        if part["setup"] is not None or part["code"] is not None:
            found.append(Block(dedented(part["setup"] if part["code"] is None else part["code"])))
            vary, behind = "", part["code"] is not None
        elif part["vary"]:
            vary = part["vary"]
        elif part["printed"] is not None:
            if behind and found:
                found[-1].printed, found[-1].vary = dedented(part["printed"]), vary
            vary, behind = "", False
        elif part["prose"] and not part["prose"].startswith((":::", "prints")):
            behind = False
    return found


def dedented(text: str) -> str:
    """The text of a fence that stands in a list or a tab."""
    indent = len(text) - len(text.lstrip(" "))
    return "".join(line[indent:] if line.strip() else "\n" for line in text.splitlines(keepends=True))


def program(found: list[Block]) -> str:
    """All blocks as one program, which marks where the output of each begins."""
    definitions, does = [], []
    for number, block in enumerate(found):
        lines = block.code.splitlines()
        does.append(f"    print({f'{MARK} {number}'!r}, flush=True)")
        end = 0
        for statement in ast.parse(block.code).body:
            # With the comments above it.
            text = lines[end : statement.end_lineno]
            end = statement.end_lineno or 0
            if isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'":
                first = statement.body[0].lineno - 1
                does += lines[first : statement.end_lineno]
            elif isinstance(statement, DOES) or (isinstance(statement, ast.Assign) and ".run(" in "".join(text)):
                does += [f"    {line}" for line in text]
            else:
                definitions += text
    return "\n".join([*definitions, GUARD, *does, ""])


def outputs(found: list[Block], folder: Path) -> list[str]:
    """What each block prints. Fails if the program does, or if it writes to standard error."""
    script = folder / "page.py"
    script.write_text(program(found), encoding="utf-8")
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WHOLE, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    parts = re.split(rf"^{MARK} \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(parts) == len(found)
    return parts


def like(shown: str, printed: str, vary: str) -> bool:
    """Whether this was printed. `...` in what is shown stands for anything."""
    if vary == "for example":
        return first_words(shown) <= first_words(printed)
    if vary:
        shown, printed = map(without_figures, (shown, printed))
    pattern = ".*?".join(map(re.escape, shown.strip().split("...")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def first_words(text: str) -> set[str]:
    """The words at the beginnings of lines, but for numbers."""
    words = {line.split()[0].rstrip(":") for line in text.splitlines() if line.strip()}
    return {word for word in words if word.isidentifier()}


def without_figures(text: str) -> str:
    """A table or a message without what differs from run to run."""
    return re.sub(r" +", " ", re.sub(r"\d[\d,.:]*( [kMG]?B)?", "N", text))
