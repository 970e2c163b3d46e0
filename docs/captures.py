"""Makes what docs/progress.md shows of a run, anew: `python docs/captures.py`. It takes a minute, and Chromium.

Runs the example `index_code` as a user does, in a terminal of its own, and keeps the table that was there after some
seconds, and the report, whose page becomes two pictures: by day on a screen, and by night on a phone.
"""

from __future__ import annotations

import fcntl
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

DOCS = Path(__file__).parent
EXAMPLE = DOCS.parent / "examples" / "index_code.py"
SIZE = (40, 118)  # lines and columns of the terminal
SHOWN_AT = 4.0  # seconds: the table that is kept
COMMAND = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|\r")  # what moves the cursor, or colours
PLACE = re.compile(r"(?<=<!-- made by captures\.py -->\n```text\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
BROWSER = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    "--hide-scrollbars",
)
# Each picture, its size in pixels, and whether the page is dark.
PICTURES = (("report.png", "1000,900", False), ("report-phone.png", "500,1500", True))


def main() -> None:
    """Write the page's blocks and the pictures."""
    with TemporaryDirectory() as folder:
        page = Path(folder) / "run.html"
        drawn, printed = recorded(["run", f"{EXAMPLE}:pipeline", "--progress", "--report", str(page)], Path(folder))
        typed = f"$ python -m chainpump run {EXAMPLE.relative_to(DOCS.parent)}:pipeline --progress --report run.html\n"
        blocks = iter((typed + drawn, printed))
        text = PLACE.sub(lambda _: next(blocks), (DOCS / "progress.md").read_text(encoding="utf-8"))
        (DOCS / "progress.md").write_text(text, encoding="utf-8")
        if shutil.which("chromium") is None:
            sys.exit("no Chromium is here: the pictures stay as they were")
        for name, size, is_dark in PICTURES:
            # The numbers are those of the browser: 0 is dark, 1 is light.
            look = [f"--window-size={size}", f"--blink-settings=preferredColorScheme={int(not is_dark)}"]
            files = [f"--user-data-dir={folder}/profile", f"--screenshot={DOCS / name}", page.as_uri()]
            subprocess.run([*BROWSER, *look, *files], check=True, capture_output=True, timeout=100)


def recorded(arguments: list[str], folder: Path) -> tuple[str, str]:
    """Of a command: the table that its terminal showed after some seconds, and the report that it has printed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    command = [sys.executable, "-m", "chainpump", *arguments]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=folder, env=environment) as process:
        os.close(theirs)
        began, shown, table = time.monotonic(), b"", ""
        while process.poll() is None:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            shown = os.read(ours, 65_536)  # each table is written at once
            if time.monotonic() - began >= SHOWN_AT and not table:
                table = COMMAND.sub("", shown.decode())
        os.close(ours)
        assert process.stdout is not None
        printed = process.stdout.read().decode()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return lines(table), lines(printed[printed.rindex("\n\nstage ") :])


def lines(text: str) -> str:
    """Without what is blank at the ends of lines, and of the text."""
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


if __name__ == "__main__":
    main()
