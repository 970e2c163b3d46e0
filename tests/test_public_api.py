"""What `import chainpump` promises: names with docstrings, little weight, errors that travel."""

import ast
import importlib
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import chainpump
from chainpump import errors
from chainpump.errors import Failure, RunError
from support.gate import WHOLE

HEAVY = ("rich", "asyncio", "numpy", "sqlite3", "cloudpickle", "importlib.metadata")

ERRORS = [
    value
    for value in (getattr(errors, name) for name in errors.__all__)
    if isinstance(value, type) and issubclass(value, BaseException)
]
RUN_ERRORS = [error for error in ERRORS if issubclass(error, RunError)]

FAILURE = Failure(
    error=errors.WorkerLostError,
    role="stage",
    stage="decode",
    worker=3,
    pid=41207,
    headline="stage 'decode' lost worker 3 of 8 (pid 41207): killed by SIGKILL.",
    details=("Often the out-of-memory killer.",),
    index=1041,
    item="'a.jpg'",
    exit_code=-9,
    traceback="Traceback ...",
)


def sample(error):
    """An error as the library raises it: a run's errors hold failures, the others a text."""
    made = error(FAILURE, [FAILURE]) if issubclass(error, RunError) else error("what, where, what to do")
    made.add_note("the worker's traceback")
    return made


@pytest.mark.parametrize("name", chainpump.__all__)
def test_public_name_is_importable_and_says_what_it_is(name):
    value = getattr(chainpump, name)
    assert value.__doc__
    assert value.__doc__.strip()


def test_every_error_is_public():
    assert {error.__name__ for error in ERRORS} <= set(chainpump.__all__)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_error_survives_pickle_with_its_text_fields_and_notes(error):
    before = sample(error)
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is error
    assert str(after) == str(before)
    assert after.args == before.args
    assert vars(after) == vars(before)
    assert after.__notes__ == ["the worker's traceback"]


@pytest.mark.parametrize("error", RUN_ERRORS, ids=lambda error: error.__name__)
def test_error_of_a_run_names_stage_and_worker(error):
    raised = sample(error)
    assert (raised.stage, raised.worker) == ("decode", 3)
    assert raised.failures == (FAILURE, FAILURE)
    assert str(raised).startswith(FAILURE.headline)


def test_only_cancelled_escapes_except_exception():
    assert [error.__name__ for error in ERRORS if not issubclass(error, Exception)] == ["Cancelled"]


def loaded_by(code):
    """The modules that a fresh interpreter has loaded after this code."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", script], text=True, timeout=WHOLE).split())


def test_import_loads_nothing_until_a_name_is_asked_for():
    loaded = loaded_by("import chainpump")
    assert {name for name in loaded if name.startswith("chainpump")} == {"chainpump"}


def test_all_names_together_load_nothing_heavy():
    assert loaded_by("from chainpump import *").isdisjoint(HEAVY)


def test_a_name_is_the_one_that_type_checkers_see():
    """Two lists in one file, which must not differ: what checkers import, and where a name is found when it runs."""
    tree = ast.parse(Path(chainpump.__file__).read_text(encoding="utf-8"))
    seen = {
        each.name: statement.module
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for each in statement.names
    }
    assert sorted(seen) == chainpump.__all__
    for name, module in seen.items():
        assert getattr(chainpump, name) is getattr(importlib.import_module(f"chainpump.{module}"), name)


def test_every_name_is_listed_before_it_is_asked_for():
    script = "import chainpump; print(set(chainpump.__all__) - set(dir(chainpump)))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True, timeout=WHOLE) == "set()\n"


def test_version_is_that_of_the_project_and_no_other_name_is_made_up():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chainpump.__version__ == project["version"]
    with pytest.raises(AttributeError, match="module 'chainpump' has no attribute 'version'"):
        chainpump.version  # type: ignore[attr-defined]  # noqa: B018


def test_public_modules_are_attributes_of_the_package() -> None:
    """In a program of its own, in which nothing else has imported them."""
    script = "import chainpump; chainpump.errors.StageError, chainpump.extending.Policy, chainpump.policies.Skip"
    subprocess.run([sys.executable, "-c", script], check=True)
