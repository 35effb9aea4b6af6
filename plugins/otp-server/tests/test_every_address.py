"""Every address, given what nobody should send: a problem, a page, or a closed connection; never an error of ours, and no echo."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from page_client import page_of
from raw_requests import Address, Answer, addresses, exchange

CANARY = "+359877700777"
OTHERS = ("/v1/receipts/", "/v1/relay/")
"""Where vendors and auth systems are answered in words of theirs."""
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PATIENT_REASONS = {"failed", "misconfigured"}
"""Of a 503 that is no fault of the server: there are no rules for a channel, and no provider took it."""


@attrs.frozen(kw_only=True)
class Site:
    """A server, all its addresses, and what stands in them."""

    url: str
    addresses: list[Address]
    values: dict[str, str]
    key: str
    cookie: str

    def head(self, address: Address, *lines: str, target: str = "", method: str = "") -> bytes:
        """The head of a request with a key that may do everything, in a browser that may see the page."""
        first = f"{method or address.method} {target or address.filled(self.values)} HTTP/1.1"
        usual = ["Host: 127.0.0.1", f"Authorization: Bearer {self.key}", f"Cookie: otp-page={self.cookie}"]
        return "\r\n".join([first, *usual, *lines, "", ""]).encode("latin-1")

    def request(self, address: Address, body: bytes, kind: str) -> bytes:
        return self.head(address, f"Content-Type: {kind}", f"Content-Length: {len(body)}") + body


@pytest.fixture(scope="module")
def site(shared: Any) -> Iterator[Site]:
    with shared.client() as client:
        url = page_of(client, "+359871000001")
        cookie = client.get(url).cookies["otp-page"]
        begun = client.post("/v1/verifications", json={"to": "+359871000002"}).json()
        message = client.post("/v1/messages", json={"to": "+359871000003", "code": "123456"}).json()
        values = {
            "verification_id": begun["id"],
            "message_id": message["id"],
            "token": url.rpartition("/")[2],
            "instance": "outbox",
            "attempt_id": "9999999999999-00000000",
        }
        made = list(addresses(shared.app.routes))
        described = {
            (m.upper(), path) for path, ways in client.get("/openapi.json").json()["paths"].items() for m in ways
        }
        assert described <= {(one.method, one.path) for one in made}
        assert {("GET", "/v/{token}"), ("POST", "/v1/receipts/{instance}")} <= {(one.method, one.path) for one in made}
        key = client.headers["authorization"].removeprefix("Bearer ")
        yield Site(url=shared.url, addresses=made, values=values, key=key, cookie=cookie)


@pytest.fixture(autouse=True)
def _nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "otpcore"):  # which a command in this process may have set
        yield
    told = caplog.get_records("call")
    assert [one.getMessage() for one in told if one.levelno >= logging.ERROR] == []
    assert told
    assert not any(CANARY[1:] in f"{one.getMessage()} {one.exc_info}" for one in told)


def judge(address: Address, answer: Answer) -> None:
    """It is told as a problem or as a page, and repeats nothing."""
    assert CANARY[1:] not in answer.text, (address, answer)
    is_for_others = address.path.startswith(OTHERS) and not _is_of_uvicorn(answer)
    assert answer.status < 500 or not is_for_others, (address, answer)
    if answer.status < 400 or is_for_others:
        return
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status >= 500:
        assert (answer.status, kind) == (503, "application/problem+json"), (address, answer)
        assert json.loads(answer.text)["reason"] in PATIENT_REASONS, (address, answer)
    elif kind == "text/html":
        assert address.path.startswith("/v/"), (address, answer)
    elif not _is_of_uvicorn(answer):
        assert kind == "application/problem+json", (address, answer)
        assert json.loads(answer.text)["status"] == answer.status


def _is_of_uvicorn(answer: Answer) -> bool:
    """Its word on what is no HTTP, with which it closes the connection."""
    says = "Invalid HTTP request received." in answer.text
    return says and (answer.status, answer.headers.get("connection")) == (400, "close")


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + closing * depth


BODIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", JSON),
    "half of it": (b'{"to": ', JSON),
    "a list": (b"[]", JSON),
    "a text": (b'"+359877700777"', JSON),
    "a number": (b"359877700777", JSON),
    "null": (b"null", JSON),
    "true": (b"true", JSON),
    "two documents": (b"{}{}", JSON),
    "a comment": (b'{/**/"to": "+359877700777"}', JSON),
    "lists in lists": (nested(b"[", b"]", 8_000), JSON),
    "objects in objects": (nested(b'{"to":', b"}", 2_500), JSON),
    "a list that never ends": (b"[" * 16_000, JSON),
    "a name that stands twice": (b'{"to": "+359877700777", "to": "+359877700778"}', JSON),
    "a name that stands twice within": (b'{"to": "+359877700777", "metadata": {"a": "1", "a": "2"}}', JSON),
    "a number of 5,000 digits": (b'{"to": ' + b"9" * 5_000 + b"}", JSON),
    "a number without end": (b'{"used": 1e999, "to": "+359877700777"}', JSON),
    "no number": (b'{"used": NaN, "to": "+359877700777"}', JSON),
    "what is no UTF-8": (b'{"to": "\xff\xfe+359877700777"}', JSON),
    "UTF-16": ('{"to": "+359877700777"}'.encode("utf-16"), JSON),
    "a byte order mark": (b'\xef\xbb\xbf{"to": "+359877700777"}', JSON),
    "half of a pair": (b'{"to": "\\ud800", "code": "\\udfff", "text": "\\ud800", "\\ud800": 1}', JSON),
    "a null byte": (b'{"to": "+359877700777\\u0000", "code": "\\u0000", "text": "\\u0000"}', JSON),
    "a real null byte": (b'{"to": "\0"}', JSON),
    "a form": (b"to=%2B359877700777", FORM),
    "parts": (b"--x\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x"),
    "parts without a boundary": (b"--x--", "multipart/form-data"),
    "XML": (b"<to>+359877700777</to>", "application/xml"),
    "a kind that is none": (b"{}", "////;;;="),
    "a kind that is empty": (b"{}", ""),
    "something packed": (b"\x1f\x8b\x08\x00", JSON),
    "a form of nothing but names": (b"&".join([b"a"] * 4_000), FORM),
    "a form that is no UTF-8": (b"form_token=\xff&code=%ff%fe%00&channel=%00", FORM),
    "a form with half of a pair": (b"form_token=%ed%a0%80&code=%ed%a0%80", FORM),
    "what is too large": (b'{"to": "' + b"1" * 17_000 + b'"}', JSON),
    "a form that is too large": (b"code=" + b"1" * 300_000, FORM),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body(site: Site, name: str) -> None:
    body, kind = BODIES[name]
    for address in site.addresses:
        for answer in exchange(site.url, site.request(address, body, kind)):
            judge(address, answer)


VALUES: list[Any] = [
    None,
    True,
    -1,
    2**63,
    1.5,
    "",
    " ",
    "\0",
    "\u202e",
    "x" * 10_000,
    CANARY,
    [],
    [[]],
    {},
    {"": ""},
    ["sms"] * 100,
    {CANARY: CANARY},
]
FIELDS = [
    "to",
    "channel",
    "channels",
    "purpose",
    "locale",
    "client",
    "metadata",
    "page",
    "code",
    "text",
    "used",
    "bind",
]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_kind(site: Site, field: str) -> None:
    for address in site.addresses:
        if address.method != "POST" or not address.path.startswith("/v1/") or address.path.startswith(OTHERS):
            continue
        for value in VALUES:
            whole = {"to": CANARY, "code": "123456", "used": True, field: value}
            for answer in exchange(site.url, site.request(address, json.dumps(whole).encode(), JSON)):
                judge(address, answer)


def _chunked(site: Site, address: Address, body: bytes) -> bytes:
    return site.head(address, f"Content-Type: {JSON}", "Transfer-Encoding: chunked") + body


REQUESTS: dict[str, Callable[[Site, Address], bytes]] = {
    "a chunk of no size": lambda site, to: _chunked(site, to, b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk of a negative size": lambda site, to: _chunked(site, to, b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": lambda site, to: _chunked(site, to, b"1\r\n{}\r\n0\r\n\r\n"),
    "a chunk of nearly everything": lambda site, to: _chunked(site, to, b"ffffffffffffffff\r\n{}"),
    "chunks that are too large": lambda site, to: _chunked(site, to, b"4000\r\n" + b"1" * 16_384 + b"\r\n" + b"zz"),
    "chunks and a length": lambda site, to: site.head(to, "Content-Length: 2", "Transfer-Encoding: chunked") + b"{}",
    "another encoding": lambda site, to: site.head(to, "Transfer-Encoding: gzip, chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    "two lengths": lambda site, to: site.head(to, "Content-Length: 2", "Content-Length: 3") + b"{}",
    "a negative length": lambda site, to: site.head(to, "Content-Length: -2") + b"{}",
    "a length that is none": lambda site, to: site.head(to, "Content-Length: two") + b"{}",
    "a length of 5,000 digits": lambda site, to: site.head(to, "Content-Length: " + "9" * 5_000),
    "a length that is too large": lambda site, to: site.head(to, "Content-Length: 99999999999"),
    "a length with an expectation": lambda site, to: site.head(to, "Content-Length: 20000", "Expect: 100-continue"),
    "another expectation": lambda site, to: site.head(to, "Content-Length: 2", "Expect: rain") + b"{}",
    "a method that is none": lambda site, to: site.head(to, method="F00"),
    "a method in small letters": lambda site, to: site.head(to, method="post"),
    "no colon": lambda site, to: site.head(to, "Nothing"),
    "a null byte in a header": lambda site, to: site.head(to, "X-Request-Id: \0"),
    "a header that is no text": lambda site, to: site.head(to, "X-Request-Id: \xff\xfe", "Accept-Language: \xff"),
    "a header in parts": lambda site, to: site.head(to, "X-A: 1\r\n 2"),
    "a header of 20,000": lambda site, to: site.head(to, "X-A: " + "1" * 20_000),
    "500 headers": lambda site, to: site.head(to, *[f"X-{number}: 1" for number in range(500)]),
    "two hosts": lambda site, to: site.head(to, "Host: elsewhere.example"),
    "no host": lambda site, to: site.head(to).replace(b"Host: 127.0.0.1\r\n", b""),
    "a host that is none": lambda site, to: site.head(to).replace(b"Host: 127.0.0.1", b"Host: ["),
    "a host with an odd port": lambda site, to: site.head(to).replace(b"Host: 127.0.0.1", b"Host: a:b:99999999"),
    "a key that is no text": lambda site, to: site.head(to).replace(site.key.encode(), b"\xff" * 60),
    "a key that is long": lambda site, to: site.head(to).replace(site.key.encode(), b"a" * 8_000),
    "an idempotency key that is none": lambda site, to: site.head(to, "Idempotency-Key: \xff"),
    "a cookie that is none": lambda site, to: site.head(to).replace(b"otp-page=", b'=;;=\xff;otp-page=="\\'),
    "many languages": lambda site, to: site.head(to, "Accept-Language: " + "a-" * 4_000 + ",;q=9"),
    "an odd origin": lambda site, to: site.head(to, "Origin: http://[", "Sec-Fetch-Site: \xff"),
    "a query that is none": lambda site, to: site.head(to, target=to.filled(site.values) + "?%ff&&=%00&limit=" + "9" * 5_000),
    "a query of two": lambda site, to: site.head(to, target=to.filled(site.values) + "?limit=1&limit=-1"),
    "a null byte in its place": lambda site, to: site.head(to, target=to.filled(dict.fromkeys(site.values, "%00"))),
    "no UTF-8 in its place": lambda site, to: site.head(to, target=to.filled(dict.fromkeys(site.values, "%ff%fe"))),
    "something long in its place": lambda site, to: site.head(to, target=to.filled(dict.fromkeys(site.values, "a" * 9_000))),
    "a way up": lambda site, to: site.head(to, target=to.filled(dict.fromkeys([*site.values, "path"], "..%2f..%2fetc"))),
    "a whole address": lambda site, to: site.head(to, target="http://elsewhere.example" + to.filled(site.values)),
    "two slashes": lambda site, to: site.head(to, target="/" + to.filled(site.values)),
    "a star": lambda site, to: site.head(to, target="*"),
    "another protocol": lambda site, to: site.head(to, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA=="),
    "HTTP/2": lambda site, to: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": lambda site, to: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "an old protocol": lambda site, to: site.head(to).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a protocol to come": lambda site, to: site.head(to).replace(b"HTTP/1.1", b"HTTP/9.9"),
    "more behind the last": lambda site, to: site.head(to, "Connection: close") + b"\x00garbage\r\n\r\n" + site.head(to),
    "more behind an old protocol": lambda site, to: site.head(to).replace(b"HTTP/1.1", b"HTTP/1.0") + b"garbage\r\n\r\n",
    "nothing": lambda site, to: b"\r\n\r\n\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request(site: Site, name: str) -> None:
    for address in site.addresses:
        for answer in exchange(site.url, REQUESTS[name](site, address), hang_up=True):
            judge(address, answer)


def test_one_request_behind_another(site: Site) -> None:
    """Each is answered by itself; what is no request behind them ends the connection."""
    for address in site.addresses:
        one = site.request(address, b"{}", JSON)
        for answer in exchange(site.url, one * 3 + b"\x00garbage\r\n\r\n", answers=4):
            judge(address, answer)
        # What the length says belongs to the first is no request, and the rest of it is none either.
        answers = exchange(site.url, site.head(address, "Content-Length: 44") + one, answers=2, hang_up=True)
        assert [answer.status for answer in answers[1:]] in ([], [400]), (address, answers)


def test_a_caller_that_leaves_is_no_error(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for address in site.addresses:
        whole = site.request(address, b'{"to": "+359877700777"}', JSON)
        for cut in (10, len(whole) - 30, len(whole) - 1):
            exchange(site.url, whole[:cut], answers=0)
    (alive,) = exchange(site.url, b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
    assert alive.status == 200
    left, end = len(site.addresses), time.monotonic() + 30
    while sum(" 0 " in one.getMessage() for one in caplog.records) < left and time.monotonic() < end:
        time.sleep(0.01)  # a line is written when nobody waits for the answer any more
