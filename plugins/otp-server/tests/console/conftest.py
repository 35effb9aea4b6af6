"""Consoles for tests: people are let in by the word of a proxy, which is the test."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console_client import HEADER, Console, serving

WIDTHS = (320, 768, 1440)
WIDEST = """[...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right >
    document.documentElement.clientWidth + 1).map((one) => one.outerHTML.slice(0, 120)).slice(0, 5)"""


@pytest.fixture(scope="session")
def serve_console(run_server: Any) -> Callable[..., contextlib.AbstractContextManager[Console]]:
    """A console of a test's own: its URL of the database, providers, and sections of settings."""

    def run(url: str, providers: Any = None, **sections: Any) -> Any:
        return serving(run_server, url, providers, **sections)

    return run


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Console]:
    """A console on SQLite that the tests of a file share; what is sent goes into ``console.server.outbox``."""
    with serve_console(f"sqlite:///{tmp_path_factory.mktemp('console')}/otp.sqlite3") as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's browser, or the test is skipped by name."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None and os.environ.get("OTPCORE_TEST_SERVERS") != "required":
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a page of a console as somebody, in a browser of their own; what it complains of is a failure."""
    contexts, complaints = [], []

    def opened(
        console: Console, path: str, width: int = 1440, scheme: str = "light", *, js: bool = True, name: str = "ada"
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=js,
            locale="en-GB",
            timezone_id="Europe/Sofia",
            extra_http_headers={HEADER: name} if name else {},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{console.url}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [one for one in complaints if "Failed to load resource" not in one] == []


@pytest.fixture(scope="session")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """That a page has nothing to scroll sideways for, in every width; a picture of each is kept with the run."""
    kept = os.environ.get("OTPCORE_TEST_ARTEFACTS")
    shots = Path(kept) / "console" if kept else tmp_path_factory.mktemp("shots")
    shots.mkdir(parents=True, exist_ok=True)

    def check(page: Any, name: str) -> None:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            page.screenshot(path=str(shots / f"{name}-{width}.png"), full_page=True)
            assert wide == 0, (name, width, page.evaluate(WIDEST))

    return check


@pytest.fixture(scope="session")
def fine(fits: Callable[..., None]) -> Callable[..., None]:
    """The same, and nothing for a checker to find either, in a wide and a narrow page; it needs scripts."""
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")

    def check(page: Any, name: str) -> None:
        fits(page, name)
        for width in (WIDTHS[-1], WIDTHS[0]):
            page.set_viewport_size({"width": width, "height": 900})
            found = axe.Axe().run(page)["violations"]
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], (name, width)

    return check
