"""Audit: what operators did, in order, filtered, page by page."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import otp_server
import pytest
from console_client import Console, text_of

import otpcore


@pytest.fixture(scope="module", autouse=True)
def changes(console: Console) -> None:
    """What two operators did; the accounts of the tests come before."""
    operator = console.server.server.service.operator

    async def change() -> None:
        for number in range(60):
            await operator.sending.deny(f"+3598{number:02}", by="petar", reason=f"pumping {number}")
        await operator.sending.pause(by="ana", reason="<b>Vendor</b> & change")

    console.server.do(change())


def rows(answer: Any) -> list[str]:
    found = re.findall(r"<tr role=\"row\">(.*?)</tr>", answer.text, re.DOTALL)[1:]
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", one)).split()) for one in found]


def test_the_latest_comes_first_with_who_and_why(console: Console) -> None:
    answer = console.browser("vera").get("/audit")
    first, second, *_ = rows(answer)
    paused = r"\d\d:\d\d:\d\d ana Paused sending was: not paused ?; is: paused until it is switched again .*"
    assert re.fullmatch(paused, first)
    assert first.endswith("<b>Vendor</b> & change")
    assert "<b>Vendor" not in answer.text
    denied = r".* petar Denied \+359859 was: left to the settings ?; is: denied until it is switched again pumping 59"
    assert re.fullmatch(denied, second)


def test_pages_end_at_a_cursor_and_show_each_change_once(console: Console) -> None:
    browser, seen, path = console.browser("vera"), [], "/audit"
    while path:
        answer = browser.get(path)
        seen += rows(answer)
        older = re.search(r'href="/console(/audit\?[^"]*)" rel="next"', answer.text)
        path = html.unescape(older[1]) if older else ""
    assert len(seen) == 61 + 4
    assert "Let into the console" in seen[-1]
    assert "by proxy: yes" in seen[-1]


def test_it_is_filtered_by_what_and_by_whom(console: Console) -> None:
    browser = console.browser("vera")
    denied = rows(browser.get("/audit", action="sending.deny"))
    assert len(denied) == 50
    assert all("petar" in one for one in denied)
    assert len(rows(browser.get("/audit", by="ana"))) == 1
    answer = browser.get("/audit", by="ana", action="sending.deny")
    assert "No change is like this." in text_of(answer)
    older = browser.get("/audit", by="petar", action="sending.deny")
    link = html.unescape(re.search(r'href="([^"]*)" rel="next"', older.text)[1])  # type: ignore[index]
    assert "by=petar" in link
    assert len(rows(browser.get(link.removeprefix("/console")))) == 10


def test_what_is_no_cursor_is_the_first_page(console: Console) -> None:
    browser = console.browser("vera")
    for after in ("x", "-1", "9" * 40, "²"):
        assert browser.get("/audit", after=after).status_code == 200


def test_nobody_has_changed_anything_yet(serve_console: Any, tmp_path: Any) -> None:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3") as console:
        browser = console.browser("vera")
        assert len(rows(browser.get("/audit"))) == 4
        assert "No change is like this." in text_of(browser.get("/audit", action="erase"))


def test_whatever_an_operator_can_do_has_words_of_ours(console: Console) -> None:
    sources = [*Path(otp_server.__file__).parent.rglob("*.py"), *Path(otpcore.__file__).parent.glob("operator/*.py")]
    record = re.compile(r'record\(\s*"([a-z_.]+)"')
    actions = {one for source in sources for one in record.findall(source.read_text("utf-8"))}
    offered = console.browser("vera").get("/audit").text
    assert {"instances.test", "webhooks.replay", "sending.pause"} <= actions
    assert [
        one for one in sorted(actions) if f'value="{one}">{one}' in offered or f'value="{one}"' not in offered
    ] == []
