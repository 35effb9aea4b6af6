"""Webhooks in the console: attempts with their body, told again for a reason, and addresses that want nothing more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from console_client import Browser, Console, text_of
from otp_server.webhooks import teller
from otp_server.webhooks.calling import Called
from otp_server.webhooks.events import WebhookEvent
from webhook_receiver import Receiver

SECRET = "whsec_" + "c2VjcmV0" * 4
WHY = "they lost it"


@attrs.define
class Scene:
    """A console of a server whose app "shop" hears at a receiver."""

    console: Console
    receiver: Receiver
    api: httpx.Client

    def start(self, phone: str) -> str:
        started: str = self.api.post("/v1/verifications", json={"to": phone}).json()["id"]
        return started

    def until(self, browser: Browser, told: str) -> httpx.Response:
        """The list, once it says this."""
        end = time.monotonic() + 60
        while told not in text_of(answer := browser.get("/webhooks")) and time.monotonic() < end:
            time.sleep(0.05)
        assert told in text_of(answer)
        return answer

    def changes(self) -> list[tuple[str, str, str]]:
        found = self.console.server.do(self.console.server.server.service.operator.audit())
        return [(one.by, one.action, one.reason) for one in found if one.action.startswith("webhooks")]


@pytest.fixture
def scene(tmp_path: Path, serve_console: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(teller, "DELAYS", (0.05,))
    monkeypatch.setattr(teller, "_POLL", 0.05)
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    apps = {"shop": {"webhook": {"url": f"{receiver.url}?key=s3cret", "secrets": [SECRET]}}}
    server = {"apps": apps, "webhook_networks": ["127.0.0.0/8"]}
    with (
        serve_console(url, storage={"url": url, "outbox": True}, server=server) as console,
        console.server.client(app="shop") as api,
    ):
        yield Scene(console, receiver, api)


def test_without_an_app_that_is_told_it_says_what_to_do(console: Console) -> None:
    page = text_of(console.browser("vera").get("/webhooks"))
    assert "No app is told what changes." in page
    assert "Nothing was told yet." in page


def test_what_was_heard_is_listed_and_its_body_shown(scene: Scene, phone: str) -> None:
    browser = scene.console.browser("vera")
    assert "Nothing was told in the last hour." in text_of(browser.get("/webhooks"))
    started = scene.start(phone)
    answer = scene.until(browser, "Everything that was told in the last hour was heard.")
    assert "s3cret" not in answer.text
    assert SECRET not in answer.text
    link = answer.text.partition('href="/console/webhooks/')[2].partition('"')[0]
    page = browser.get(f"/webhooks/{link}")
    assert "shop heard “verification.sent”." in text_of(page)
    assert started in page.text
    assert "HTTP 204" in page.text
    assert phone[1:] not in page.text
    assert scene.console.server.code() not in page.text
    for unknown in ("nothing", "0" * 13 + "-" + "0" * 8):
        assert browser.get(f"/webhooks/{unknown}").status_code == 404


def test_what_was_not_heard_is_found_by_a_filter_and_told_again_for_a_reason(scene: Scene, phone: str) -> None:
    scene.receiver.answers = [500, 500]
    scene.start(phone)
    browser = scene.console.browser("otto")
    scene.until(browser, "2 of 2 attempts in the last hour were not heard.")
    assert text_of(browser.get("/webhooks", end="given up")).count("HTTP 500") == 1
    assert "No attempt fits the filter." in text_of(browser.get("/webhooks", end="heard"))
    assert "No attempt fits the filter." in text_of(browser.get("/webhooks", type="verification.approved"))
    given_up = browser.get("/webhooks", end="given up").text
    link = given_up.partition('href="/console/webhooks/')[2].partition('"')[0]
    browser.get(f"/webhooks/{link}")
    unsaid = browser.post(f"/webhooks/{link}/replay")
    assert (unsaid.status_code, "Say why." in unsaid.text) == (422, True)
    assert len(scene.receiver.heard) == 2
    page = text_of(browser.does(f"/webhooks/{link}/replay", reason=WHY))
    assert "It was heard: HTTP 204." in page
    assert "by hand" in page
    assert scene.changes() == [("otto", "webhooks.replay", WHY)]
    assert len({headers["webhook-id"] for headers, _ in scene.receiver.heard}) == 1
    viewer = scene.console.browser("vera")
    viewer.get(f"/webhooks/{link}")
    assert viewer.post(f"/webhooks/{link}/replay", reason=WHY).status_code == 403
    assert len(scene.receiver.heard) == 3


def test_an_address_that_answered_410_is_told_of_and_switched_on_again(scene: Scene, phone: str) -> None:
    scene.receiver.answers = [410]
    scene.start(phone)
    browser = scene.console.browser("otto")
    scene.until(browser, "shop has been told nothing since")
    unsaid = browser.post("/webhooks/on", app="shop")
    assert (unsaid.status_code, "Say why." in unsaid.text) == (422, True)
    page = text_of(browser.does("/webhooks/on", app="shop", reason="they are back"))
    assert "It is told what changes from now on." in page
    assert "told nothing since" not in page
    assert scene.changes() == [("otto", "webhooks.on", "they are back")]
    assert browser.post("/webhooks/on", app="mall", reason=WHY).status_code == 404


def test_a_long_list_goes_page_by_page(scene: Scene) -> None:
    attempts = scene.console.server.server.teller.attempts
    for number in range(120):
        event = WebhookEvent(id=f"evt_{number:03d}", type="verification.sent", app="shop", body=b"{}")
        scene.console.server.do(attempts.add(event, Called(status=204), 1, is_last=True))
    browser = scene.console.browser("vera")
    seen: list[str] = []
    path = "/webhooks"
    for _ in range(4):
        page = browser.get(path).text
        seen += [one.partition('"')[0] for one in page.split('href="/console/webhooks/')[1:]]
        older = page.rpartition('rel="next"')[0].rpartition('href="/console')[2].partition('"')[0]
        if 'rel="next"' not in page:
            break
        path = older.replace("&amp;", "&")
    assert (len(seen), len(set(seen))) == (120, 120)
    assert seen == sorted(seen)
