"""Providers, webhooks, keys and the inbox over a store in memory, in a sandbox as a whole, and on the first day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from console_client import Console, text_of

SANDBOX: dict[str, Any] = {"sms": {"sandbox": True}, "otp_sms_provider": "anyone;other", "storage": {"store": "memory"}}


@pytest.fixture(scope="module")
def home(serve_console: Any) -> Iterator[Console]:
    with serve_console("", **SANDBOX) as started:
        yield started


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/providers", "This is the sandbox: no provider is called."),
        ("/providers/instances/anyone", "anyone is ready. It had nothing to send in the last hour."),
        ("/providers/health", "What was looked at"),
        ("/webhooks", "No app is told what changes."),
        ("/keys", "No key can be used, so no app can ask for a code."),
        ("/keys/new", "Whom it reaches"),
        ("/inbox", "No message yet."),
    ],
)
def test_each_page_says_what_there_is(home: Console, path: str, told: str) -> None:
    answer = home.browser("ada").get(path)
    assert (answer.status_code, told in text_of(answer)) == (200, True)


def test_a_test_in_the_sandbox_lands_in_the_inbox(home: Console) -> None:
    browser = home.browser("otto")
    browser.get("/providers/instances/other")
    page = browser.does("/providers/instances/other/test", to="+12025550112", channel="sms", reason="to see it")
    assert "other accepted the test after" in text_of(page)
    assert "No message yet." in text_of(browser.get("/inbox"))  # the number is one of those where nothing arrives
    browser.does("/providers/instances/other/test", to="+12025550110", channel="sms", reason="to see it")
    assert "+12025550110 text by other test of other" in text_of(browser.get("/inbox"))
    browser.does("/providers/instances/other/test", to="+12025550114", channel="sms", reason="to see it")
    assert "Blocked" in text_of(browser.get("/providers/instances/other"))
