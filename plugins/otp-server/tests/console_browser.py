"""Pages of the console in Chromium: what is looked for on each of them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (320, 768, 1440)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("OTPCORE_TEST_SERVERS") != "required", reason="Chromium is not installed"
)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser, without windows."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextlib.contextmanager
def looking(browser: Any, headers: Mapping[str, str], *, scheme: str = "light", js: bool = True) -> Iterator[Any]:
    """A page of a browser of its own; what it complains of is a failure.

    Args:
        browser: Of ``chromium``.
        headers: That let it in.
        scheme: Of the colours.
        js: Scripts run.
    """
    complaints: list[str] = []
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        color_scheme=scheme,
        java_script_enabled=js,
        extra_http_headers=dict(headers),
        locale="en-GB",
    )
    page = context.new_page()
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [one for one in complaints if "status of 4" not in one] == []


def fits(page: Any, name: str, *, directory: Path | None = None) -> None:
    """In every width: nothing to scroll sideways for; a picture of each where that is asked for."""
    wanted = directory or (
        Path(os.environ["OTPCORE_TEST_ARTEFACTS"]) if "OTPCORE_TEST_ARTEFACTS" in os.environ else None
    )
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, (name, width)
        if wanted is not None:
            wanted.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(wanted / f"console-{name}-{width}.png"), full_page=True)


def is_fine(page: Any, name: str) -> None:
    """It fits, and a checker finds nothing, in the narrowest and the widest width; the checker needs scripts."""
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")
    fits(page, name)
    for width in (WIDTHS[0], WIDTHS[-1]):
        page.set_viewport_size({"width": width, "height": 900})
        found = axe.Axe().run(page)["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], (name, width)
