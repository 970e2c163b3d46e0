"""Workers import the program's main file: what cannot go well there is refused before any of them starts."""

import subprocess
import sys
from pathlib import Path

import pytest

UNGUARDED = """
from chainpump import *

def start():
    print(sum(Pipeline(range(5)).map(abs, on={on})))

{line}
"""
GUARD = 'if __name__ == "__main__":'
ADVICE = f"Put what starts the pipeline under `{GUARD}`."


def run(program: str, folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(program)
    command = [sys.executable, *(arguments or ("program.py",))]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, input=stdin)


@pytest.mark.parametrize(
    "on,line,arguments",
    [
        ("Processes()", "start()", ()),
        ("Processes()", "start()", ("-m", "program")),
        ("Processes(start_method='spawn')", "for _ in range(1): start()", ()),
        ("Processes()", "eval('start()')", ()),
        ("Processes()", "print(*Pipeline(range(5)).map(abs, on={on}))", ()),
        ("Processes()", "print(*Pipeline.concat(Pipeline(range(5)).map(abs, on={on})))", ()),
    ],
)
def test_a_program_without_a_guard_is_told_the_line_to_guard(on, line, arguments, tmp_path):
    program = UNGUARDED.format(on=on, line=line.format(on=on))
    done = run(program, tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-2:]
    assert last[0].startswith("chainpump.errors.StageOptionError: ")
    assert last[0].endswith("program.py:7 starts worker processes, which import that file and would start them again.")
    assert last[1].strip() == ADVICE


@pytest.mark.parametrize(
    "line",
    [
        f"{GUARD} start()",
        f"{GUARD}\n  for _ in range(1):\n    start()",
        "import sys\nif sys.argv and '__main__' == __name__:\n  start()",
        f"{GUARD} eval('start()')",
        f"{GUARD} exec('start()')",
    ],
)
def test_a_guard_of_any_form_will_do(line, tmp_path):
    done = run(UNGUARDED.format(on="Processes()", line=line), tmp_path)
    assert (done.stdout, done.stderr) == ("10\n", "")


def test_a_guarded_program_can_be_profiled(tmp_path):
    line = f"{GUARD}\n  import cProfile\n  cProfile.run('start()')"
    done = run(UNGUARDED.format(on="Processes()", line=line), tmp_path)
    assert done.stderr == ""
    assert done.stdout.startswith("10\n")


@pytest.mark.parametrize("on", ["Threads()", "Inline()", "Processes(start_method='fork')"])
def test_workers_that_import_nothing_need_no_guard(on, tmp_path):
    done = run(UNGUARDED.format(on=on, line="start()"), tmp_path)
    assert done.stdout == "10\n"


def test_the_main_file_of_a_package_needs_none_since_nobody_imports_it(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__main__.py").write_text(UNGUARDED.format(on="Processes()", line="start()"))
    done = run("", tmp_path, "-m", "package")
    assert (done.stdout, done.stderr) == ("10\n", "")


def test_neither_does_a_program_on_the_command_line(tmp_path):
    done = run("", tmp_path, "-c", UNGUARDED.format(on="Processes()", line="start()"))
    assert (done.stdout, done.stderr) == ("10\n", "")


def test_a_program_that_is_piped_into_python_is_told_to_be_saved(tmp_path):
    done = run("", tmp_path, "-", stdin=UNGUARDED.format(on="Processes()", line="start()"))
    assert done.returncode == 1
    assert "workers import" not in done.stdout
    assert "worker processes import the program's main file, and <stdin> is none." in done.stderr
    assert "Save the program to a file, or run its stages on Threads()" in done.stderr
