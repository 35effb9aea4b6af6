"""Builds the documentation site: ``nox -s docs``.

The pages link to one another by their places in the repository, so that they read well there. What the site is made of is
first put together in ``build/docs/pages``: there a page of a plugin is a page like the others, and a file of code that a page
links to is a page that shows it. The links are rewritten to match. One that leads nowhere fails the build, a file's here
and an anchor's in Zensical, and so does a page that the menu does not list.
"""

from __future__ import annotations

import importlib.util
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "docs"
PAGES = BUILD / "pages"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
PICTURES = {".png", ".svg"}
HIDDEN = "---\nsearch:\n  exclude: true\n---\n"
DRAWING = re.compile(r'<pre class="mermaid">.*?</pre>', re.DOTALL)
HEADS = {
    "index.md": "---\nhide: [navigation, toc]\n---\n",
    "gateways.md": "---\nhide: [toc]\n---\n",
}  # pages with a broad table


def pages() -> list[Path]:
    """What is a page of the site: those of ``docs/``, and those of the packages."""
    own = [path for path in DOCS.glob("**/*.md") if not path.is_relative_to(HERE)]
    of_plugins = [path for name in ("README", "CHANGELOG") for path in ROOT.glob(f"plugins/*/{name}.md")]
    return [
        *sorted(own),
        *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY")),
        *sorted(of_plugins),
    ]


def place(path: Path, known: Iterable[Path]) -> str:
    """Where the site has a page, or shows a file or folder, of the repository."""
    if path == ROOT / "README.md":
        return "index.md"
    if path in known and path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    return name if path in known or path.suffix in PICTURES else f"source/{name}.md"


def prose(text: str, change: Callable[[str], str]) -> str:
    """The text with each line outside of blocks of code changed."""
    lines, is_code = [], False
    for line in text.split("\n"):
        is_code ^= line.lstrip().startswith("```")
        lines.append(line if is_code else change(line))
    return "\n".join(lines)


def deeper(text: str) -> str:
    """The text with what belongs to an item of a list indented by four, which is what Python's Markdown wants.

    Code hosts are content with the width of the item's mark: two for ``- ``, three for ``1. ``.
    """
    lines, width = [], 0
    for line in text.split("\n"):
        if mark := re.match(r"(?:[-*]|\d+\.) +", line):
            width = len(mark[0])
        elif line.strip() and not line.startswith(" " * max(width, 1)):
            width = 0
        belongs = width and not mark and line.strip()
        lines.append(" " * (4 - width) + line if belongs else line)
    return "\n".join(lines)


def linked(page: Path) -> list[Path]:
    """The files and folders that a page links to."""
    targets: list[str] = []

    def noted(line: str) -> str:
        targets.extend(LINK.findall(line))
        return line

    prose(page.read_text(encoding="utf-8"), noted)
    return [Path(os.path.normpath(page.parent / target)) for target in targets]


def faults(known: Iterable[Path]) -> list[str]:
    """Links to files that are not there, and pages that the menu does not list; anchors are looked at later."""
    listed = set(
        re.findall(r"^ +- (?:.*: )?(\S+\.md)$", (HERE / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    places = {place(page, known): page for page in known if page.name != "CHANGELOG.md" or page.parent == ROOT}
    name = {page: page.relative_to(ROOT).as_posix() for page in known}
    return [
        *(
            f"{name[page]} links to {path}, which is not there"
            for page in known
            for path in linked(page)
            if not ours(path)
        ),
        *(f"{name[page]} is not in nav: of docs/site/mkdocs.yml" for uri, page in places.items() if uri not in listed),
        *(f"nav: of docs/site/mkdocs.yml lists {uri}, which is not there" for uri in sorted(listed - set(places))),
    ]


def ours(path: Path) -> bool:
    """Whether it is a file or folder of the repository."""
    return path.exists() and path.is_relative_to(ROOT)


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that a page about it lists."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix != ".pyc"]


def page_of(path: Path, known: Iterable[Path]) -> str:
    """A page of the repository, its links rewritten for the site."""
    here = posixpath.dirname(place(path, known)) or "."

    def rewritten(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / link[1]))
        return posixpath.relpath(place(target, known), here)

    head = HEADS.get(path.name, "") if path.parent == DOCS else ""
    return head + deeper(prose(path.read_text(encoding="utf-8"), lambda line: LINK.sub(rewritten, line)))


def page_about(path: Path) -> str:
    """A page that shows a file, or lists a folder; the search leaves it out."""
    title = f"{HIDDEN}# {path.relative_to(ROOT).as_posix()}\n\n"
    if path.is_dir():
        return title + "\n".join(f"- [{one.name}]({path.name}/{one.name}.md)" for one in files_of(path)) + "\n"
    language = LANGUAGES.get(path.suffix, "text")
    return f"{title}````{language}\n{path.read_text(encoding='utf-8').rstrip()}\n````\n"


def collect() -> None:
    """Puts the pages, what they link to and what they look like together in ``build/docs/pages``."""
    shutil.rmtree(BUILD, ignore_errors=True)
    known = pages()
    if wrong := faults(known):
        sys.exit("\n".join(wrong))
    others = {path for page in known for path in linked(page)} - {*known, ROOT / "README.md"}
    others |= {path for folder in others if folder.is_dir() for path in files_of(folder)}
    for path in [*known, *sorted(others)]:
        target = PAGES / place(path, known)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in PICTURES:
            shutil.copy(path, target)
        else:
            target.write_text(page_of(path, known) if path in known else page_about(path), encoding="utf-8")
    shutil.copy(HERE / "mkdocs.yml", BUILD)
    shutil.copytree(HERE / "assets", PAGES / "assets", dirs_exist_ok=True)
    shutil.copy(mermaid(), PAGES / "assets" / "mermaid.js")


def mermaid() -> Path:
    """What draws the drawings, of a package that carries it whole; the theme would fetch it from a network."""
    found = importlib.util.find_spec("mermaidx")
    if found is None or found.origin is None:
        sys.exit("mermaidx is not installed: nox -s docs, or pip install --group docs")
    return Path(found.origin).parent / "assets" / "mermaid.js"


def finish(site: Path) -> None:
    """Gives drawings a box that scrolls, and takes what draws them out of the other pages.

    What works at an address of its own alone goes: the page for what is not found, and the map of the site, which is
    empty as long as there is no ``site_url``.
    """
    for name in ("404.html", "sitemap.xml", "sitemap.xml.gz"):
        (site / name).unlink(missing_ok=True)
    script = re.compile(r'\s*<script src="[^"]*assets/mermaid\.js"></script>')
    for file in site.glob("**/*.html"):
        text = file.read_text(encoding="utf-8")
        boxed, drawings = DRAWING.subn(r'<div class="drawing">\g<0></div>', text)
        file.write_text(boxed if drawings else script.sub("", text), encoding="utf-8")


if __name__ == "__main__":
    collect()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(BUILD / "mkdocs.yml")]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - a command of our own
        sys.exit("the site is not built: see the links named above")
    finish(BUILD / "site")
    print(f"the site: {BUILD / 'site' / 'index.html'}")
