"""Workers import the program's main file: what cannot go well there is refused before any of them starts."""

import os
import signal
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


# Seconds of a program, which starts two or three workers.
LIMIT = 300


def run(program: str, folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it in a session of its own: whatever it may have started ends with it."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, *(arguments or ("program.py",))]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, text=True, start_new_session=True, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=LIMIT)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.wait(), out, err)


def last_error(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of the error that ended it, without those before them; the chain of causes comes first."""
    lines = done.stderr.splitlines()
    begins = max(number for number, line in enumerate(lines) if line.startswith("chainpump.errors."))
    return lines[begins:]


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
        "__name__ == '__main__' and start()",
        "match __name__:\n  case '__main__':\n    start()",
        "import multiprocessing\nif multiprocessing.parent_process() is None:\n  start()",
        "def main():\n  if __name__ != '__main__':\n    return\n  start()\n\nmain()",
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


ASYNC = """
import asyncio
from chainpump import *

print("begun")

async def main():
    {line}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "line",
    [
        "print(await Pipeline(range(5)).into(sum, on=Processes()).run_async())",
        "print([item async for item in Pipeline(range(5)).map(abs, on=Processes())])",
    ],
)
def test_an_event_loop_without_a_guard_is_refused_before_anything_starts(line, tmp_path):
    done = run(ASYNC.format(line=line), tmp_path)
    assert (done.returncode, done.stdout) == (1, "begun\n")
    headline, advice = last_error(done)
    assert headline.endswith(
        "program.py:10 starts worker processes, which import that file and would start them again."
    )
    assert advice.strip() == ADVICE


METHODS = ["forkserver", "spawn"]
JOBS = """
from chainpump import *

def double(number):
    return 2 * number

print("imported", flush=True)
results = list(Pipeline(range(3)).map(double, on=Processes(start_method={method!r})))
"""
MOVE = f"Move what starts the pipeline into a function, and call it under `{GUARD}` in the program's main file."


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("program", ["-c", f"{GUARD}\n  import jobs"])
def test_an_imported_module_that_starts_a_run_does_so_once(program, method, tmp_path):
    (tmp_path / "jobs.py").write_text(JOBS.format(method=method))
    done = run(program, tmp_path, *(("-c", "import jobs") if program == "-c" else ()))
    # In the main process, and in its only worker.
    assert (done.returncode, done.stdout) == (1, 2 * "imported\n")
    headline, advice = last_error(done)
    assert headline.startswith("chainpump.errors.StageError: stage 'double' could not start worker 1 of 1: StageOption")
    assert "jobs.py:8 starts worker processes while module 'jobs' is imported in a worker process" in headline
    assert advice.strip() == MOVE


@pytest.mark.parametrize("method", METHODS)
def test_a_condition_that_is_no_guard_ends_the_run_with_the_line_to_guard(method, tmp_path):
    line = "import sys\nif len(sys.argv) == 1:\n  start()"
    done = run(UNGUARDED.format(on=f"Processes(start_method={method!r})", line=line), tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    headline, advice = last_error(done)
    assert "program.py:9 starts worker processes while module '__main__' is imported in a worker process" in headline
    assert advice.strip() == MOVE


@pytest.mark.parametrize("method", METHODS)
def test_what_the_main_file_raises_in_a_worker_is_the_error_of_the_run(method, tmp_path):
    line = f"{GUARD}\n  start()\nelse:\n  raise ValueError('not twice')"
    done = run(UNGUARDED.format(on=f"Processes(start_method={method!r})", line=line), tmp_path)
    assert done.returncode == 1
    assert last_error(done)[0].endswith("could not start worker 1 of 1: ValueError: not twice")
    assert 'program.py", line 10, in <module>' in done.stderr
    assert "spawn.py" not in done.stderr


def test_a_fork_server_that_imports_the_main_file_does_not_hide_what_that_raises(tmp_path):
    line = """
if __name__ == "__main__":
    from multiprocessing import spawn

    prepare = spawn.get_preparation_data
    # As late versions of 3.13 have it, and newer ones.
    spawn.get_preparation_data = lambda name: {**prepare(name), "main_path": __file__}
    start()
else:
    raise ValueError("not twice")
"""
    done = run(UNGUARDED.format(on="Processes()", line=line), tmp_path)
    assert done.returncode == 1
    assert last_error(done)[0].endswith("could not start worker 1 of 1: ValueError: not twice")


def test_a_stage_that_imports_a_module_that_starts_a_run_is_told_its_line(tmp_path):
    (tmp_path / "lazy.py").write_text("def same(number):\n    import jobs\n    return number\n")
    (tmp_path / "jobs.py").write_text(
        """
import lazy
from chainpump import *

print("imported", flush=True)
results = list(Pipeline([1]).map(lazy.same, on=Processes()))
"""
    )
    done = run("", tmp_path, "-c", "import jobs")
    assert (done.returncode, done.stdout) == (1, 2 * "imported\n")
    assert last_error(done)[0].endswith("raised StageOptionError on item 0:")
    assert "jobs.py:6 starts worker processes while module 'jobs' is imported in a worker process" in done.stderr
    assert MOVE in done.stderr


def test_a_main_file_that_imports_a_module_that_starts_a_run_is_told_both_lines(tmp_path):
    (tmp_path / "jobs.py").write_text(JOBS.format(method="forkserver"))
    done = run("import jobs\n", tmp_path)
    assert (done.returncode, done.stdout) == (1, "imported\n")
    headline, advice = last_error(done)
    assert "jobs.py:8 starts worker processes as " in headline
    assert "program.py:1 imports it; they import it, too, and would start them again." in headline
    assert advice.strip() == MOVE


def test_a_module_may_run_what_starts_no_processes_while_it_is_imported(tmp_path):
    (tmp_path / "jobs.py").write_text(
        """
from chainpump import *

def double(number):
    return 2 * number

TABLE = list(Pipeline(range(3)).map(double, on=Threads()))

def run():
    return list(Pipeline(range(3)).map(nested, on=Processes()))

def nested(number):
    return sum(Pipeline(TABLE).map(double, on=Processes()))  # a run within a stage that runs
"""
    )
    done = run("", tmp_path, "-c", "import jobs; print(jobs.run())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[12, 12, 12]\n", "")
