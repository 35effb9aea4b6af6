"""Signatures of fields and tokens: figures that the vendors' own SDKs made, and what is near to them and no proof."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from attrs import evolve
from otp_http.proofs import check, proof_of
from otp_http.receipt_sections import Proof, Receipts

from otpcore.providers import ReceiptFault, ReceiptRefused, ReceiptRequest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLIVO = Proof(
    kind="hmac",
    header="X-Plivo-Signature-V3",
    separator=",",
    key="{token}",
    encoding="base64",
    signed="{address}?{query}{fields}.{nonce}",
    nonce="X-Plivo-Signature-V3-Nonce",
)
NONCE = "05429567804466091622"
BY_PLIVO = {  # by plivo 4.63.0
    "https://otp.example/receipts/acme?b=2&a=%26x": (
        {"Status": "delivered", "MessageUUID": "m1", "Text": "a&b=c"},
        "mIwYvdXzejlXHEIeDsE3mn0qGJl54DaIHEpyrJN+a3A=",
    ),
    "https://otp.example/receipts/acme": (
        {"Status": "delivered", "MessageUUID": "m1"},
        "9+4H4g/RG9MEf6izMpiWfva1QZI8ph4Dfa4kLd6Sywg=",
    ),
}
VONAGE = Proof(
    kind="jwt",
    header="Authorization",
    prefix="Bearer ",
    key="{secret}",
    claims={"iss": "Vonage", "payload_hash": "{body_sha256}", "api_key": "{api_key}"},
)
KEY = "made-up-secret-of-thirty-two-char"
SETTINGS = {"token": "made-up-token", "secret": KEY, "api_key": "a1b2c3d4"}
BODY = b'{"id": "m1", "status": "done"}'
BY_PYJWT = (  # by PyJWT 2.15.1, which Vonage's SDK reads tokens with
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3NzIzNjY0MDAsImp0aSI6ImM1YmE4ZjI0IiwiaXNzIjoiVm9uYWdlIiwicGF5bG9h"
    "ZF9oYXNoIjoiOTYzM2E2YzE1OTc4MzkwMzYzYjFiYjk1NTc3ZWVmM2M0MjcxMmFjYjhjODcxOGM1Yjg4YzUzODVjNWRiMjkwZCIsImFwaV9rZXki"
    "OiJhMWIyYzNkNCJ9.5xCiP9Z9fQQIWJYtVfOnhnZI7IRhMfbGtxl8DfU1ANo"
)


def refusal(proof, request, settings=SETTINGS, now=NOW):
    """Why a request is not believed; None: it is."""
    try:
        check(proof, request, settings, now)
    except ReceiptRefused as refused:
        return refused.fault
    return None


def text(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(payload, head=None, how=hashlib.sha256):
    """A token, whatever it says of itself."""
    said = f"{text(json.dumps({'alg': 'HS256'} if head is None else head).encode())}.{text(payload)}"
    return f"{said}.{text(hmac.new(KEY.encode(), said.encode(), how).digest())}"


def by_plivo(url, fields, signature, nonce=NONCE):
    headers = {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}
    return ReceiptRequest(url=url, headers=headers, body=urlencode(fields).encode())


@pytest.mark.parametrize("url", BY_PLIVO)
def test_sorted_fields_with_url_and_nonce(url):
    fields, signature = BY_PLIVO[url]
    assert refusal(PLIVO, by_plivo(url, fields, signature)) is None
    assert refusal(PLIVO, by_plivo(url, dict(reversed(fields.items())), f"b3RoZXI=, {signature}")) is None
    for request in (
        by_plivo(url, fields | {"Status": "failed"}, signature),
        by_plivo(url, fields | {"Code": "1"}, signature),
        by_plivo(url.replace("acme", "acne"), fields, signature),
        by_plivo(f"{url}{'&' if '?' in url else '?'}c=1", fields, signature),
        by_plivo(url, fields, signature, nonce="1"),
        by_plivo(url, fields, ""),
        by_plivo(url, fields, f"{signature[:-4]}AAA="),
    ):
        assert refusal(PLIVO, request) is ReceiptFault.SIGNATURE


def test_a_field_that_comes_twice_is_signed_twice():
    fields, signature = BY_PLIVO["https://otp.example/receipts/acme"]
    genuine = by_plivo("https://otp.example/receipts/acme", fields, signature)
    assert refusal(PLIVO, evolve(genuine, body=genuine.body + b"&Status=failed")) is ReceiptFault.SIGNATURE


def test_fields_in_a_field_with_what_would_part_them_replaced():
    proof = Proof(
        kind="hmac",
        field="sig",
        key="{secret}",
        hash="sha512",
        signed="{fields}",
        written="&{name}={value}",
        replaced="&=",
        timestamp_field="timestamp",
    )
    fields = {"messageId": "m1", "client-ref": "a=1&b=2", "to": "Söhne & Co", "timestamp": "1772366400"}
    fields["sig"] = (  # by vonage-http-client 1.5.2
        "9e1af9bdd979c4735e0b5192bbd76c5b1dae74db8a04866667281b1201803516"
        "b2a896b655c1e486d2274627e5e56bdee27166ccc6df8e0188545af91dcf2106"
    )
    posted = ReceiptRequest(url="https://otp.example/r?ours=1", body=urlencode(fields).encode())
    fetched = ReceiptRequest(method="GET", url=f"https://otp.example/r?{urlencode(fields)}")
    assert refusal(proof, posted) is refusal(proof, fetched) is None
    capitals = urlencode(fields | {"sig": fields["sig"].upper()}).encode()
    assert refusal(proof, evolve(posted, body=capitals)) is None
    for name, value in fields.items():
        other = urlencode(fields | {name: f"{value}1"}).encode()
        assert refusal(proof, evolve(posted, body=other)) is ReceiptFault.SIGNATURE
    assert refusal(proof, evolve(posted, body=posted.body + b"&sig=1")) is ReceiptFault.SIGNATURE
    assert refusal(proof, evolve(posted, body=posted.body + b"&to=1")) is ReceiptFault.SIGNATURE


def with_token(token, body=BODY):
    return ReceiptRequest(url="https://otp.example/r", headers={"Authorization": f"Bearer {token}"}, body=body)


def test_a_token_is_read_as_its_vendor_writes_it():
    assert refusal(VONAGE, with_token(BY_PYJWT)) is None
    assert refusal(VONAGE, with_token(BY_PYJWT, BODY + b" ")) is ReceiptFault.SIGNATURE
    assert refusal(VONAGE, with_token(BY_PYJWT), SETTINGS | {"secret": "another"}) is ReceiptFault.SIGNATURE
    assert refusal(VONAGE, with_token(BY_PYJWT), SETTINGS | {"secret": ""}) is ReceiptFault.SIGNATURE
    assert refusal(VONAGE, with_token(BY_PYJWT), SETTINGS | {"api_key": "other"}) is ReceiptFault.SIGNATURE
    bare = evolve(with_token(BY_PYJWT), headers={"Authorization": BY_PYJWT})
    assert refusal(VONAGE, bare) is ReceiptFault.SIGNATURE


CLAIMS = {
    "iat": int(NOW.timestamp()),
    "iss": "Vonage",
    "payload_hash": hashlib.sha256(BODY).hexdigest(),
    "api_key": "a1b2c3d4",
}


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({}, None),
        ({"exp": CLAIMS["iat"] + 60}, None),
        ({"iat": None, "nbf": CLAIMS["iat"] - 60}, None),
        ({"iat": CLAIMS["iat"] - 301}, ReceiptFault.STALE),
        ({"iat": CLAIMS["iat"] + 301}, ReceiptFault.STALE),
        ({"exp": CLAIMS["iat"] - 2}, ReceiptFault.STALE),
        ({"iat": None}, ReceiptFault.STALE),
        ({"iat": True}, ReceiptFault.SIGNATURE),
        ({"iat": str(CLAIMS["iat"])}, ReceiptFault.SIGNATURE),
        ({"iss": "Another"}, ReceiptFault.SIGNATURE),
        ({"iss": None}, ReceiptFault.SIGNATURE),
        ({"payload_hash": ""}, ReceiptFault.SIGNATURE),
        ({"payload_hash": None}, ReceiptFault.SIGNATURE),
        ({"payload_hash": [CLAIMS["payload_hash"]]}, ReceiptFault.SIGNATURE),
    ],
)
def test_what_a_token_has_to_say(claims, fault):
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    assert refusal(VONAGE, with_token(signed(json.dumps(said).encode()))) is fault


def forged_tokens():
    payload = json.dumps(CLAIMS).encode()
    head, said, signature = signed(payload).split(".")
    yield "none", f"{text(b'{}')}.{said}."
    yield "none, with a signature", signed(payload, {"alg": "none"})
    yield "another algorithm", signed(payload, {"alg": "HS512"}, hashlib.sha512)
    yield "another algorithm than its name", signed(payload, {"alg": "HS512"})
    yield "no algorithm", signed(payload, {})
    yield "an extension that must be known", signed(payload, {"alg": "HS256", "crit": ["x"], "x": 1})
    yield "no signature", f"{head}.{said}."
    yield "two parts", f"{head}.{said}"
    yield "four parts", f"{head}.{said}.{signature}.{signature}"
    yield "no JSON", signed(b"\xff")
    yield "a list", signed(b"[1]")
    yield "nothing", ""
    yield "letters beyond ASCII", "ü.ü.ü"


@pytest.mark.parametrize(("name", "token"), list(forged_tokens()), ids=lambda value: value[:40])
def test_what_is_no_such_token(name, token):
    assert refusal(VONAGE, with_token(token)) is ReceiptFault.SIGNATURE


def test_an_empty_body_has_no_digest():
    proof = evolve(VONAGE, claims={"url_hash": "{url_sha256}", "payload_hash": "{body_sha256}"})
    url = "https://otp.example/r"
    claims = {"nbf": int(NOW.timestamp()), "url_hash": hashlib.sha256(url.encode()).hexdigest()}
    request = with_token(signed(json.dumps(claims).encode()), b"")
    assert refusal(proof, request) is None
    assert refusal(proof, evolve(request, body=b"x")) is ReceiptFault.SIGNATURE
    assert refusal(proof, evolve(request, url=f"{url}?status=delivered")) is ReceiptFault.SIGNATURE


def test_a_signature_is_asked_for_where_its_key_is_set():
    receipts = Receipts(proof=Proof(kind="address"), signature=VONAGE, status=("s",), statuses={})
    assert proof_of(receipts, {"secret": ""}).kind == "address"
    assert proof_of(receipts, SETTINGS) is VONAGE
    with_signature = evolve(with_token(""), delivery_id="d1")
    assert refusal(proof_of(receipts, SETTINGS), with_signature) is ReceiptFault.SIGNATURE


def test_the_time_of_a_field_is_near_now():
    proof = Proof(kind="hmac", field="sig", key="{secret}", signed="{fields}", timestamp_field="timestamp")
    fields = {"id": "m1", "timestamp": str(int((NOW - timedelta(seconds=301)).timestamp()))}
    said = "".join(f"{name}{value}" for name, value in sorted(fields.items())).encode()
    fields["sig"] = hmac.new(KEY.encode(), said, hashlib.sha256).hexdigest()
    request = ReceiptRequest(url="https://otp.example/r", body=urlencode(fields).encode())
    assert refusal(proof, request) is ReceiptFault.STALE
    assert refusal(proof, request, now=NOW - timedelta(seconds=2)) is None
