"""The verification page in Chromium: every state, in widths, schemes and directions, with and without JavaScript."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from otp_server.pages.records import Pages
from page_client import page_of

from otpcore.testing import wrong_code

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOME = "https://shop.example/home"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("OTPCORE_TEST_SERVERS") != "required", reason="Chromium is not installed"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, run_server: Any) -> Iterator[Any]:
    page = {"return_urls": [HOME], "help_url": "https://shop.example/help", "change_url": "https://shop.example/number"}
    url = f"sqlite:///{tmp_path_factory.mktemp('browser')}/otp.sqlite3"
    with run_server(url, otp={"app": "Linden Bank"}, server={"page": page}) as server:
        yield server


@pytest.fixture(scope="module")
def api(pages: Any) -> Iterator[httpx.Client]:
    with pages.client() as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Any]:
    """Open a page in a browser of its own, that reaches nothing but the server; what it complains of is a failure."""
    contexts, complaints = [], []

    def opened(url: str, width: int = 390, scheme: str = "light", *, js: bool = True) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=js, locale="en-GB"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _fine(page: Any, name: str) -> None:
    """Nothing for a checker to find either; the checker itself needs JavaScript."""
    found = axe.Axe().run(page)["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    _fits(page, name)


def _fits(page: Any, name: str) -> None:
    """Nothing to scroll sideways for; a picture of it where that is asked for."""
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    if kept := os.environ.get("OTPCORE_TEST_ARTEFACTS"):
        shots = Path(kept) / "page"
        shots.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(shots / f"{name}.png"), full_page=True)


def _change(pages: Any, url: str, **how: Any) -> None:
    token = url.rpartition("/")[2]
    pages.do(Pages(server=pages.server).change(token, lambda old: attrs.evolve(old, **how)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en", "ar"])
def test_it_is_fine_in_every_width(
    pages: Any, api: httpx.Client, browse: Any, phone: str, locale: str, scheme: str
) -> None:
    page = browse(page_of(api, phone, channels=["sms", "call"], locale=locale), scheme=scheme)
    for state in ("enter", "wrong"):
        for width in (320, 768, 1440, 390):
            page.set_viewport_size({"width": width, "height": 800})
            _fits(page, f"{state}-{locale}-{width}-{scheme}")
        _fine(page, f"{state}-{locale}-{scheme}")
        if state == "enter":
            assert page.evaluate("document.activeElement.id") == "code"
            page.fill("#code", wrong_code(pages.code()))
            page.keyboard.press("Enter")
            page.wait_for_selector(".notice")
            assert page.evaluate("document.activeElement.className") == "alert notice"
            assert page.input_value("#code") == ""


@pytest.mark.parametrize("js", [True, False])
def test_a_code_is_typed_and_right(pages: Any, api: httpx.Client, browse: Any, phone: str, js: bool) -> None:
    page = browse(page_of(api, phone), js=js)
    page.fill("#code", f"{pages.code()[:3]} {pages.code()[3:]}")
    page.click("#entry .button")
    page.wait_for_selector("h1:has-text('Your number is confirmed')")
    (_fine if js else _fits)(page, f"done-{'js' if js else 'bare'}")
    page.go_back()
    page.reload()
    assert page.inner_text("h1") == "Your number is confirmed"


def test_without_javascript_it_can_be_asked_for_again_once_it_is_time(
    pages: Any, api: httpx.Client, browse: Any, phone: str
) -> None:
    url = page_of(api, phone, channels=["sms", "call"])
    page = browse(url, js=False)
    assert re.search(r"in 0:[0-3]\d", page.inner_text(".wait"))
    page.click("button[value=sms]")
    assert page.inner_text(".notice h2") == "It is too soon to send it again"
    _fits(page, "early")
    _change(pages, url, asked_at={"sms": datetime.now(UTC) - timedelta(minutes=2)})
    page.reload()
    page.click("button[value=sms]")
    assert page.inner_text(".told").startswith("We have passed on your request")
    _fits(page, "asked")


def test_the_button_comes_when_it_is_time(pages: Any, api: httpx.Client, browse: Any, phone: str) -> None:
    url = page_of(api, phone)
    _change(pages, url, asked_at={"sms": datetime.now(UTC) - timedelta(seconds=26)})
    page = browse(url)
    assert not page.is_visible("button[value=sms]")
    page.wait_for_selector("button[value=sms]", state="visible")
    assert page.inner_text("#announce") == "You can have it sent again now."


def test_the_end_is_announced_and_then_told_without_a_reload(
    pages: Any, api: httpx.Client, browse: Any, phone: str
) -> None:
    url = page_of(api, phone, page={"return_url": HOME})
    now = datetime.now(UTC)
    _change(pages, url, expires_at=now + timedelta(seconds=90), started_at=now - timedelta(seconds=210))
    page = browse(url)
    page.clock.install()
    page.reload()
    assert not page.is_visible("#soon")
    page.clock.run_for(31_000)
    assert page.inner_text("#soon") == (
        "The code ends in less than a minute. If you need more time, have it sent again."
    )
    _fine(page, "soon")
    page.fill("#code", "123")
    page.clock.run_for(62_000)
    assert page.inner_text("h1") == page.title() == "The code has expired"
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert page.inner_text("#over").split("\n")[:1] == ["The code has expired."]
    assert not page.is_visible("#entry")
    assert HOME in page.get_attribute("#over a", "href")
    assert page.url == url
    _fine(page, "over")
    _change(pages, url, expires_at=now)
    page.reload()
    assert page.inner_text("h1") == "The code has expired"
    _fine(page, "expired")


def test_what_was_used_elsewhere_is_shown_here(pages: Any, api: httpx.Client, browse: Any, phone: str) -> None:
    begun = api.post("/v1/verifications", json={"to": phone, "page": {}}).json()
    page = browse(begun["page_url"])
    page.clock.install()
    page.reload()
    api.post(f"/v1/verifications/{begun['id']}/check", json={"code": pages.code()})
    page.clock.run_for(11_000)
    page.wait_for_selector("h1:has-text('The code was already used')")
    _fine(page, "elsewhere")


def test_the_code_of_the_message_is_filled_in_and_can_be_stopped(
    pages: Any, api: httpx.Client, browse: Any, phone: str
) -> None:
    page = browse(page_of(api, phone))
    code = pages.code()
    page.add_init_script(
        f"navigator.credentials.get = async ({{ otp, signal }}) => otp.transport[0] === 'sms' && signal && {{ code: '{code}' }};"
        "window.OTPCredential ??= class {};"
    )
    page.clock.install()
    page.reload()
    page.wait_for_selector("#filled:has-text('The code was filled in from the message.')")
    assert page.input_value("#code") == code
    page.locator("#code").press_sequentially("1")
    page.clock.run_for(3_000)
    assert page.is_visible("#entry")  # the person has touched it: it is his to send
    page.reload()
    page.wait_for_selector("#filled:has-text('The code was filled in from the message.')")
    page.clock.run_for(2_000)
    page.wait_for_selector("h1:has-text('Your number is confirmed')")


def test_two_presses_are_one(pages: Any, api: httpx.Client, browse: Any, phone: str) -> None:
    page = browse(page_of(api, phone))
    posts: list[str] = []
    page.on("request", lambda one: posts.append(one.url) if one.method == "POST" else None)
    page.fill("#code", wrong_code(pages.code()))
    page.evaluate(
        "() => { const form = document.getElementById('entry'); form.requestSubmit(); form.requestSubmit(); }"
    )
    page.wait_for_selector(".notice")
    assert len(posts) == 1
    assert "4 tries are left" in page.inner_text(".notice")


def test_the_browser_remembers_no_code(pages: Any, api: httpx.Client, browse: Any, phone: str) -> None:
    page = browse(page_of(api, phone))
    assert page.get_attribute("#code", "name") is None
    assert page.get_attribute("#code", "autocomplete") == "one-time-code"
    assert page.get_attribute("#code", "maxlength") is None


def test_there_is_no_such_page_and_no_other_browsers(pages: Any, api: httpx.Client, chromium: Any, phone: str) -> None:
    url = page_of(api, phone)
    httpx.get(url)
    for address, heading in (
        (url, "This page was opened in another browser"),
        (f"{pages.url}/v/{'A' * 22}", "There is no such page"),
    ):
        page = chromium.new_page()
        page.goto(address)
        assert page.inner_text("h1") == heading
        _fine(page, heading.partition(" ")[0].lower())
        page.close()
