"""The command line's pieces: what a target means, how it is found, and what is said when it is not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chainpump
from chainpump.cli.arguments import READ
from chainpump.cli.main import main
from chainpump.cli.target import Target, UsageError, find
from chainpump.pipeline import Pipeline, Runnable
from support.gate import WHOLE

MISSING = r"^expected FILE_OR_MODULE:NAME but got: .*\n.* for example \S+:pipeline"


@pytest.mark.parametrize(
    "text,location,name,is_file",
    [
        ("jobs.py:pipeline", "jobs.py", "pipeline", True),
        ("./jobs/nightly.py:a.b", "./jobs/nightly.py", "a.b", True),
        ("project.jobs:pipeline", "project.jobs", "pipeline", False),
        ("odd:folder/jobs.py:pipeline", "odd:folder/jobs.py", "pipeline", True),
    ],
)
def test_target_is_split_at_its_last_colon(text, location, name, is_file):
    target = Target.parse(text)
    assert (target.location, target.name, target.is_file) == (location, name, is_file)


@pytest.mark.parametrize("text", ["jobs.py", "jobs.py:", ":pipeline", "", "jobs.py:a..b", "jobs.py:2nd", "a:b c"])
def test_target_without_location_or_name_says_what_to_write(text):
    with pytest.raises(UsageError, match=MISSING):
        Target.parse(text)


FAULTY = """
from collections.abc import Iterable, Iterator

from chainpump import Inline, Pipeline, source

def numbers() -> Iterator[int]:
    yield 1

def shout(texts: Iterable[str]) -> Iterator[str]:
    yield from texts

def square(number: int) -> int:
    return number ** 2

pipeline = (
    Pipeline(source(numbers))
    .then(shout)
    .map(square)
)
"""


def test_check_prints_the_plan_of_a_pipeline_and_starts_nothing(module, capsys):
    assert main(["check", "cli_target.py:nightly.ingest"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["stage", "role", "on"]
    assert [row.split()[:2] for row in rows] == [["list", "source"], ["sum", "sink"]]


def test_check_prints_every_problem_with_the_line_that_built_it(module, capsys):
    module.write_text(FAULTY)
    assert main(["check", "cli_target.py:pipeline"]) == 1
    first, second, count = capsys.readouterr().out.split("\n\n")
    assert first.startswith("StageTypeError: stage 'shout' cannot follow 'numbers':\n")
    assert first.endswith(f"\n  at {module}:17")
    assert second.startswith("StageTypeError: .map(square) cannot follow 'shout':\n")
    assert second.endswith(f"\n  at {module}:18")
    assert count == "2 problems\n"


def planned(name):
    found = find(Target("cli_target", name))
    assert isinstance(found, Pipeline | Runnable)
    return found.plan()


@pytest.mark.parametrize("options", [[], ["--mermaid"]])
def test_graph_prints_a_flowchart_and_starts_nothing(module, capsys, options):
    assert main(["graph", "cli_target.py:nightly.ingest", *options]) == 0
    assert capsys.readouterr().out == planned("nightly.ingest").mermaid()


def test_graph_writes_a_picture_to_a_file(module, capsys):
    assert main(["graph", "cli_target.py:numbers", "--svg", "numbers.svg"]) == 0
    assert capsys.readouterr().out == "written: numbers.svg\n"
    assert Path("numbers.svg").read_text(encoding="utf-8") == planned("numbers").svg()


def test_graph_that_cannot_write_its_picture_says_why(module, capsys):
    assert main(["graph", "cli_target.py:numbers", "--svg", "missing/numbers.svg"]) == 2
    assert capsys.readouterr().err == "error: --svg missing/numbers.svg: No such file or directory\n"


@pytest.mark.parametrize("command,option", [("graph", "--svg"), ("run", "--report")])
def test_a_path_that_is_empty_is_refused_as_it_was_given(module, capsys, command, option):
    with pytest.raises(SystemExit) as exited:
        main([command, "cli_target.py:numbers", option, ""])
    assert exited.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: argument {option}: must be the path of a file but got: ''\n")


def test_graph_tells_the_problems_that_check_tells(module, capsys):
    module.write_text(FAULTY)
    assert main(["graph", "cli_target.py:pipeline", "--svg", "never.svg"]) == 1
    assert capsys.readouterr().out.endswith("\n\n2 problems\n")
    assert not Path("never.svg").exists()


JOINED = """
from chainpump import Inline, Pipeline, Threads

