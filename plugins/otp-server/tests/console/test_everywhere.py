"""Every page of the console, on every store; and what is told when the store goes away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from console_client import Console, text_of
from otp_server.console.app import PARTS
from otp_server.console.desk import Desk
from otp_server.console.frame import NAVIGATION

PHONE = "+359887040506"
REASON = "to see all of it"


@pytest.fixture(params=["sqlite", "memory", "postgres", "redis"])
def console(request: pytest.FixtureRequest, serve_console: Any, tmp_path: Any) -> Iterator[Console]:
    kind = request.param
    more = {"storage": {"store": "memory"}} if kind == "memory" else {}
    url = f"sqlite:///{tmp_path}/otp.sqlite3" if kind in ("sqlite", "memory") else request.getfixturevalue(kind)
    with serve_console(url, **more) as started:
        yield started


def pages(console: Console) -> list[str]:
    """The pages of the navigation that are there."""
    served = {getattr(route, "path", "") for part in PARTS for route in part(Desk(server=console.server.server))}
    return [path for group in NAVIGATION for _, path in group if path in served]


def test_every_page_can_be_looked_at(console: Console) -> None:
    browser, operator = console.browser("ada"), console.server.server.service.operator
    paths = pages(console)
    assert {"/", "/audit"} <= {*paths}

    def look() -> None:
        for path in paths:
            answer = browser.get(path)
            assert answer.status_code == 200, (path, text_of(answer))
            assert PHONE not in answer.text
            assert PHONE[4:] not in answer.text
            assert re.search(r"<title>.+ · otp</title>", answer.text), path
            assert not re.search(r"\sstyle=|<script(?! src)|\son[a-z]+=", answer.text), path

    look()
    with console.server.client(kind="live") as client:
        begun = client.post("/v1/verifications", json={"to": PHONE}).json()
        client.post(f"/v1/verifications/{begun['id']}/check", json={"code": "000000"})
    console.server.do(operator.sending.deny("+8835", by="petar", reason=REASON))
    console.server.do(operator.sending.pause(by="petar", reason=REASON))
    look()
    assert REASON in text_of(browser.get("/audit"))


def test_a_viewer_may_look_and_a_stranger_may_not(console: Console) -> None:
    viewer, stranger = console.browser("vera"), console.browser("")
    for path in pages(console):
        assert viewer.get(path).status_code in (200, 403)
        assert stranger.get(path).status_code == 303


def test_a_store_that_is_away_is_told_as_a_page(redis_process: Any, serve_console: Any) -> None:
    with serve_console(redis_process.url) as console:
        browser = console.browser("vera")
        assert browser.get("/").status_code == 200
        redis_process.kill()
        answer = browser.get("/")
        assert answer.status_code == 503
        assert "The store does not answer." in text_of(answer)
