"""``Idempotency-Key``: the same answer again, no other request's answer, and nothing kept that can be read."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from otpcore.testing import wrong_code

START = "/v1/verifications"


def named(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


def test_a_right_code_is_right_again_under_its_key_and_wrong_without(
    shared: Any, client: httpx.Client, phone: str
) -> None:
    begun = client.post(START, json={"to": phone}, headers=named("start-1")).json()
    again = client.post(START, json={"to": phone}, headers=named("start-1"))
    assert (again.status_code, again.json()) == (202, begun)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == f"{START}/{begun['id']}"
    check = f"{START}/{begun['id']}/check"
    first = client.post(check, json={"code": shared.code()}, headers=named("check-1"))
    assert first.json()["valid"] is True
    assert "idempotent-replayed" not in first.headers
    assert client.post(check, json={"code": shared.code()}, headers=named("check-1")).json()["valid"] is True
    assert client.post(check, json={"code": shared.code()}, headers=named("check-2")).json()["valid"] is False


def test_a_wrong_code_is_counted_once_under_its_key(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = client.post(START, json={"to": phone}).json()
    check, body = f"{START}/{begun['id']}/check", {"code": wrong_code(shared.code())}
    answers = [client.post(check, json=body, headers=named("guess")).json() for _ in range(3)]
    assert [one["attempts_left"] for one in answers] == [4, 4, 4]


def test_a_key_that_came_with_another_request_is_refused(client: httpx.Client, phone: str) -> None:
    assert client.post(START, json={"to": phone}, headers=named("one")).status_code == 202
    for path, body in ((START, {"to": phone, "purpose": "pay"}), ("/v1/messages", {"to": phone})):
        other = client.post(
            path, json={**body, **({"code": "123456"} if "messages" in path else {})}, headers=named("one")
        )
        assert (other.status_code, other.json()["reason"]) == (422, "key_reused")


def test_another_api_keys_keys_are_its_own(shared: Any, phone: str) -> None:
    with shared.client(app="") as one:
        assert one.post(START, json={"to": phone}, headers=named("mine")).status_code == 202
        shared.do(shared.server.keys.revoke(one.headers["authorization"].split("_")[2], by="the test"))
    with shared.client() as two:
        answer = two.post(START, json={"to": phone, "purpose": "other"}, headers=named("mine"))
        assert answer.status_code == 202


def test_a_refusal_is_answered_again_and_a_failure_is_not_kept(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.post(START, json={"to": "+12025550114"}, headers=named("refused"))
    again = client.post(START, json={"to": "+12025550114"}, headers=named("refused"))
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotent-replayed"] == "true"
    for _ in range(2):
        failed = client.post(START, json={"to": "+12025550115"}, headers=named("failed"))
        if failed.status_code == 503:
            assert "idempotent-replayed" not in failed.headers
    assert client.post(START, json={"to": "+12025550115"}, headers=named("failed")).status_code == 202


def test_of_many_at_once_one_is_done(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = client.post(START, json={"to": phone}).json()
    check, body = f"{START}/{begun['id']}/check", {"code": wrong_code(shared.code())}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post(check, json=body, headers=named("crowd")), range(8)))
    assert {one.status_code for one in answers} <= {200, 409}
    assert all(one.json()["reason"] == "in_progress" for one in answers if one.status_code == 409)
    assert client.get(f"{START}/{begun['id']}").json()["attempts_left"] == 4


def test_what_is_kept_cannot_be_read(run_server: Any, tmp_path: Path, phone: str) -> None:
    path = tmp_path / "otp.sqlite3"
    with run_server(f"sqlite:///{path}") as server, server.client() as client:
        body = {"to": phone, "metadata": {"order": "swordfish"}, "locale": "de"}
        begun = client.post(START, json=body, headers=named("secret-name")).json()
        client.post(f"{START}/{begun['id']}/check", json={"code": server.code()}, headers=named("second-name"))
        token, code = client.headers["authorization"].split("_", 3)[3], server.code()
    rows = b""
    with sqlite3.connect(path) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows += repr(database.execute(f"SELECT * FROM {name}").fetchall()).encode()
    assert b"otp-server.answers" in rows
    for secret in (phone, phone[1:], code, token, "secret-name", "swordfish"):
        assert secret.encode() not in rows
