"""How reports are proven and read. The signatures here are made without the plugin's own code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from otp_http.receipt_sections import Challenge, Proof, Receipts
from otp_http.receipts import ReceiptReader
from sendings import NOW

from otpcore.providers import ReceiptFault, ReceiptRefused, ReceiptRequest

URL = "https://otp.example/receipts/acme"
STATUSES = {
    "sent": "progress",
    "done": "delivered",
    "done/2": "progress",
    "failed": "undelivered",
    "barred": "undelivered: blocked: opted out",
}
ADDRESS = Proof(kind="address")


def table(proof=ADDRESS, **more):
    values = {"status": ("status",), "reference": "id", "delivery_id": "ours", "code": "code", "statuses": STATUSES}
    return Receipts(proof=proof, codes={"3": "rejected_number"}, **{**values, **more})


def read(how, request, settings=None):
    return ReceiptReader.of(how, settings or {}).read(request, NOW)


def told(body, *, url=URL, method="POST", headers=None, delivery_id="d1"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ReceiptRequest(method=method, url=url, headers=headers or {}, body=content, delivery_id=delivery_id)


def shown(answer):
    return [(one.status and one.status.value, one.reference, one.kind and one.kind.value) for one in answer.receipts]


@pytest.mark.parametrize(
    ("report", "meant"),
    [
        ({"status": "sent"}, (None, "m1", None)),
        ({"status": "Done"}, ("delivered", "m1", None)),
        ({"status": "failed"}, ("undelivered", "m1", None)),
        ({"status": "failed", "code": 3}, ("undelivered", "m1", "rejected_number")),
        ({"status": "failed", "code": 4}, ("undelivered", "m1", None)),
        ({"status": "barred"}, ("undelivered", "m1", "blocked")),
        ({"status": "barred", "code": 3}, ("undelivered", "m1", "rejected_number")),
        ({"status": "done", "code": 3}, ("delivered", "m1", None)),
        ({"status": "never heard of"}, (None, "m1", None)),
    ],
)
def test_what_a_status_means(report, meant):
    assert shown(read(table(), told({"id": "m1", **report}))) == [meant]


def test_a_detail_tells_two_meanings_apart():
    how = table(detail="phase")
    assert shown(read(how, told({"id": "m1", "status": "done", "phase": 2}))) == [(None, "m1", None)]
    assert shown(read(how, told({"id": "m1", "status": "done", "phase": 5}))) == [("delivered", "m1", None)]


def test_several_reports_of_one_request():
    statuses = [{"id": f"m{number}", "status": "done"} for number in range(3)]
    wanted = [("delivered", f"m{number}", None) for number in range(3)]
    nested = {"entry": [{"changes": [{"value": {"statuses": statuses[:2]}}, {"value": {"statuses": statuses[2:]}}]}]}
    assert shown(read(table(items="entry.*.changes.*.value.statuses.*"), told(nested))) == wanted
    assert shown(read(table(items="*"), told(statuses))) == wanted
    split = table(body="query", split=",", methods=("GET",))
    request = told(b"", method="GET", url=f"{URL}?id=m0,m1,m2&status=done")
    assert shown(read(split, request)) == wanted


@pytest.mark.parametrize("body", [{"entry": []}, {"entry": [{"changes": [{"value": {"messages": [1]}}]}]}])
def test_a_request_with_nothing_to_report_is_fine(body):
    assert read(table(items="entry.*.changes.*.value.statuses.*"), told(body)).receipts == []


def test_requests_of_another_kind_are_passed_over():
    how = table(type="event", ignored=("inbound",))
    assert read(how, told({"event": "inbound"})).receipts == []
    with pytest.raises(ReceiptRefused):
        read(how, told({"event": "other"}))


def test_json_may_be_in_a_field_of_a_form():
    how = table(body="form", json_field="data", items="*")
    assert shown(read(how, told(b"data=%5B%7B%22id%22%3A%22m1%22%2C%22status%22%3A%22done%22%7D%5D"))) == [
        ("delivered", "m1", None)
    ]


def test_what_the_gateway_waits_for():
    answer = read(table(answer="OK"), told({"id": "m1", "status": "done"}))
    assert (answer.status, answer.text) == (200, "OK")


@pytest.mark.parametrize(
    ("how", "request_"),
    [
        (table(), told(b"")),
        (table(), told(b"[" * 100_000)),
        (table(), told({"id": "m1"})),
        (table(), told(["done"])),
        (table(), told({"status": {"a": 1}})),
        (table(), told({"id": "m1", "status": "done"}, method="PUT")),
        (table(items="results.*"), told({"id": "m1", "status": "done"})),
        (table(items="results.*"), told([])),
        (table(items="*"), told({"id": "m1"})),
        (table(body="form"), told(b"%ff")),
        (table(body="query"), told(b"", url="https://[")),
        (table(split=","), told([1])),
    ],
)
def test_what_is_no_report_is_malformed(how, request_):
    with pytest.raises(ReceiptRefused) as refused:
        read(how, request_)
    assert refused.value.fault is ReceiptFault.MALFORMED


def test_a_report_names_its_message():
    how = table(Proof(kind="query", field="secret", value="{secret}"))
    request = told({"status": "done"}, url=f"{URL}?secret=s3cret", delivery_id="")
    with pytest.raises(ReceiptRefused, match="does not name its message"):
        read(how, request, {"secret": "s3cret"})


SECRETS = {"token": "t0ken", "secret": "s3cret", "user": "acme", "encoded": base64.b64encode(b"k3y").decode()}
BODY = json.dumps({"id": "m1", "status": "done"}).encode()
STAMP = str(int(NOW.timestamp()))
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()


def _hmac(key, said, how=hashlib.sha256):
    return hmac.new(key, said, how).digest()


PROVEN = {
    "hmac in hex with a prefix": (
        Proof(kind="hmac", header="X-Sig", key="{secret}", prefix="sha256="),
        {"x-sig": "sha256=" + _hmac(b"s3cret", BODY).hex()},
        "",
    ),
    "hmac with the hash of the key, over time and body": (
        Proof(
            kind="hmac",
            header="X-Sig",
            key="{token}",
            key_encoding="sha256",
            signed="{timestamp}\n{body}",
            timestamp="X-Time",
        ),
        {"x-sig": _hmac(hashlib.sha256(b"t0ken").digest(), STAMP.encode() + b"\n" + BODY).hex(), "x-time": STAMP},
        "",
    ),
    "hmac in Base64 with a key in Base64, of the account's name": (
        Proof(
            kind="hmac",
            header="Authorization",
            key="{encoded}",
            key_encoding="base64",
            prefix="TSA {user}:",
            encoding="base64",
            hash="sha512",
        ),
        {"authorization": "TSA acme:" + base64.b64encode(_hmac(b"k3y", BODY, hashlib.sha512)).decode()},
        "",
    ),
    "hmac over method and URL": (
        Proof(kind="hmac", header="X-Sig", key="{secret}", signed="{method} {url} {body}"),
        {"x-sig": _hmac(b"s3cret", b"POST " + URL.encode() + b" " + BODY).hex()},
        "",
    ),
    "ed25519": (
        Proof(kind="ed25519", header="X-Sig", key="{public}", signed="{timestamp}|{body}", timestamp="X-Time"),
        {"x-sig": base64.b64encode(PRIVATE.sign(STAMP.encode() + b"|" + BODY)).decode(), "x-time": STAMP},
        "",
    ),
    "basic": (
        Proof(kind="basic", user="{user}", password="{secret}"),
        {"authorization": "Basic " + base64.b64encode(b"acme:s3cret").decode()},
        "",
    ),
    "header": (Proof(kind="header", header="X-Key", value="Key {secret}"), {"x-key": "Key s3cret"}, ""),
    "query": (Proof(kind="query", field="key", value="{secret}"), {}, "?key=s3cret"),
}
SETTINGS = {**SECRETS, "public": PUBLIC}


@pytest.mark.parametrize("name", PROVEN)
def test_what_is_proven_is_believed_and_nothing_else(name):
    proof, headers, query = PROVEN[name]
    genuine = told(BODY, url=URL + query, headers=headers, delivery_id="")
    assert shown(read(table(proof), genuine, SETTINGS)) == [("delivered", "m1", None)]
    forged = [told(BODY, url=URL, headers={}, delivery_id="")]
    for header in headers:
        forged.append(told(BODY, url=URL + query, headers={**headers, header: headers[header][:-3] + "AAA"}))
        forged.append(told(BODY, url=URL + query, headers={**headers, header: "ü"}))
    if proof.kind in ("hmac", "ed25519"):
        forged.append(told(BODY + b" ", url=URL + query, headers=headers))
    for request in forged:
        with pytest.raises(ReceiptRefused) as refused:
            read(table(proof), request, SETTINGS)
        assert refused.value.fault in (ReceiptFault.SIGNATURE, ReceiptFault.STALE)
    with pytest.raises(ReceiptRefused, match="is not set"):
        read(table(proof), genuine, dict.fromkeys(SETTINGS, ""))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_signed_time_is_near_now(seconds):
    proof = PROVEN["ed25519"][0]
    stamp = str(int((NOW + timedelta(seconds=seconds)).timestamp()))
    signature = base64.b64encode(PRIVATE.sign(stamp.encode() + b"|" + BODY)).decode()
    with pytest.raises(ReceiptRefused) as refused:
        read(table(proof), told(BODY, headers={"x-sig": signature, "x-time": stamp}), SETTINGS)
    assert refused.value.fault is ReceiptFault.STALE


def test_a_challenge_is_answered_where_its_secret_is_right():
    how = table(
        Proof(kind="hmac", header="X-Sig", key="{secret}"),
        challenge=Challenge(token="hub.verify_token", secret="{token}", answer="hub.challenge"),
    )
    right = f"{URL}?hub.mode=subscribe&hub.verify_token=t0ken&hub.challenge=1158201444"
    assert read(how, told(b"", method="GET", url=right), SECRETS).text == "1158201444"
    wrong = {
        right.replace("t0ken", "other"): SECRETS,
        right.replace("t0ken", ""): {**SECRETS, "token": ""},
        right.replace("1158201444", ""): SECRETS,
        right.replace("1158201444", "%00"): SECRETS,
        right.replace("1158201444", "1" * 501): SECRETS,
        URL: SECRETS,
    }
    for url, settings in wrong.items():
        with pytest.raises(ReceiptRefused):
            read(how, told(b"", method="GET", url=url), settings)
