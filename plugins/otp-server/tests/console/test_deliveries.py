"""Deliveries and verifications as an operator looks for them: by what stands in the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from console_client import text_of
from console_scenes import Scene, gateways, rows

PHONE, OTHER = "+359881234567", "+447400123456"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Scene]:
    """One person is reached by twilio_eu after mada, who verifies; another one by nobody, of another app."""
    mada, twilio = gateways()
    url = f"sqlite:///{tmp_path_factory.mktemp('deliveries')}/otp.sqlite3"
    with serve_console(url, {"mada": mada, "twilio_eu": twilio}) as console:
        made = Scene(console, mada, twilio)
        begun = made.send(PHONE, ("misconfigured", "HTTP 401"), purpose="sign-in")
        made.report(begun.id)
        assert made.verify(PHONE, made.code, purpose="sign-in")
        made.send(OTHER, ("throttled", "20429"), ("blocked", "30004"), purpose="pay", app="shop")
        yield made


def test_each_delivery_says_what_became_of_it_and_whose_it_was(scene: Scene) -> None:
    answer = scene.console.browser("vera").get("/deliveries")
    found = [re.sub(r"^[\d:.]+ \(new tab\) ", "", row) for row in rows(answer)]
    found = [re.sub(r"\b\d+ ms", "N ms", row) for row in found]
    assert found == [
        "Blocked +4474******56 sms twilio_eu default 30004 N ms pay shop",
        "Throttled +4474******56 sms mada default 20429 N ms pay shop",
        "Delivered +3598******67 sms twilio_eu default none N ms sign-in",
        "Misconfigured +3598******67 sms mada default HTTP 401 N ms sign-in",
    ]
    assert "4, newest first: 1 blocked, 1 throttled, 1 delivered, 1 misconfigured." in text_of(answer)
    for hidden in (PHONE[1:], OTHER[1:], scene.code):
        assert hidden not in answer.text


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"outcome": "blocked"}, ["Blocked"]),
        ({"instance": "mada"}, ["Throttled", "Misconfigured"]),
        ({"code": "HTTP 401"}, ["Misconfigured"]),
        ({"channel": "call"}, []),
        ({"prefix": "default"}, ["Blocked", "Throttled", "Delivered", "Misconfigured"]),
        ({"prefix": "+359"}, []),
        ({"prefix": "\u202a+359\u202c"}, []),
        ({"instance": "mada", "outcome": "throttled"}, ["Throttled"]),
        ({"from": f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M}", "outcome": "accepted"}, ["Delivered"]),
        ({"from": "1h", "outcome": "blocked"}, ["Blocked"]),
        ({"until": "2d"}, []),
        ({"until": f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%d %H:%M}"}, []),
    ],
)
def test_what_stands_in_the_address_narrows_the_list(scene: Scene, asked: dict[str, str], expected: list[str]) -> None:
    answer = scene.console.browser("vera").get("/deliveries", **asked)
    assert answer.status_code == 200
    assert [row.split(") ")[1].split()[0] for row in rows(answer)] == expected
    if not expected:
        assert "No delivery fits the filter." in text_of(answer)
    for name, value in asked.items():
        assert re.search(
            f'name="{name}"[^>]*value="{re.escape(value)}"|value="{re.escape(value)}" selected', answer.text
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"from": "yesterday"}, "Write a time such as"),
        ({"from": "0001-01-01T00:00+10:00"}, "Write a time such as"),
        ({"until": "9999-12-31T23:59-10:00"}, "Write a time such as"),
        ({"prefix": "359"}, "Write +35987"),
        ({"prefix": PHONE}, "Write +35987"),
        ({"channel": "S M S"}, "Write its word"),
        ({"outcome": "lost"}, "This cannot be looked for."),
        ({"after": "nothing"}, "This page of the list is not there."),
    ],
)
def test_what_cannot_be_looked_for_is_said_at_its_field(scene: Scene, asked: dict[str, str], said: str) -> None:
    answer = scene.console.browser("vera").get("/deliveries", **asked)
    assert answer.status_code == 422
    assert f"<title>{said}" in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_a_list_goes_on_where_a_page_ended(tmp_path: Any, serve_console: Any) -> None:
    mada, twilio = gateways()
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", {"mada": mada, "twilio_eu": twilio}) as console:
        many = Scene(console, mada, twilio)
        for number in range(53):
            many.send(f"+4474001{number:05d}", purpose="sign-in")
        browser = console.browser("vera")
        for path in ("/deliveries", "/deliveries/verifications"):
            first = browser.get(path)
            older = re.search(r'href="([^"]*after=[^"]*)" rel="next"', first.text)
            assert older is not None
            second = browser.client.get(older[1].replace("&amp;", "&").removeprefix("/console"))
            assert (len(rows(first)), len(rows(second))) == (50, 3)
            assert not set(rows(first)) & set(rows(second))
            assert "Newest</a>" in second.text
            assert "That is all" in text_of(second)


def test_verifications_are_looked_for_by_purpose_app_and_state(scene: Scene) -> None:
    browser = scene.console.browser("vera")
    everything = rows(browser.get("/deliveries/verifications"))
    assert [re.sub(r"^[\d:]+ \(new tab\) ", "", row) for row in everything] == [
        "Not sent +4474******56 pay shop twilio_eu 0",
        "Verified +3598******67 sign-in twilio_eu 1",
    ]
    for asked, expected in (
        ({"purpose": "pay"}, everything[:1]),
        ({"app": "shop"}, everything[:1]),
        ({"app": "none"}, everything[1:]),
        ({"state": "approved"}, everything[1:]),
        ({"state": "approved", "purpose": "pay"}, []),
        ({"instance": "mada"}, []),
    ):
        assert rows(browser.get("/deliveries/verifications", **asked)) == expected, asked
    wrong = browser.get("/deliveries/verifications", state="lost")
    assert (wrong.status_code, "This cannot be looked for." in text_of(wrong)) == (422, True)


def test_a_row_opens_its_verification_and_outlives_it(tmp_path: Any, serve_console: Any) -> None:
    mada, twilio = gateways()
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", {"mada": mada, "twilio_eu": twilio}) as console:
        short = Scene(console, mada, twilio)
        begun = short.send(PHONE)
        browser = console.browser("vera")
        assert f'href="/console/verification/{begun.id}" target="_blank"' in browser.get("/deliveries").text
        assert short.do(short.service.operator.challenges.cancel(begun.id, by="the test"))
        now, day = datetime.now(UTC), timedelta(days=1)
        purge = short.service.store.purge(
            challenges_before=now + day, deliveries_before=now - day, phone_key=None, now=None
        )
        assert short.do(purge).challenges == 1
        answer = browser.get("/deliveries")
        assert "/verification/" not in answer.text
        assert "no longer kept" in rows(answer)[0]
        assert browser.get(f"/verification/{begun.id}").status_code == 404


def test_an_empty_list_says_what_would_be_there(tmp_path: Any, serve_console: Any) -> None:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3") as console:
        browser = console.browser("vera")
        assert "Nothing was sent yet." in text_of(browser.get("/deliveries"))
        assert "Nothing was started yet." in text_of(browser.get("/deliveries/verifications"))
