"""The site's menu and links, as far as they can be looked at without building it; ``nox -s docs`` does the rest."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(monkeypatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_build", ROOT / "docs" / "site" / "build.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "site_build", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(build, tmp_path, monkeypatch) -> ModuleType:
    """A repository of three pages and a program."""
    for name, text in {
        "README.md": "# Small\n",
        "CONTRIBUTING.md": "# Contributing\n",
        "SECURITY.md": "# Security\n",
        "CHANGELOG.md": "# Changelog\n",
        "docs/index.md": "# Small\n\nSee [a](how-to/a.md#one), [x](../plugins/otp-x/README.md).\n",
        "docs/how-to/a.md": "# A\n\n## One\n\n[code](../../examples/x.py), [home](../../README.md)\n\n"
        "```text\n[not](a-link.md)\n```\n",
        "plugins/otp-x/README.md": "# otp-x\n\n[a](../../docs/how-to/a.md), ![p](images/p.png)\n",
        "plugins/otp-x/images/p.png": "a picture",
        "examples/x.py": "print(1)\n",
        "docs/site/mkdocs.yml": "nav:\n  - index.md\n  - A: how-to/a.md\n  - CONTRIBUTING.md\n  - CHANGELOG.md\n  - SECURITY.md\n"
        "  - otp-x: plugins/otp-x/README.md\n",
        "docs/site/assets/extra.css": "",
        "mermaid.js": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name, place in {"ROOT": "", "DOCS": "docs", "HERE": "docs/site", "BUILD": "out", "PAGES": "out/pages"}.items():
        monkeypatch.setattr(build, name, tmp_path / place)
    monkeypatch.setattr(build, "mermaid", lambda: tmp_path / "mermaid.js")
    return build


def test_every_page_is_in_the_menu_and_links_to_what_is_there(build):
    assert build.faults(build.pages()) == []


def test_links_lead_to_the_same_things_on_the_site(small):
    small.collect()
    assert "[a](how-to/a.md#one), [x](plugins/otp-x/README.md)" in (small.PAGES / "index.md").read_text("utf-8")
    page = (small.PAGES / "how-to/a.md").read_text("utf-8")
    assert "[code](../source/examples/x.py.md), [home](../index.md)" in page
    assert "[not](a-link.md)" in page, "code stays as it is"
    assert "[a](../../how-to/a.md)" in (small.PAGES / "plugins/otp-x/README.md").read_text("utf-8")
    assert (small.PAGES / "plugins/otp-x/images/p.png").exists()
    assert "````python\nprint(1)\n````" in (small.PAGES / "source/examples/x.py.md").read_text("utf-8")


def test_what_belongs_to_an_item_stays_with_it(build):
    told = "1. One\n\n   ```sh\n   a\n     b\n   ```\n\n2. Two\n   more\n- x\n\n  y\n\nEnd\n\n    code"
    assert build.deeper(told) == (
        "1. One\n\n    ```sh\n    a\n      b\n    ```\n\n2. Two\n    more\n- x\n\n    y\n\nEnd\n\n    code"
    )


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("docs/index.md", "[gone](gone.md)", "docs/index.md links to"),
        ("docs/unlisted.md", "# Unlisted", "docs/unlisted.md is not in nav:"),
        ("docs/site/mkdocs.yml", "nav:\n  - index.md\n  - B: how-to/b.md", "lists how-to/b.md, which is not there"),
    ],
)
def test_what_leads_nowhere_or_is_not_listed_stops_the_build(small, file, text, told):
    (small.ROOT / file).write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=told):
        small.collect()


def test_only_pages_with_a_drawing_bring_what_draws_it(small, tmp_path):
    script = '<script src="./assets/mermaid.js"></script>'
    at_an_address = ("404.html", "sitemap.xml")
    for name in at_an_address:
        (tmp_path / name).write_text(script, encoding="utf-8")
    for name, body in (("plain", "<p>"), ("drawn", '<pre class="mermaid">a</pre>')):
        (tmp_path / f"{name}.html").write_text(f"{body}{script}", encoding="utf-8")
    small.finish(tmp_path)
    assert script not in (tmp_path / "plain.html").read_text("utf-8")
    drawn = (tmp_path / "drawn.html").read_text("utf-8")
    assert drawn == f'<div class="drawing"><pre class="mermaid">a</pre></div>{script}'
    for name in at_an_address:
        assert not (tmp_path / name).exists(), "it works at an address of its own alone"