one = Pipeline(range(3)).map(abs, on=Threads(1), name="abs=")
pipeline = Pipeline.concat(one, one.map(str, on=Threads(1))).map(repr, on=Threads(1)).filter(repr, on=Inline())
"""


def workers_of(text):
    """Of each stage in a flowchart, how many workers it has."""
    return dict(re.findall(r'\["([^<]*)<br/>.* · (\d+|auto)\b', text))


def test_workers_are_set_by_the_name_of_a_stage(module, capsys):
    module.write_text(JOINED.replace("one.map", "Pipeline([1]).map"))
    command = ["graph", "cli_target.py:pipeline", "--workers", "abs==3", "--workers", "str=auto"]
    assert main(command) == 0
    assert workers_of(capsys.readouterr().out) == {"abs#61;": "3", "str": "auto", "repr": "1"}
    # The pipeline is a value, and stays what it was.
    assert main(command[:2]) == 0
    assert workers_of(capsys.readouterr().out) == {"abs#61;": "1", "str": "1", "repr": "1"}


@pytest.mark.parametrize(
    "given,message",
    [
        ("strr=2", "error: --workers strr: no stage has this name. Did you mean 'str'?\n  Its stages are: concat("),
        ("zzz=2", "error: --workers zzz: no stage has this name.\n  Its stages are: concat("),
        ("repr=2", "error: --workers repr: 2 stages have this name.\n  Give them others with name=.\n"),
        ("str=two", "error: --workers takes STAGE=N, for example str=4 or str=auto, but got: 'str=two'\n"),
        ("str=Auto", "error: --workers takes STAGE=N, for example str=4 or str=auto, but got: 'str=Auto'\n"),
        ("4", "error: --workers takes STAGE=N, for example decode=4 or decode=auto, but got: '4'\n"),
        ("auto", "error: --workers takes STAGE=N, for example decode=4 or decode=auto, but got: 'auto'\n"),
        (
            "range=auto",
            "error: --workers range=auto: source 'range' runs on Inline(), which has no workers to count.\n",
        ),
        ("str=0", "error: --workers str=0: Threads: workers must be a whole number of at least 1 but got: 0.\n"),
        ("range=2", "error: --workers range=2: source 'range' runs on Inline(), which has no workers to count.\n"),
    ],
)
def test_workers_that_cannot_be_set_are_told_with_what_is_there(module, capsys, given, message):
    module.write_text(JOINED.replace("one.map", "Pipeline([1], name='one').map"))
    assert main(["run", "cli_target.py:pipeline", "--workers", given]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_source_and_a_take_keep_their_one_worker(module, capsys):
    module.write_text(
        "from chainpump import Pipeline, source\npipeline = Pipeline(source(range, 3), name='numbers').take(2)\n"
    )
    assert main(["check", "cli_target.py:pipeline", "--workers", "numbers=2"]) == 2
    assert "each worker would run all of it" in capsys.readouterr().err
    assert main(["check", "cli_target.py:pipeline", "--workers", "take(2)=2"]) == 2
    assert "each worker would take 2 items. Give it one." in capsys.readouterr().err


def test_check_of_a_module_that_runs_its_pipeline_says_so(module, capsys):
    module.write_text(module.read_text() + "print(list(numbers))")
    assert main(["check", "cli_target.py:numbers"]) == 2
    assert "this pipeline is only being checked, and was about to be run" in capsys.readouterr().err


@pytest.mark.parametrize("location", ["cli_target.py", "./cli_target.py", "cli_target"])
def test_pipeline_is_found_in_file_and_in_module(module, location):
    assert isinstance(find(Target(location, "numbers")), Pipeline)


def test_dotted_name_is_found(module):
    assert isinstance(find(Target(str(module), "nightly.ingest")), Runnable)


def test_file_is_imported_by_its_stem_from_its_own_directory(module, monkeypatch):
    (module.parent / "jobs").mkdir()
    other = module.parent / "jobs" / "cli_target.py"
    other.write_text("from chainpump import Pipeline\nhere = Pipeline([1])")
    find(Target("jobs/cli_target.py", "here"))
    assert sys.modules["cli_target"].__file__ == str(other)


def test_missing_file_says_where_it_looked_and_what_looks_alike(module):
    message = r"no such file: cli_taget\.py \(in /.*\)\n  Did you mean cli_target\.py\?"
    with pytest.raises(UsageError, match=message):
        find(Target("cli_taget.py", "numbers"))


def test_file_that_no_import_can_name_is_refused(tmp_path):
    (tmp_path / "my-jobs.py").touch()
    with pytest.raises(UsageError, match=r"'my-jobs\.py' is not a module name and '\.py'"):
        find(Target(str(tmp_path / "my-jobs.py"), "numbers"))


def test_file_named_like_a_loaded_module_is_refused(module):
    taken = module.with_name("signal.py")
    taken.write_text("numbers = 1")
    message = r"the module name 'signal' is taken by .*signal\.py\.\n  Rename the file"
    with pytest.raises(UsageError, match=message):
        find(Target(str(taken), "numbers"))


def test_module_is_looked_for_in_the_current_folder_however_the_command_was_started(module, monkeypatch):
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in {"", str(module.parent)}])
    assert isinstance(find(Target("cli_target", "numbers")), Pipeline)


def test_missing_module_says_so_and_where_it_looked(module):
    with pytest.raises(UsageError, match=r"no module named 'cli_missing' can be imported from /"):
        find(Target("cli_missing", "numbers"))
    with pytest.raises(UsageError, match=r"no module named 'cli_missing\.part' can be imported"):
        find(Target("cli_missing.part", "numbers"))


def test_missing_import_of_the_module_is_not_mistaken_for_the_module(module):
    module.write_text("import cli_missing_dependency")
    with pytest.raises(ModuleNotFoundError, match="cli_missing_dependency"):
        find(Target("cli_target", "numbers"))


@pytest.mark.parametrize(
    "name,hint",
    [
        ("number", "cli_target has no 'number'. Did you mean 'numbers'?"),
        ("zzz", "cli_target has no 'zzz'.\n  Its pipelines are: numbers"),
        ("nightly.ingst", "cli_target has no 'nightly.ingst'. Did you mean 'nightly.ingest'?"),
        ("nightly.zzz", "cli_target has no 'nightly.zzz'.\n  Its pipelines are: numbers"),
        ("nightli.ingest", "cli_target has no 'nightli.ingest'. Did you mean 'nightly'?"),
        ("mak", "cli_target has no 'mak'. Did you mean 'make'?"),
        # Pipeline is imported there.
        ("pipeline", "cli_target has no 'pipeline'.\n  Its pipelines are: numbers"),
        # Limit is an int.
        ("limits", "cli_target has no 'limits'.\n  Its pipelines are: numbers"),
    ],
)
def test_missing_name_says_what_is_there(module, name, hint):
    with pytest.raises(UsageError) as raised:
        find(Target("cli_target", name))
    assert str(raised.value) == hint


def test_name_that_only_the_program_assigns_is_to_be_moved(module):
    module.write_text(f"{module.read_text()}\nif __name__ == '__main__':\n    number = numbers.take(1)\n")
    with pytest.raises(UsageError) as raised:
        find(Target("cli_target", "number"))
    assert str(raised.value) == (
        "cli_target has no 'number'.\n"
        '  It is assigned under `if __name__ == "__main__":`, which an import leaves out.\n'
        "  Assign it at the top level of the file, and leave there what runs it."
    )


def test_usage_errors_exit_with_2_and_one_message(module, capsys):
    assert main(["run", "cli_target.py:number"]) == 2
    assert capsys.readouterr().err == "error: cli_target.py has no 'number'. Did you mean 'numbers'?\n"


@pytest.mark.parametrize("line", ["numbers = Pipeline(3)", "on = Processes(0)"])
def test_plan_error_exits_with_2_and_shows_the_users_line(module, capsys, line):
    module.write_text(f"from chainpump import Pipeline, Processes\n\n{line}\n")
    assert main(["run", "cli_target.py:numbers"]) == 2
    error = capsys.readouterr().err
    assert error.endswith(f"\n  at {module}:3: {line}\n")
    assert "Traceback" not in error


def test_options_of_the_run_are_given_as_to_a_program(module, capsys):
    module.write_text(
        "from chainpump import Inline, Pipeline\n"
        "def wrong(number: int) -> int:\n    return str(number)\n"
        "numbers = Pipeline(range(3)).map(wrong, on=Inline())\n"
    )
    command = ["run", "cli_target.py:numbers", "--grace", "0.1"]
    assert main([*command, "--stall-timeout", "60"]) == 0
    assert capsys.readouterr().out == "0\n1\n2\n"
    assert main([*command, "--check-items"]) == 1
    assert "ItemTypeError: stage 'wrong'" in capsys.readouterr().err
    assert main([*command, "--stall-timeout", "-1"]) == 2
    assert "stall_timeout must be" in capsys.readouterr().err


def test_help_documents_exit_statuses_and_examples(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["run", "--help"])
    assert exited.value.code == 0
    text = capsys.readouterr().out
    assert "exit status:" in text
    assert "python -m chainpump run examples/index_code.py:pipeline" in text
    assert READ in " ".join(text.split())


def test_help_of_stacks_tells_of_nothing_but_stacks(capsys):
    with pytest.raises(SystemExit):
        main(["stacks", "--help"])
    text = capsys.readouterr().out
    assert "or one in which no pipeline runs" in text
    assert "python -m chainpump stacks 41207" in text
    assert "--set" not in text


def test_version_is_told(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert exited.value.code == 0
    assert capsys.readouterr().out == f"chainpump {chainpump.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_the_commands_and_the_pipelines_of_a_file(module, shell):
    def asked(line):
        environment = {**os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": shell, "COMP_TYPE": "9"}
        environment |= {"_ARGCOMPLETE_STDOUT_FILENAME": "told", "COMP_LINE": line, "COMP_POINT": str(len(line))}
        subprocess.run([sys.executable, "-m", "chainpump"], env=environment, check=True, timeout=WHOLE)
        return Path("told").read_text().split("\v")

    # Zsh gets a note with it.
    assert [each.partition(":")[0].strip() for each in asked("chainpump ru")] == ["run"]
    assert "cli_target.py" in "".join(asked("chainpump run cli_ta"))
    assert "numbers" in "".join(asked("chainpump run cli_target.py:num"))


def test_example_in_the_help_exists():
    assert (Path(__file__).parents[3] / "examples" / "index_code.py").is_file()
