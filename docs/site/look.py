"""Looks at every page of the built site in Chromium, opened as a file and without a network: ``nox -s docs``.

Wide, narrow and dark. It fails where a page asks for something from elsewhere, has an error, is wider than a narrow
screen, has a table that a wide one does not show whole, or lacks a picture or a drawing, and where what the search finds
first is another page than the one that helps. Pictures of the pages go to ``build/docs/pictures`` with ``--pictures``.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Error, Page, ViewportSize, expect, sync_playwright

BUILD = Path(__file__).parents[2] / "build" / "docs"
SITE = BUILD / "site"
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
LOOKS: dict[str, tuple[ViewportSize, Literal["light", "dark"]]] = {
    "wide": (WIDE, "light"),
    "narrow": (NARROW, "light"),
    "dark": (WIDE, "dark"),
}
SEARCHED = {
    "breaker_threshold": "reference/settings",
    "rotate keys": "how-to/keys",
    "add a provider": "writing-a-provider",
}
PATIENCE = 20_000  # milliseconds until the search or a drawing must be there

WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT_TABLES = f"""innerWidth < {WIDE["width"]} ? [] : [...document.querySelectorAll('.md-typeset__scrollwrap')]
    .filter(one => one.scrollWidth > one.clientWidth).map(one => one.querySelector('th')?.innerText)"""
BROKEN_PICTURES = "[...document.images].filter(one => !one.complete || !one.naturalWidth).map(one => one.src)"
DRAWN = "[...document.querySelectorAll('.drawing')].every(one => one.querySelector('div.mermaid')?.offsetHeight > 100)"


def look(page: Page, file: Path, *, pictures: bool) -> Iterator[str]:
    """What is wrong with a page."""
    page.goto(file.as_uri())
    for name, (size, scheme) in LOOKS.items():
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        yield from (f"{file.relative_to(SITE)}, {name}: {one}" for one in wrong_with(page))
        if pictures:
            target = BUILD / "pictures" / name / file.relative_to(SITE).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=target, animations="disabled")


def foreign(page: str, url: str) -> list[str]:
    """A request that is not for a file of ours."""
    return [] if url.startswith(("file:", "data:", "blob:", "about:")) else [f"{page} asks for {url}"]


def wrong_with(page: Page) -> Iterator[str]:
    """What the page itself shows to be wrong."""
    try:
        page.wait_for_function(DRAWN, timeout=PATIENCE)
    except Error:
        yield "a drawing is not drawn"
    if (wider := page.evaluate(WIDER)) > 0:
        yield f"is {wider} pixels wider than the screen"
    yield from (f"does not show whole the table that begins with {one!r}" for one in page.evaluate(CUT_TABLES))
    yield from (f"lacks the picture {one}" for one in page.evaluate(BROKEN_PICTURES))


def search(browser: Browser) -> Iterator[str]:
    """What the search does not find first, on a page that was opened as a file."""
    page = browser.new_page(viewport=WIDE)
    for words, expected in SEARCHED.items():
        page.goto((SITE / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type(words)
        try:
            first = page.locator("a:has(mark)").first
            expect(first).to_have_attribute("href", re.compile(rf"/{re.escape(expected)}\.html"), timeout=PATIENCE)
        except AssertionError:
            yield f"the search for {words!r} does not find {expected} first"
    page.screenshot(path=BUILD / "search.png")


def main() -> None:
    """Look, and say what is wrong."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    pictures = "--pictures" in sys.argv
    files = [file for file in sorted(SITE.glob("**/*.html")) if not file.is_relative_to(SITE / "source")]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        wrong: list[str] = []
        page = browser.new_context(offline=True).new_page()
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("request", lambda request: wrong.extend(foreign(page.url, request.url)))
        for file in files:
            wrong += look(page, file, pictures=pictures)
        wrong += search(browser)
        browser.close()
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(files)} pages looked at, {', '.join(LOOKS)}, and the search")


if __name__ == "__main__":
    main()
