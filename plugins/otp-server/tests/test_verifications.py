"""Verifications from the first request to the last, at the real server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from otpcore.testing import wrong_code

START = "/v1/verifications"


def started(client: httpx.Client, phone: str, **more: Any) -> dict[str, Any]:
    answer = client.post(START, json={"to": phone, **more})
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{START}/{document['id']}"
    return document


def test_a_code_is_sent_and_is_right_once(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = started(client, phone, purpose="sign-in", metadata={"order": "7"})
    assert (begun["status"], begun["delivery_state"], begun["attempts_left"]) == ("pending", "sent", 5)
    assert begun["to"] == f"{phone[:5]}******{phone[-2:]}"
    assert begun["metadata"] == {"order": "7"}
    code = shared.code()
    wrong = client.post(f"{START}/{begun['id']}/check", json={"code": wrong_code(code)})
    assert (wrong.status_code, wrong.json()) == (
        200,
        {"valid": False, "status": "pending", "attempts_left": 4, "reason": None},
    )
    right = client.post(f"{START}/{begun['id']}/check", json={"code": f" {code[:3]}-{code[3:]} "})
    assert (right.status_code, right.json()["valid"], right.json()["status"]) == (200, True, "approved")
    again = client.post(f"{START}/{begun['id']}/check", json={"code": code})
    assert again.json() == {"valid": False, "status": "approved", "attempts_left": None, "reason": None}
    seen = client.get(f"{START}/{begun['id']}").json()
    assert (seen["status"], seen["metadata"]) == ("approved", {"order": "7"})
    assert seen["approved_at"] is not None
    assert [one["outcome"] for one in seen["deliveries"]] == ["accepted"]
    assert phone not in str(seen)


def test_started_again_while_it_cools_down_it_is_the_same_one(client: httpx.Client, phone: str) -> None:
    first, second = started(client, phone), started(client, phone)
    assert first["id"] == second["id"]
    assert len(client.get(f"{START}/{first['id']}").json()["deliveries"]) == 1


def test_guessing_ends_after_the_last_attempt(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = started(client, phone)
    check = f"{START}/{begun['id']}/check"
    answers = [client.post(check, json={"code": wrong_code(shared.code())}).json() for _ in range(5)]
    assert [one["attempts_left"] for one in answers] == [4, 3, 2, 1, 0]
    assert answers[-1]["status"] == "max_attempts"
    late = client.post(check, json={"code": shared.code()})
    assert late.status_code in (200, 429)
    assert late.status_code == 429 or late.json()["valid"] is False
    assert client.get(f"{START}/{begun['id']}").json()["status"] == "max_attempts"


def test_a_resend_waits_for_its_time_and_goes_over_the_next_channel(
    shared: Any, client: httpx.Client, phone: str
) -> None:
    begun = started(client, phone, channels=["sms", "call"])
    resend = f"{START}/{begun['id']}/resend"
    early = client.post(resend)
    assert (early.status_code, early.json()["reason"]) == (429, "too_early")
    assert 0 < int(early.headers["retry-after"]) <= 30
    first = shared.code()
    called = client.post(resend, json={"channel": "next"})
    assert (called.status_code, called.json()["channel"], called.json()["id"]) == (202, "call", begun["id"])
    assert shared.code() == first
    assert client.post(f"{START}/{begun['id']}/check", json={"code": first}).json()["valid"] is True
    over = client.post(resend, json={"channel": "next"})
    assert (over.status_code, over.json()["reason"]) == (409, "over")


def test_a_cancelled_one_is_over(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = started(client, phone)
    for _ in range(2):
        ended = client.post(f"{START}/{begun['id']}/cancel")
        assert (ended.status_code, ended.json()["status"]) == (200, "canceled")
    checked = client.post(f"{START}/{begun['id']}/check", json={"code": shared.code()}).json()
    assert (checked["valid"], checked["status"]) == (False, "canceled")


@pytest.mark.parametrize(
    ("digits", "status", "reason", "more"),
    [
        ("14", 422, "permanent", {}),
        ("13", 422, "permanent", {"try_channel": "call"}),
        ("15", 503, "failed", {"retry_after": 2}),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_reason(
    client: httpx.Client, digits: str, status: int, reason: str, more: dict[str, Any]
) -> None:
    answer = client.post(START, json={"to": f"+120255501{digits}"})
    document = answer.json()
    assert (answer.status_code, document["status"], document["reason"]) == (status, status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: document[name] for name in more} == more
    assert "0255501" not in answer.text


def test_another_apps_verification_is_not_there(
    run_server: Callable[..., contextlib.AbstractContextManager[Any]], tmp_path: Any, phone: str
) -> None:
    apps = {"shop": {"purposes": ["sign-in"], "channels": ["sms"]}, "bank": {}}
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", server={"apps": apps}) as server,
        server.client(app="shop") as shop,
        server.client(app="bank") as bank,
    ):
        begun = started(shop, phone, purpose="sign-in")
        for asked in (bank.get, bank.post):
            assert asked(f"{START}/{begun['id']}").status_code in (404, 405)
        refused = bank.post(f"{START}/{begun['id']}/check", json={"code": server.code()})
        assert (refused.status_code, refused.json()["reason"]) == (404, "not_found")
        other = started(bank, phone, purpose="sign-in")
        assert other["id"] != begun["id"]
        for more in ({}, {"purpose": "pay"}, {"purpose": "sign-in", "channels": ["sms", "call"]}):
            answer = shop.post(START, json={"to": phone, **more})
            assert (answer.status_code, answer.json()["reason"]) == (422, "not_this_app")
        by_call = shop.post(f"{START}/{begun['id']}/resend", json={"channel": "call"})
        assert (by_call.status_code, by_call.json()["reason"]) == (422, "not_this_app")
        own = [one["verification"] for one in shop.get("/v1/inbox").json()["messages"]]
        assert own == [begun["id"]]


def test_live_keys_reach_people_and_test_keys_nobody(shared: Any, client: httpx.Client, phone: str) -> None:
    from otp_server.keys import Kind  # noqa: PLC0415 - so that the conftest is the only one that needs it

    with shared.client(Kind.LIVE) as live:
        begun = started(live, phone)
        assert [one.challenge_id for one in shared.outbox.messages] == [begun["id"]]
        assert client.get(f"{START}/{begun['id']}").status_code == 404
        tried = started(client, phone)
        assert tried["id"] != begun["id"]
        assert len(shared.outbox.messages) == 1
        assert live.get("/v1/inbox").json()["reason"] == "forbidden"
        code = shared.outbox.code
        assert live.post(f"{START}/{begun['id']}/check", json={"code": code}).json()["valid"] is True
