"""The checks of this project, each on an environment of its own: `nox`, or `nox -s tests-3.12`.

Every environment gets the versions in constraints.txt, which `nox -s constraints` renews.
"""

from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
# A machine need not have every Python.
nox.options.error_on_missing_interpreters = False
# Not `constraints`, which writes a file.
nox.options.sessions = ["tests", "dependencies", "codecs", "lint", "types"]

PYTHONS = ["3.11", "3.12", "3.13"]
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
HEADER = """\
# The versions that the tests and checks ran with, on Python 3.11 and newer. `nox -s constraints` renews them.
"""
RUNTIME = nox.project.load_toml("pyproject.toml")["project"]["dependencies"]


def install(session: nox.Session, extras: str) -> None:
    """Install this tree and what these extras need, in the versions of the constraints file."""
    session.install("-c", str(CONSTRAINTS), "-e", f".[{extras}]")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    install(session, "dev")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=[PYTHONS[0], PYTHONS[-1]])
@nox.parametrize("version", ["lowest", "newest"], ids=["lowest", "newest"])
def dependencies(session: nox.Session, version: str) -> None:
    """Run the tests with the lowest or the newest version of what the library needs to run."""
    install(session, "dev")
    wanted = [each.replace(">=", "==") for each in RUNTIME] if version == "lowest" else ["--upgrade", *RUNTIME]
    session.install(*wanted)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def codecs(session: nox.Session) -> None:
    """Run the tests with tensors, images, tables and frames; needs some gigabytes."""
    install(session, "dev,codecs")
    session.run("python", "-m", "pytest", "tests/contract/test_codecs_of_libraries.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style, format and the layers."""
    install(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Check types with both checkers."""
    install(session, "dev")
    session.run("mypy")
    session.run("pyright", "--project", ".")


# On the oldest Python: what is the newest version there exists for the later ones too, not the other way round.
@nox.session(python=PYTHONS[0])
def constraints(session: nox.Session) -> None:
    """Write the newest versions of what development needs to constraints.txt; run the tests before you commit them."""
    session.install("-e", ".[dev]")
    versions = session.run("python", "-m", "pip", "freeze", "--exclude-editable", silent=True, stderr=None)
    CONSTRAINTS.write_text(HEADER + str(versions))
