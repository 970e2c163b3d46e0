"""How Sphinx builds the documentation: `nox -s docs`, or `python -m sphinx -W -b html docs docs/_build/html`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent

project = "chainpump"
author = "the chainpump authors"
project_copyright = "the chainpump authors"
release = version = version_of("chainpump")

extensions = ["myst_parser", "sphinx_design", "sphinx_copybutton", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "**/README.md"]
nitpicky = False
highlight_language = "python"
# The names of functions and options in docstrings are in single backticks.
default_role = "code"

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"chainpump {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e69", "color-brand-content": "#0b6e69"},
    "dark_css_variables": {"color-brand-primary": "#5fd0c5", "color-brand-content": "#5fd0c5"},
}

# Pages outside of this folder that a page of the site shows: links to them lead to that page.
SHOWN_ELSEWHERE = {
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../examples/README.md": "gallery/index.md",
    "adr/": "decisions.md",
}


def lead_into_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to Markdown files outside of this folder lead to the pages that show them."""
    up = "../" * page.count("/")
    for outside, inside in SHOWN_ELSEWHERE.items():
        source[0] = re.sub(rf"\]\({re.escape(up + outside)}(?=[)#])", f"]({up}{inside}", source[0])
    if page == "reference/command_line":
        source[0] = re.sub(r"^% help (\w+)$", help_of, source[0], flags=re.MULTILINE)
    if page == "howto/index":
        source[0] = source[0].replace("% others\n", "".join(f"../{name}\n" for name in in_no_index()))


def help_of(command: re.Match[str]) -> str:
    """Return what a command of the library prints for --help, as a block of text."""
    asked = [sys.executable, "-m", "chainpump", command[1], "--help"]
    environment = {**os.environ, "COLUMNS": "100"}
    printed = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    return f"```text\n{printed.rstrip()}\n```"


def in_no_index() -> list[str]:
    """Return the pages of this folder that no page names in a list of contents."""
    texts = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md") if "adr" not in path.parts]
    named = {line.removeprefix("../") for text in texts for line in text.splitlines()}
    return sorted(path.stem for path in DOCS.glob("*.md") if path.stem not in named and path.stem != "index")


# What a docstring says of an option or a field: `name: text`, or `name, other: text`.
DESCRIBED = re.compile(r"(?:\w+(?:, \w+)*): \S")


def as_lists(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Show the lines `option: meaning` of a docstring as a list, and its last line, on errors, as a paragraph."""
    made: list[str] = []
    inside = False
    for line in lines:
        if DESCRIBED.match(line):
            names, _, text = line.partition(": ")
            made += [*([""] if not inside else []), f"* **{names}**: {text}"]
            inside = True
        elif not line or (inside and line.startswith(("Raises ", "It "))):
            made += ["", line]
            inside = False
        else:
            made.append(f"  {line}" if inside else line)
    # An underscore at the end of a word would be a reference.
    lines[:] = [line if "`" in line or ">>>" in line else re.sub(r"(?<=\w)_(?=\W|$)", r"\_", line) for line in made]


def without_overloads() -> None:
    """Let autodoc show one signature of a function: its overloads are for type checkers, and say little to a reader."""
    analyze = ModuleAnalyzer.analyze

    def analyzed(self: ModuleAnalyzer) -> None:
        analyze(self)
        self.overloads = {}

    # Autodoc has no option for it.
    ModuleAnalyzer.analyze = analyzed


class InlineSVG(SphinxPostTransform):
    """Put the pictures of this folder into the page, so that they take the colours of its theme, by day and night."""

    default_priority = 500
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Replace each image of a file in `pictures/`."""
        for image in list(self.document.findall(nodes.image)):
            if Path(image["uri"]).parent.name == "pictures" and image["uri"].endswith(".svg"):
                picture = (DOCS / "pictures" / Path(image["uri"]).name).read_text(encoding="utf-8")
                image.replace_self(nodes.raw("", f'<div class="picture">{picture}</div>', format="html"))


def setup(app: Sphinx) -> None:
    """Connect all of this."""
    without_overloads()
    app.connect("source-read", lead_into_the_site)
    app.connect("autodoc-process-docstring", as_lists)
    app.add_post_transform(InlineSVG)
