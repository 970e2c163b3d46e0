"""The checks of this project, each on an environment of its own: `nox`, or `nox -s tests-3.12`."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False  # a machine need not have every Python


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def codecs(session: nox.Session) -> None:
    """Run the tests with tensors, images, tables and frames; needs some gigabytes."""
    session.install("-e", ".[dev,codecs]")
    session.run("python", "-m", "pytest", "tests/contract/test_codecs_of_libraries.py", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check style, format and the layers."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Check types with both checkers."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright", "--project", ".")
