"""What every auth system is promised: its message is carried once, and no one else's is."""

from __future__ import annotations

import itertools
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from otp_server.keys import Kind
from otp_server.relay.routes import ADAPTERS
from otp_server.server import Server
from relay_callers import (
    AUTHENTIK,
    CALLERS,
    KRATOS,
    LOGTO,
    NEXT_SHARED,
    NEXT_SIGNING,
    OTHER,
    SETTINGS,
    SUPABASE,
    ZITADEL,
    Caller,
)

from otpcore import AsyncOTPService, SettingsError, StoreError

each = pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.name)
SIGNERS = [one for one in CALLERS if one.is_signing]


@pytest.fixture(scope="module")
def relaying(run_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server to which every auth system hands messages over: to the sandbox, for two of three apps."""
    apps = {
        "shop": {"relay": SETTINGS},
        "bank": {"purposes": ["pay"], "relay": SETTINGS},
        "club": {},
        "abroad": {"countries": ["DE"], "relay": SETTINGS},
    }
    url = f"sqlite:///{tmp_path_factory.mktemp('relay')}/otp.sqlite3"
    with run_server(url, server={"apps": apps}) as server:
        yield server


def inbox(server: Any, phone: str) -> list[Any]:
    return [one for one in server.server.sandbox.sandbox_inbox() if one.phone.e164 == phone]


def is_refused(answer: Any) -> bool:
    return answer.status_code >= 400 or "error" in answer.json()


@each
def test_an_app_sends_to_its_own_countries_alone(relaying: Any, caller: Caller, phone: str) -> None:
    assert is_refused(caller.call(relaying.url, caller.body(phone), app="/abroad"))
    assert inbox(relaying, phone) == []


def test_there_is_a_caller_for_each_adapter() -> None:
    assert [one.name for one in ADAPTERS] == [one.name for one in CALLERS]
    assert all(one.document["source"] and one.document["read"] for one in CALLERS)


@each
def test_a_recorded_message_is_carried_and_never_verified(relaying: Any, caller: Caller, phone: str) -> None:
    answer = caller.call(relaying.url, caller.body(phone))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    (message,) = inbox(relaying, phone)
    text = {
        "kratos": "Your login code is: 561166\n\nIt expires in 15 minutes.\n\n@app.example.com #561166\n",
        "auth0": "561166 is your verification code for The Shop.",
        "authentik": "Use this code to authenticate in authentik: 561166",
        "zitadel": "56116677 is your one-time password for id.example.com. Use it within the next 5m0s.\n"
        "@id.example.com #56116677",
    }.get(caller.name)
    assert caller.code in message.text
    assert text in (None, message.text)
    assert caller.code not in answer.text + str(answer.headers)
    assert phone[1:] not in answer.text + str(answer.headers)
    assert answer.headers["location"] == f"/v1/messages/{answer.json()['id']}"
    with relaying.client(app="shop") as client, relaying.client(app="club") as other:
        relaying.do(relaying.server.keys.revoke(other.headers["authorization"].split("_")[2], by="the test"))
        check = client.post(f"/v1/verifications/{answer.json()['id']}/check", json={"code": caller.code})
        assert (check.status_code, check.json()["reason"]) == (404, "not_found")
        assert other.get(answer.headers["location"]).status_code == 401
        used = client.post(f"{answer.headers['location']}/outcome", json={"used": True})
        assert (used.status_code, used.json()["used"]) == (200, True)
        relaying.do(relaying.server.keys.revoke(client.headers["authorization"].split("_")[2], by="the test"))


@each
def test_what_is_not_proven_is_refused_and_all_alike(relaying: Any, caller: Caller, phone: str) -> None:
    body = caller.body(phone)
    other = [OTHER] if caller.is_signing and caller.name != "zitadel" else ["x" * 30]
    wrong = caller.call(relaying.url, body, secrets=other)
    assert wrong.status_code == 401
    assert phone[1:] not in wrong.text
    proof = caller.proves(json.dumps(body).encode(), [caller.secret], datetime.now(UTC))
    none = dict.fromkeys(proof, "")
    for answer in (
        caller.call(relaying.url, body, **none),
        caller.call(relaying.url, body, app="/club"),
        caller.call(relaying.url, body, app="/nonesuch"),
        caller.call(relaying.url, body, app=""),
    ):
        assert (answer.status_code, said(answer)) == (401, said(wrong))
    assert inbox(relaying, phone) == []


def said(answer: Any) -> Any:
    """An answer without the request's id."""
    if not answer.headers["content-type"].endswith("json"):
        return answer.text
    return {name: value for name, value in answer.json().items() if name != "instance"}


@pytest.mark.parametrize("caller", SIGNERS, ids=lambda one: one.name)
def test_a_body_that_was_changed_is_refused(relaying: Any, caller: Caller, phone: str) -> None:
    body = caller.body(phone)
    proof = caller.proves(json.dumps(body).encode(), [caller.secret], datetime.now(UTC))
    changed = json.dumps(body).replace(caller.code, caller.code[::-1])
    assert caller.call(relaying.url, changed.encode(), **proof).status_code == 401
    assert inbox(relaying, phone) == []


@pytest.mark.parametrize("caller", SIGNERS, ids=lambda one: one.name)
@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_signature_of_another_time_is_stale(relaying: Any, caller: Caller, phone: str, minutes: int) -> None:
    answer = caller.call(relaying.url, caller.body(phone), at=datetime.now(UTC) + timedelta(minutes=minutes))
    assert (answer.status_code, answer.json()["reason"]) == (401, "stale")
    assert inbox(relaying, phone) == []
    early = caller.call(relaying.url, caller.body(phone), at=datetime.now(UTC) - timedelta(minutes=4))
    assert early.status_code == 200


@each
def test_each_secret_is_taken_so_that_one_can_be_exchanged(relaying: Any, caller: Caller, phone: str) -> None:
    other = NEXT_SIGNING if caller.name in ("supabase", "auth0") else NEXT_SHARED
    assert caller.call(relaying.url, caller.body(phone), secrets=[other]).status_code == 200


@each
def test_the_same_message_again_is_answered_as_before_and_sent_once(relaying: Any, caller: Caller, phone: str) -> None:
    body = caller.body(phone)
    first = caller.call(relaying.url, body)
    again = caller.call(relaying.url, body, at=datetime.now(UTC) + timedelta(seconds=2))
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert len(inbox(relaying, phone)) == 1
    other = json.loads(json.dumps(body).replace(caller.code, caller.code[::-1]))
    assert caller.call(relaying.url, other).json()["id"] != first.json()["id"]
    assert len(inbox(relaying, phone)) == 2


def test_of_many_at_once_one_is_sent(relaying: Any, phone: str) -> None:
    body = KRATOS.body(phone)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: KRATOS.call(relaying.url, body), range(8)))
    assert [one.status_code for one in answers] == [200] * 8
    assert len({one.json()["id"] for one in answers}) == 1
    assert len(inbox(relaying, phone)) == 1


