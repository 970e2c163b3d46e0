"""Checks the built site: `python docs/check_links.py FOLDER`. Each link inside of it leads to a file and an anchor."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# The attribute that names another file, of each element that has one.
ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}


class Page(HTMLParser):
    """What a page links to, and where it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the link and the anchor of an element."""
        values = dict(attrs)
        self.anchors.update(value for value in (values.get("id"), values.get("name")) if value)
        if link := values.get(ATTRIBUTES.get(tag, "")):
            self.links.append(link)


def main(folder: Path) -> None:
    """End with an error that names each dead link."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.resolve().rglob("*.html"))}
    if not pages:
        sys.exit(f"{folder} has no pages")
    dead = [
        f"{path.relative_to(folder.resolve())}: {link} leads to {nothing}"
        for path in pages
        for link, nothing in dead_links(path, pages)
    ]
    if dead:
        sys.exit("\n".join([*dead, f"{len(dead)} dead links"]))


def dead_links(path: Path, pages: dict[Path, Page]) -> list[tuple[str, str]]:
    """Return the links of a page that lead nowhere, and what is not there."""
    dead = []
    for link in dict.fromkeys(pages[path].links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue  # another site
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            dead.append((link, "no file"))
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
            dead.append((link, "no anchor"))
    return dead


if __name__ == "__main__":
    main(Path(sys.argv[1]))
