"""Keys of the HTTP API: made and revoked at the command line, taken by the server, and told apart by nobody who has none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from otp_server.keys import ApiKey, Kind, Scope

from otpcore import InvalidArgument

START = "/v1/verifications"


def test_without_a_key_that_is_taken_nothing_says_why(shared: Any, phone: str) -> None:
    good = shared.token(Kind.TEST)
    *_, key_id, secret = good.split("_", 3)
    spoilt = [
        "",
        "Bearer",
        f"Basic {good}",
        f"Bearer {good[:-1]}",
        f"Bearer {good}x",
        f"Bearer otp_live_{key_id}_{secret}",
        f"Bearer otp_test_{key_id}_{'A' * 43}",
        f"Bearer otp_test_{'a' * 12}_{secret}",
        f"Bearer otp_test_{key_id}_{secret}".upper(),
        "Bearer " + "é" * 40,
    ]
    answers = []
    with httpx.Client(base_url=shared.url, timeout=60) as bare:
        for one in spoilt:
            headers = {b"Authorization": one.encode("latin-1")} if one else {}
            answers.append(bare.post(START, json={"to": phone}, headers=headers))  # type: ignore[arg-type] # bytes are fine
        assert bare.post(START, json={"to": phone}, headers={"Authorization": f"bearer {good}"}).status_code == 202
    told = [{**one.json(), "instance": ""} for one in answers]
    assert {one.status_code for one in answers} == {401}
    assert all(one == told[0] for one in told)
    assert {one.headers["www-authenticate"] for one in answers} == {"Bearer"}
    for body in (b"", b'{"to": 1, "other": 2}'):
        with httpx.Client(base_url=shared.url, timeout=60, headers={"Content-Type": "application/json"}) as bare:
            answer = bare.post(START, content=body)
        assert {**answer.json(), "instance": ""} == told[0], "of a body too, only those with a key hear what is wrong"
    shared.do(shared.server.keys.revoke(key_id, by="the test"))


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        (Scope.VERIFY, ["/v1/messages", "/v1/explain"]),
        (Scope.READ, [START, "/v1/messages"]),
        (Scope.RELAY, [START, "/v1/explain"]),
        (Scope.MANAGE, [START, "/v1/messages", "/v1/explain"]),
    ],
)
def test_a_key_does_what_it_was_made_for(shared: Any, phone: str, scope: Scope, refused: list[str]) -> None:
    with shared.client(Kind.LIVE, scopes=[scope]) as client:
        for path in refused:
            answer = client.post(path, json={"to": phone, **({"code": "123456"} if "messages" in path else {})})
            assert (answer.status_code, answer.json()["reason"]) == (403, "forbidden"), path
        assert client.get("/metrics").status_code == (200 if scope is Scope.READ else 403)
        shared.do(shared.server.keys.revoke(client.headers["authorization"].split("_")[2], by="the test"))


def test_deliveries_are_for_those_who_may_read(shared: Any, phone: str) -> None:
    with shared.client(Kind.LIVE, scopes=[Scope.VERIFY]) as client:
        begun = client.post(START, json={"to": phone}).json()
        assert begun["deliveries"] is None
        shared.do(shared.server.keys.revoke(client.headers["authorization"].split("_")[2], by="the test"))


def test_a_revoked_or_old_key_or_one_from_elsewhere_is_taken_no_more(shared: Any, phone: str) -> None:
    keys = shared.server.keys
    with shared.client(Kind.LIVE) as client:
        assert client.post(START, json={"to": phone}).status_code == 202
        key_id = client.headers["authorization"].split("_")[2]
        assert shared.do(keys.revoke(key_id, by="the test")).revoked_at is not None
        assert client.post(START, json={"to": phone}).status_code == 401
        assert shared.do(keys.revoke("nonesuch", by="the test")) is None
    with shared.client(Kind.LIVE, lasts=timedelta(seconds=0.5)) as client:
        time.sleep(0.6)
        assert client.post(START, json={"to": phone}).status_code == 401
    with shared.client(Kind.LIVE, networks=["10.0.0.0/8", "2001:db8::/32"]) as client:
        assert client.post(START, json={"to": phone}).status_code == 401
        shared.do(keys.revoke(client.headers["authorization"].split("_")[2], by="the test"))
    with shared.client(Kind.LIVE, networks=["127.0.0.0/8"]) as client:
        assert client.post(START, json={"to": phone}).status_code == 202
        shared.do(keys.revoke(client.headers["authorization"].split("_")[2], by="the test"))


@pytest.mark.parametrize(("address", "is_taken"), [("::ffff:10.0.0.1", True), ("::ffff:11.0.0.1", False), ("", False)])
def test_a_key_of_a_network_is_taken_at_a_socket_for_both_protocols(address: str, is_taken: bool) -> None:
    key = ApiKey(
        id="a",
        kind=Kind.LIVE,
        scopes=frozenset(),
        created_at=datetime.now(UTC),
        networks=("10.0.0.0/8", "2001:db8::/32"),
    )
    assert key.is_taken_from(address) is is_taken


def test_two_are_in_use_at_a_time_and_their_use_is_noted(shared: Any, phone: str) -> None:
    keys = shared.server.keys
    for one in shared.do(keys.list()):
        shared.do(keys.revoke(one.id, by="the test"))
    with shared.client(Kind.LIVE) as client:
        shared.token(Kind.LIVE)
        with pytest.raises(InvalidArgument, match="otp keys api revoke"):
            shared.token(Kind.LIVE)
        shared.token(Kind.TEST)
        client.post(START, json={"to": phone})
        used = {one.id: one.used_at for one in shared.do(keys.list())}
        assert used[client.headers["authorization"].split("_")[2]] is not None
        assert sum(moment is not None for moment in used.values()) >= 1


def test_nothing_of_a_key_shows_its_secret(shared: Any) -> None:
    for one in shared.do(shared.server.keys.list()):
        shared.do(shared.server.keys.revoke(one.id, by="the test"))
    made = shared.do(shared.server.keys.new(Kind.TEST, by="the test"))
    secret = made.token.split("_", 3)[3]
    assert secret not in repr(made) + repr(made.key) + json.dumps(made.key.to_dict())
    assert isinstance(made.key, ApiKey)


def test_keys_of_the_command_line_are_taken_by_a_running_server_at_once(
    tmp_path: Path, otp: Callable[..., Any], serve: Callable[..., Any], phone: str
) -> None:
    assert otp("init")[0] == 0
    settings = 'otp_sms_provider = "anyone"\n[sms]\nsandbox = true\n[server.apps.shop]\npurposes = ["sign-in"]\n'
    (tmp_path / "otpcore.toml").write_text(settings)
    assert [otp("keys", "api", "new", "shop", "--days", many)[0] for many in ("4000000", "99999999999")] == [2, 2]
    code, error = otp("keys", "api", "new", "mall")
    assert (code, "server.apps" in error["error"]["fix"]) == (2, True)
    assert otp("keys", "api", "new")[0] == 2
    running = serve(tmp_path)
    code, made = otp(
        "keys", "api", "new", "shop", "--kind", "live", "--scope", "verify", "--note", "web", "--reason", "new shop"
    )
    assert (code, made["key"]["app"], made["key"]["scopes"]) == (0, "shop", ["verify"])
    with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {made['token']}"}, timeout=60) as client:
        asked = {"to": phone, "purpose": "sign-in"}
        assert client.post(START, json=asked).status_code == 202
        code, listed = otp("keys", "api", "list")
        (kept,) = listed["keys"]
        assert (code, kept["id"], kept["note"]) == (0, made["key"]["id"], "web")
        assert made["token"].split("_", 3)[3] not in json.dumps(listed)
        assert otp("keys", "api", "revoke", kept["id"])[0] == 0
        assert client.post(START, json=asked).status_code == 401
        assert otp("keys", "api", "revoke", "nonesuch")[0] == 1
        assert otp("keys", "api", "revoke", kept["id"])[0] == 0
        changes = otp("audit")[1]["changes"]
        told = [(one["action"], one["target"], one["reason"]) for one in changes]
        assert told == [("keys.api.revoke", kept["id"], ""), ("keys.api.new", kept["id"], "new shop")]