@each
@pytest.mark.parametrize(
    ("content", "status"),
    [(b'{"to": ', 400), (b"\0", 400), (b"[]", 422), (b"{}", 422), (b'"+359877700777"', 422)],
)
def test_what_is_no_message_is_refused(relaying: Any, caller: Caller, content: bytes, status: int) -> None:
    answer = caller.call(relaying.url, content)
    assert answer.status_code == status
    assert "7700777" not in answer.text


JUNK = (None, 7, "", "x" * 2000, [], {}, "a\0b", "\u202e{code}", "{app}")


@each
def test_each_member_may_be_anything_and_nothing_is_a_bug(relaying: Any, caller: Caller, phone: str) -> None:
    junk = itertools.cycle(JUNK)

    def variants(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield {one: more for one, more in value.items() if one != name}
                for other in variants(inner):
                    yield {**value, name: other}
        yield next(junk)

    for body in variants(caller.body(phone)):
        answer = caller.call(relaying.url, body)
        assert answer.status_code in (200, 400, 422, 429), (body, answer.text)
        assert caller.code not in answer.text
        assert phone[1:] not in answer.text


def test_bytes_that_are_no_text_are_refused(relaying: Any) -> None:
    for caller in (KRATOS, ZITADEL):
        assert caller.call(relaying.url, b'{"recipient": "\xff"}').status_code == 400


def test_what_cannot_be_read_is_told_by_its_place(relaying: Any, phone: str) -> None:
    body = SUPABASE.body(phone)
    answer = SUPABASE.call(relaying.url, {**body, "sms": {"otp": "56-11"}})
    assert answer.json()["errors"] == [{"pointer": "/sms/otp", "reason": "string_pattern_mismatch"}]
    nobody = SUPABASE.call(relaying.url, {**body, "user": {}, "sms": {"otp": "561166"}})
    assert nobody.json()["errors"] == [{"pointer": "/sms/phone", "reason": "missing"}]
    textless = KRATOS.call(relaying.url, {"recipient": phone})
    assert textless.json()["errors"] == [{"pointer": "/body", "reason": "missing"}]


def test_a_template_that_is_not_known_is_carried_as_its_text(relaying: Any, phone: str) -> None:
    body = {"recipient": phone, "body": "Your address was changed.", "template_type": "brand_new", "template_data": {}}
    assert KRATOS.call(relaying.url, body).status_code == 200
    (message,) = inbox(relaying, phone)
    assert (message.text, message.purpose) == ("Your address was changed.", "brand_new")
    nothing = LOGTO.call(relaying.url, {"to": phone, "type": "BrandNew", "payload": {"link": "https://example.com"}})
    assert nothing.status_code == 422


@each
def test_an_app_takes_the_purposes_of_its_settings_alone(relaying: Any, caller: Caller, phone: str) -> None:
    answer = caller.call(relaying.url, caller.body(phone), app="/bank")
    assert answer.status_code == 422
    assert inbox(relaying, phone) == []


@each
def test_what_is_too_large_is_refused(relaying: Any, caller: Caller, phone: str) -> None:
    large = caller.call(relaying.url, {**caller.body(phone), "more": "x" * 60_000})
    assert large.status_code == 200
    answer = caller.call(relaying.url, {**caller.body(phone), "more": "x" * 270_000})
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")


@each
def test_the_store_away_is_503_and_comes_back(
    relaying: Any, caller: Caller, phone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise StoreError("the database does not answer")

    monkeypatch.setattr(type(relaying.server.service.store), "put_record", away)
    answer = caller.call(relaying.url, caller.body(phone))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    monkeypatch.undo()
    assert caller.call(relaying.url, caller.body(phone)).status_code == 200
    assert len(inbox(relaying, phone)) == 1


def test_without_apps_the_address_has_none_and_live_reaches_people(
    run_server: Callable[..., Any], tmp_path: Path, phone: str
) -> None:
    path = tmp_path / "otp.sqlite3"
    relay = {**SETTINGS, "authentik": {"secrets": [AUTHENTIK.secret]}}
    with run_server(f"sqlite:///{path}", server={"relay": relay}) as server, server.client(Kind.LIVE) as client:
        answer = AUTHENTIK.call(server.url, AUTHENTIK.body(phone), app="")
        assert (server.outbox.messages[-1].phone.e164, inbox(server, phone)) == (phone, [])
        assert client.get(answer.headers["location"]).json()["delivery_state"] == "sent"
        assert AUTHENTIK.call(server.url, AUTHENTIK.body(phone), app="/shop").status_code == 401
        assert LOGTO.call(server.url, LOGTO.body(phone), app="").status_code == 200
        assert len(inbox(server, phone)) == 1
    rows = b""
    with sqlite3.connect(path) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows += repr(database.execute(f"SELECT * FROM {name}").fetchall()).encode()
    assert b"otp-server.answers" in rows
    for secret in (phone, phone[1:], "561166", AUTHENTIK.secret):
        assert secret.encode() not in rows


@each
def test_no_log_line_holds_a_number_a_code_or_a_secret(
    relaying: Any, caller: Caller, phone: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="otpcore"):
        caller.call(relaying.url, caller.body(phone))
        caller.call(relaying.url, caller.body("+3598777007779999"))
        caller.call(relaying.url, b'{"561166')
    logged = "\n".join(
        f"{one.getMessage()} {one.__dict__}" for one in caplog.records if not one.name.startswith("http")
    )
    assert f"POST /v1/relay/{caller.name} 200" in logged
    assert f"{caller.name} was refused a message: invalid_phone_number" in logged
    for secret in (phone, phone[1:], caller.code, "7700777", caller.secret):
        assert secret not in logged


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("supabase", {"secrets": ["whsec_c2hvcnQ="]}, "whsec_"),
        ("auth0", {"secrets": ["a-secret-that-is-long-enough"]}, "whsec_"),
        ("kratos", {"secrets": ["short"]}, "at least 24"),
        ("logto", {"kind": "real"}, "test, live"),
        ("zitadel", {"text": "nobody"}, "caller, otpcore"),
        ("twilio", {}, "unknown key"),
    ],
)
def test_settings_that_cannot_be_meant_stop_the_start(name: str, values: dict[str, Any], told: str) -> None:
    settings = {"sms": {"sandbox": True}, "storage": {"store": "memory"}}
    with pytest.raises(SettingsError, match=told) as caught:
        Server(AsyncOTPService({**settings, "server": {"apps": {"shop": {"relay": {name: values}}}}}))
    assert "c2hvcnQ" not in str(caught.value)
    assert "long-enough" not in str(caught.value)
