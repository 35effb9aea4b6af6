"""Bad input: a problem document or a closed connection, never a 500, and nothing of what was sent."""

from __future__ import annotations

import json
import logging
import socket
import string
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

START = "/v1/verifications"
CANARY = "+359877700777"
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80) | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["to", "channel", "channels", "purpose", "locale", "client", "metadata", "code", "text", "used", "page"]
BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=20), VALUES, max_size=6)
PATHS = st.sampled_from(
    [
        START,
        f"{START}/0123456789abcdef0123/check",
        f"{START}/0123456789abcdef0123/resend",
        f"{START}/0123456789abcdef0123/cancel",
        "/v1/messages",
        "/v1/messages/0123456789abcdef0123/outcome",
        "/v1/explain",
    ]
)


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["instance"] == answer.headers["x-request-id"]
    assert document["type"].startswith("/problems#")
    return document


@SETTINGS
@given(path=PATHS, body=BODIES)
def test_no_body_is_answered_with_an_error_of_ours(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = client.post(path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500 or answer.json()["reason"] == "failed"
    if answer.status_code >= 400:
        told(answer)
        assert CANARY not in answer.text
        assert CANARY[1:] not in answer.text


@SETTINGS
@given(content=st.binary(max_size=200), path=PATHS)
def test_no_bytes_are_either(client: httpx.Client, path: str, content: bytes) -> None:
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500
    if answer.status_code >= 400:
        told(answer)


@SETTINGS
@given(
    name=st.text(string.ascii_letters + string.digits + "-_.%/+", max_size=80),
    method=st.sampled_from(["GET", "POST", "DELETE", "PATCH"]),
)
def test_no_address_is_either(client: httpx.Client, method: str, name: str) -> None:
    answer = client.request(method, f"{START}/{name}")
    assert answer.status_code < 500


@pytest.mark.parametrize(
    ("body", "pointer", "reason"),
    [
        ({}, "/to", "missing"),
        ({"to": CANARY, "phone": CANARY}, "/phone", "extra_forbidden"),
        ({"to": CANARY, CANARY: 1}, "/?", "extra_forbidden"),
        ({"to": 359877700777}, "/to", "string_type"),
        ({"to": CANARY * 9}, "/to", "string_too_long"),
        ({"to": CANARY, "client": {"ip": "10.0.0.300"}}, "/client/ip", "value_error"),
        ({"to": CANARY, "client": {"ip": "10.0.0.3", "port": 7}}, "/client/port", "extra_forbidden"),
        ({"to": CANARY, "channels": ["sms", "SMS!"]}, "/channels/1", "string_pattern_mismatch"),
        ({"to": CANARY, "metadata": {"a": 1}}, "/metadata/a", "string_type"),
        ({"to": CANARY, "channel": "call", "channels": ["sms"]}, "", "value_error"),
    ],
)
def test_an_error_of_a_body_points_to_its_place(
    client: httpx.Client, body: dict[str, Any], pointer: str, reason: str
) -> None:
    answer = client.post(START, json=body)
    document = told(answer)
    assert (answer.status_code, document["reason"]) == (422, "invalid")
    assert {"pointer": pointer, "reason": reason} in document["errors"]
    assert "7700777" not in answer.text


def test_a_number_that_cannot_exist_is_not_repeated(client: httpx.Client) -> None:
    answer = client.post(START, json={"to": "+3598777007779999"})
    assert (answer.status_code, told(answer)["reason"]) == (422, "invalid_phone_number")
    assert "7700777" not in answer.text


@pytest.mark.parametrize(
    ("status", "reason", "request_"),
    [
        (
            413,
            "too_large",
            {"content": b'{"to": "' + b"1" * 17_000 + b'"}', "headers": {"Content-Type": "application/json"}},
        ),
        (415, "media_type", {"content": b"to=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}),
        (415, "media_type", {"content": b"{}"}),
        (400, "malformed", {"content": b'{"to": ', "headers": {"Content-Type": "application/json"}}),
        (400, "malformed", {"content": b"\xff\xfe{}", "headers": {"Content-Type": "application/json"}}),
    ],
)
def test_what_is_no_small_json_is_refused(
    client: httpx.Client, status: int, reason: str, request_: dict[str, Any]
) -> None:
    answer = client.post(START, **request_)
    assert (answer.status_code, told(answer)["reason"]) == (status, reason)


def test_a_body_that_grows_too_large_on_the_way_is_refused(client: httpx.Client) -> None:
    answer = client.post(START, content=(b"x" * 1000 for _ in range(20)), headers={"Content-Type": "application/json"})
    assert (answer.status_code, told(answer)["reason"]) == (413, "too_large")


def test_a_body_that_does_not_come_is_given_up(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otp_server.edge._PATIENCE", 0.2)
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(
            b"POST /v1/explain HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        answer = b""
        while piece := slow.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too_slow"' in answer


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/nowhere", "GET", 404), (START, "GET", 405), ("/healthz", "POST", 405)]
)
def test_an_address_or_method_that_is_not_there(client: httpx.Client, path: str, method: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, told(answer)["status"]) == (status, status)


@pytest.mark.parametrize(
    ("path", "methods"),
    [(START, "POST"), ("/healthz", "GET, HEAD"), ("/v/x", "GET, HEAD, POST"), ("/v/x/send", "GET, HEAD, POST")],
)
def test_who_takes_another_method_says_which(client: httpx.Client, path: str, methods: str) -> None:
    answer = client.request("DELETE", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize(
    "body",
    [
        b'{"to": "+12025550110", "to": "+12025550112"}',
        b'{"to": NaN}',
        b"\xef\xbb\xbf{}",
        '{"to": "1"}'.encode("utf-16"),
    ],
)
def test_json_of_two_meanings_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post(START, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, told(answer)["reason"]) == (400, "malformed")


@pytest.mark.parametrize("name", ["", "x" * 129, "caf\u00e9"])
def test_an_idempotency_key_that_is_none(client: httpx.Client, name: str) -> None:
    headers = {b"Idempotency-Key": name.encode("latin-1")}
    answer = client.post(START, json={"to": CANARY}, headers=headers)  # type: ignore[arg-type] # bytes are fine
    assert (answer.status_code, told(answer)["reason"]) == (400, "malformed")


def test_a_request_keeps_its_own_id_if_it_is_one(client: httpx.Client) -> None:
    assert client.get("/nowhere", headers={"X-Request-Id": "trace-0123.4"}).json()["instance"] == "trace-0123.4"
    for other in ("short", "x" * 65, "has space in it", CANARY):
        assert client.get("/nowhere", headers={"X-Request-Id": other}).json()["instance"] != other


def test_a_bug_is_told_by_its_id_alone(
    shared: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("otp_server.api.verifications.look_up", broken)
    with caplog.at_level(logging.INFO, logger="otpcore"):
        answer = client.get(f"{START}/0123456789abcdef0123")
    assert (answer.status_code, told(answer)["reason"]) == (500, "bug")
    assert CANARY not in answer.text + caplog.text
    assert answer.json()["instance"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_no_log_line_holds_a_number_a_code_or_a_key(
    shared: Any, client: httpx.Client, phone: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="otpcore"):
        begun = client.post(START, json={"to": phone}).json()
        code = shared.code()
        client.post(f"{START}/{begun['id']}/check", json={"code": code})
        client.get(f"{START}/{phone}")
    said = "\n".join(f"{one.getMessage()} {one.__dict__}" for one in caplog.records if not one.name.startswith("http"))
    assert "POST /v1/verifications 202" in said
    assert "POST /v1/verifications/{verification_id}/check 200" in said
    assert phone not in said
    assert phone[1:] not in said
    assert code not in said
    assert client.headers["authorization"].split("_", 3)[3] not in said
