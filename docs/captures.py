"""Makes what docs/progress.md shows of a run, anew: `python docs/captures.py`. It takes a minute, Pillow, rich and
Chromium.

Runs the example `index_code` as a user does, in a terminal of its own, and keeps the table that was there after some
seconds, the one after the terminal became narrow, and the report. The tables and the page of the report become
pictures: by day and by night, of a wide and a narrow terminal, on a screen and on a phone.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI
from rich.text import Text

DOCS = Path(__file__).parent
EXAMPLE = DOCS.parent / "examples" / "index_code.py"
LINES, WIDE, NARROW = 40, 118, 54  # of the terminal: lines, and columns
SHOWN_AT = 4.0  # seconds: the first table that is kept
COLOUR = re.compile(r"\x1b\[[\d;]*m")
MOVE = re.compile(r"\x1b\[[\d;?]*[A-Za-ln-z]|\r")  # what moves the cursor, or erases
PLACE = re.compile(r"(?<=<!-- made by captures\.py -->\n```text\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
BROWSER = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    "--hide-scrollbars",
)
BAR = 200  # pixels, more than the bars of the browser's window, which take room from the page
COLOURS = 128  # of a picture, so that it is small
# The pictures of the page: the name without "-day" or "-night", and the size in pixels.
PAGES = (("report", (1000, 900)), ("report-phone", (500, 1500)))
# Pixels of a character of the tables, and of the space around.
CHARACTER, AROUND = (8, 18), 16
# A page that looks like a terminal. rich fills in the colours and the text.
TERMINAL = f"""<meta charset="utf-8"><style>
body {{{{ margin: {AROUND}px; background: {{background}}; color: {{foreground}} }}}}
pre {{{{ margin: 0; font: 13.3px/{CHARACTER[1]}px "DejaVu Sans Mono", monospace }}}}
</style><pre>{{code}}</pre>
"""


def main() -> None:
    """Write the page's blocks and the pictures."""
    with TemporaryDirectory() as temporary:
        folder, page = Path(temporary), Path(temporary) / "run.html"
        wide, narrow, printed = recorded(["run", f"{EXAMPLE}:pipeline", "--progress", "--report", str(page)], folder)
        typed = f"$ python -m chainpump run {EXAMPLE.relative_to(DOCS.parent)}:pipeline --progress --report run.html\n"
        blocks = iter((typed + lines(COLOUR.sub("", wide)), printed))
        text = PLACE.sub(lambda _: next(blocks), (DOCS / "progress.md").read_text(encoding="utf-8"))
        (DOCS / "progress.md").write_text(text, encoding="utf-8")
        if shutil.which("chromium") is None:
            sys.exit("no Chromium is here: the pictures stay as they were")
        for is_dark in (False, True):
            when = "night" if is_dark else "day"
            for name, size in PAGES:
                picture(DOCS / f"{name}-{when}.png", page, size, folder, is_dark=is_dark)
            for name, table, columns in (("terminal", wide, WIDE), ("terminal-narrow", narrow, NARROW)):
                shown, size = terminal(table, columns, is_dark=is_dark)
                (folder / "table.html").write_text(shown, encoding="utf-8")
                picture(DOCS / f"{name}-{when}.png", folder / "table.html", size, folder, is_dark=is_dark)


def recorded(arguments: list[str], folder: Path) -> tuple[str, str, str]:
    """Of a command: the table that its terminal showed after some seconds, the next one, and the report it has printed.

    The terminal is narrow from the first of these tables on.
    """
    ours, theirs = pty.openpty()
    resize(theirs, WIDE)
    command = [sys.executable, "-m", "chainpump", *arguments]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=folder, env=environment) as process:
        began, tables, shown = time.monotonic(), [], b""
        while process.poll() is None:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65_536)
                continue
            # The table that has been written is whole: there is one in a second.
            if b"stage" in shown and time.monotonic() - began >= SHOWN_AT and len(tables) < 2:
                tables.append(MOVE.sub("", shown.decode()))
                resize(theirs, NARROW)
            shown = b""
        os.close(ours)
        os.close(theirs)
        assert process.stdout is not None
        printed = process.stdout.read().decode()
    if process.returncode or len(tables) < 2:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}, after {len(tables)} tables")
    return *tables, lines(printed[printed.rindex("\n\nstage ") :])


def resize(terminal: int, columns: int) -> None:
    """Give a terminal so many columns."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))


def terminal(table: str, columns: int, *, is_dark: bool) -> tuple[str, tuple[int, int]]:
    """Return a table as a page that looks like a terminal, and the size of the page."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    text = Text.from_ansi(table.strip("\n"))
    console.print(text, soft_wrap=True)
    theme = MONOKAI if is_dark else DEFAULT_TERMINAL_THEME
    size = columns * CHARACTER[0] + 2 * AROUND, len(text.plain.splitlines()) * CHARACTER[1] + 2 * AROUND
    return console.export_html(theme=theme, inline_styles=True, code_format=TERMINAL), size


def picture(path: Path, page: Path, size: tuple[int, int], folder: Path, *, is_dark: bool) -> None:
    """Let the browser draw a page."""
    # The numbers are those of the browser: 0 is dark, 1 is light.
    look = [f"--window-size={size[0]},{size[1] + BAR}", f"--blink-settings=preferredColorScheme={int(not is_dark)}"]
    files = [f"--user-data-dir={folder}/profile", f"--screenshot={path}", page.as_uri()]
    subprocess.run([*BROWSER, *look, *files], check=True, capture_output=True, timeout=100)
    with Image.open(path) as drawn:
        drawn.crop((0, 0, *size)).convert("RGB").quantize(COLOURS).save(path, optimize=True)


def lines(text: str) -> str:
    """Without what is blank at the ends of lines, and of the text."""
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


if __name__ == "__main__":
    main()
