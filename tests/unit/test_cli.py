"""The command line's pieces: what a target means, how it is found, and what is said when it is not."""

import sys
from pathlib import Path

import pytest

from chainpump.cli import Target, UsageError, _find, main
from chainpump.pipeline import Pipeline, Runnable

MISSING = r"^expected FILE_OR_MODULE:NAME but got: .*\n.* for example \S+:pipeline"

MODULE = """
from chainpump import Pipeline, sink

class nightly:
    ingest = Pipeline([1, 2]).into(sink(sum))

numbers = Pipeline([1, 2, 3])

def make():
    return numbers

limit = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A file with pipelines in it, in the current directory; what importing it changes is undone."""
    path = tmp_path / "cli_target.py"
    path.write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    yield path
    sys.modules.pop(path.stem, None)


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


def test_check_of_a_module_that_runs_its_pipeline_says_so(module, capsys):
    module.write_text(MODULE + "print(list(numbers))")
    assert main(["check", "cli_target.py:numbers"]) == 2
    assert "this pipeline is only being checked, and was about to be run" in capsys.readouterr().err


@pytest.mark.parametrize("location", ["cli_target.py", "./cli_target.py", "cli_target"])
def test_pipeline_is_found_in_file_and_in_module(module, location):
    assert isinstance(_find(Target(location, "numbers")), Pipeline)


def test_dotted_name_is_found(module):
    assert isinstance(_find(Target(str(module), "nightly.ingest")), Runnable)


def test_file_is_imported_by_its_stem_from_its_own_directory(module, monkeypatch):
    (module.parent / "jobs").mkdir()
    other = module.parent / "jobs" / "cli_target.py"
    other.write_text("from chainpump import Pipeline\nhere = Pipeline([1])")
    _find(Target("jobs/cli_target.py", "here"))
    assert sys.modules["cli_target"].__file__ == str(other)


def test_missing_file_says_where_it_looked_and_what_looks_alike(module):
    message = r"no such file: cli_taget\.py \(in /.*\)\n  Did you mean cli_target\.py\?"
    with pytest.raises(UsageError, match=message):
        _find(Target("cli_taget.py", "numbers"))


def test_file_that_no_import_can_name_is_refused(tmp_path):
    (tmp_path / "my-jobs.py").touch()
    with pytest.raises(UsageError, match=r"'my-jobs\.py' is not a module name and '\.py'"):
        _find(Target(str(tmp_path / "my-jobs.py"), "numbers"))


def test_file_named_like_a_loaded_module_is_refused(module):
    taken = module.with_name("signal.py")
    taken.write_text("numbers = 1")
    message = r"the module name 'signal' is taken by .*signal\.py\.\n  Rename the file"
    with pytest.raises(UsageError, match=message):
        _find(Target(str(taken), "numbers"))


def test_missing_module_says_so_and_hints_at_the_file(module):
    with pytest.raises(UsageError, match=r"no module named 'cli_missing' can be imported from /"):
        _find(Target("cli_missing", "numbers"))
    with pytest.raises(UsageError, match=r"no module named 'cli_missing\.part' can be imported"):
        _find(Target("cli_missing.part", "numbers"))


def test_missing_import_of_the_module_is_not_mistaken_for_the_module(module):
    module.write_text("import cli_missing_dependency")
    with pytest.raises(ModuleNotFoundError, match="cli_missing_dependency"):
        _find(Target("cli_target", "numbers"))


@pytest.mark.parametrize(
    "name,hint",
    [
        ("number", "cli_target has no 'number'. Did you mean 'numbers'?"),
        ("zzz", "cli_target has no 'zzz'.\n  Its pipelines are: numbers"),
        ("nightly.ingst", "cli_target has no 'nightly.ingst'. Did you mean 'nightly.ingest'?"),
        ("nightly.zzz", "cli_target has no 'nightly.zzz'.\n  Its pipelines are: numbers"),
    ],
)
def test_missing_name_says_what_is_there(module, name, hint):
    with pytest.raises(UsageError) as raised:
        _find(Target("cli_target", name))
    assert str(raised.value) == hint


def test_function_in_place_of_a_pipeline_says_to_call_it(module):
    message = r"'make' in cli_target must be a Pipeline or a Runnable but is: function\n.*pipeline = make\("
    with pytest.raises(UsageError, match=message):
        _find(Target("cli_target", "make"))


def test_other_object_in_place_of_a_pipeline_is_refused(module):
    message = r"'limit' in cli_target must be a Pipeline or a Runnable but is: int\n"
    with pytest.raises(UsageError, match=message):
        _find(Target("cli_target", "limit"))


def test_usage_errors_exit_with_2_and_one_message(module, capsys):
    assert main(["run", "cli_target.py:number"]) == 2
    assert capsys.readouterr().err == "error: cli_target.py has no 'number'. Did you mean 'numbers'?\n"


def test_plan_error_exits_with_2_and_shows_the_users_line(module, capsys):
    module.write_text("from chainpump import Pipeline\n\nnumbers = Pipeline(3)\n")
    assert main(["run", "cli_target.py:numbers"]) == 2
    error = capsys.readouterr().err
    assert f"at {module}:3: numbers = Pipeline(3)" in error
    assert "Traceback" not in error


def test_help_documents_exit_statuses_and_examples(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["run", "--help"])
    assert exited.value.code == 0
    text = capsys.readouterr().out
    assert "exit status:" in text
    assert "python -m chainpump run examples/index_code.py:pipeline" in text


def test_example_in_the_help_exists():
    assert (Path(__file__).parents[2] / "examples" / "index_code.py").is_file()
