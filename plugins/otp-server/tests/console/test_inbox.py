"""The inbox, at home and in the console: codes of the sandbox, newest first, and nothing of what went to anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_client import Console, text_of
from otp_server.keys import Kind

START = "/v1/verifications"
SANDBOX: dict[str, Any] = {"sms": {"sandbox": True}, "otp_sms_provider": "anyone"}
MAGIC = "+12025550110"


@pytest.fixture
def home(run_server: Callable[..., contextlib.AbstractContextManager[Any]], tmp_path: Path) -> Iterator[Any]:
    """A server that is a sandbox as a whole."""
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", **SANDBOX) as server:
        yield server


def test_at_home_a_code_is_shown_with_its_number_and_whether_it_still_works(home: Any, phone: str) -> None:
    with home.client() as client, httpx.Client(base_url=home.url, timeout=60) as browser:
        assert "No message yet." in text_of(browser.get("/inbox"))
        started = client.post(START, json={"to": phone, "purpose": "sign-in", "locale": "ar"}).json()
        page = browser.get("/inbox")
        code = home.code()
        assert f">{code}</code>" in page.text
        assert "<title>Inbox: 1 message · otp</title>" in page.text
        assert f"{phone} text by anyone sign-in" in text_of(page)
        assert 'lang="ar" dir="auto"' in page.text
        assert "used" not in text_of(page)
        client.post(f"{START}/{started['id']}/check", json={"code": code})
        assert f"Code {' '.join(code)}, used" in text_of(browser.get("/inbox"))
        other = client.post(START, json={"to": MAGIC}).json()
        client.post(f"{START}/{other['id']}/cancel")
        page = text_of(browser.get("/inbox"))
        assert page.index(MAGIC) < page.index(phone)
        assert "cancelled" in page


def test_only_one_number_is_found_by_a_form_and_never_by_an_address(home: Any, phone: str) -> None:
    with home.client() as client, httpx.Client(base_url=home.url, timeout=60) as browser:
        for one in (phone, MAGIC, phone[:-1] + "9"):
            client.post(START, json={"to": one})
        found = browser.post("/inbox", data={"to": f" {MAGIC[:2]} {MAGIC[2:]}"})
        address = found.headers["location"]
        assert (found.status_code, MAGIC[1:] in address) == (303, False)
        page = text_of(browser.get(address))
        assert f"Only what went to {MAGIC}" in page
        assert phone not in page
        for unknown in ("+12025550111", "12", "nobody"):
            wrong = browser.post("/inbox", data={"to": unknown})
            assert (wrong.status_code, "Nothing was sent to this number" in wrong.text) == (422, True)
        stranger = {"Host": "stranger.example"}
        assert browser.post("/inbox", data={"to": MAGIC}, headers=stranger).status_code == 404


def test_a_long_inbox_goes_page_by_page(home: Any) -> None:
    with home.client(scopes=["relay"]) as client, httpx.Client(base_url=home.url, timeout=60) as browser:
        for number in range(45):
            sent = client.post("/v1/messages", json={"to": f"+3598710{number:05d}", "text": f"Parcel {number}."})
            assert sent.status_code == 202
        path, seen = "/inbox", []
        while path:
            page = browser.get(path).text
            seen += [int(one.partition(".")[0]) for one in page.split(">Parcel ")[1:]]
            older = page.rpartition('" rel="next"')[0].rpartition('href="')[2] if 'rel="next"' in page else ""
            path = older.replace("&amp;", "&")
        assert seen == list(range(44, -1, -1))
        assert "no code" in browser.get("/inbox").text


def test_the_console_shows_what_test_keys_sent_masked_and_nothing_of_live_keys(console: Console, phone: str) -> None:
    other = phone[:-2] + "77"
    with console.server.client(Kind.TEST) as test, console.server.client(Kind.LIVE) as live:
        test.post(START, json={"to": phone})
        code = console.server.code()
        live.post(START, json={"to": other})
    real = console.server.outbox.messages[-1].code
    browser = console.browser("vera")
    page = browser.get("/inbox")
    assert f">{code}</code>" in page.text
    assert real == code or real not in page.text
    assert phone[1:] not in page.text
    assert "What live keys send is never shown." in text_of(page)
    found = browser.post("/inbox", to=phone)
    assert found.status_code == 303
    assert phone[1:] not in found.headers["location"]
    assert f">{code}</code>" in browser.get(found.headers["location"].removeprefix("/console")).text
    assert browser.post("/inbox", to=other).status_code == 422
    assert console.browser("").get("/inbox").status_code == 303


def test_what_is_sent_is_no_markup(home: Any, phone: str) -> None:
    with home.client(scopes=["relay"]) as client:
        client.post("/v1/messages", json={"to": phone, "text": "<script>alert(1)</script>"})
        page = httpx.get(f"{home.url}/inbox").text
        assert "alert(1)" in page
        assert "<script>alert" not in page
