"""Forgeries of receipts: each differs from the genuine request and from the others, and says what is wrong with it."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, urlencode

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.providers import ReceiptRequest
from otpcore.testing.providers.forgeries import SIGNABLE, forgeries, forgeries_of_addresses, forgeries_of_challenges

SECRET = "s3cret/+ of an account"
TEXTS = st.text(max_size=12)
FIELDS = st.dictionaries(st.text(min_size=1, max_size=8), TEXTS, max_size=4)
BODIES = st.one_of(
    *(FIELDS.map(lambda fields: json.dumps(fields).encode()), FIELDS.map(lambda fields: urlencode(fields).encode())),
    *(
        st.binary(max_size=20),
        st.recursive(TEXTS, st.lists, max_leaves=6).map(lambda value: json.dumps(value).encode()),
    ),
)
URLS = st.builds(
    lambda path, fields: f"https://example.com{path}{'?' if fields else ''}{urlencode(fields)}",
    st.sampled_from(["", "/", "/acme", "/receipts/acme/x"]),
    FIELDS,
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-signature", "authorization", "content-type", "timestamp"]), st.text("aAbB01=/ ", max_size=9)
)


def made(callback: ReceiptRequest, *signed: str, unsigned: tuple[str, ...] = ()) -> list[str]:
    """The names of what is forged."""
    found = forgeries(callback, signed=signed, unsigned_fields=unsigned, secrets=[SECRET])
    return [one.what for one in found]


@given(url=URLS, headers=HEADERS, body=BODIES, signed=st.sets(st.sampled_from(sorted(SIGNABLE))))
def test_a_forgery_is_never_the_genuine_request_nor_made_twice(url, headers, body, signed):
    genuine = ReceiptRequest(url=url, headers=headers, body=body)
    found = list(forgeries(genuine, signed=signed, unsigned_fields=(), secrets=[SECRET]))
    requests = [one.request for one in found]
    assert genuine not in requests
    assert all(one not in requests[:place] for place, one in enumerate(requests))
    assert all(one.what and one.advice and "{" not in one.advice.replace("signed = {", "") for one in found)


def test_a_get_without_a_body_is_forged_in_its_query_alone():
    callback = ReceiptRequest(method="GET", url="https://example.com?id=M1&status=OK")
    assert made(callback, "body", "headers", "url") == [
        "another path",
        "another `id` in its query",
        "no `id` in its query",
        "another `status` in its query",
        "no `status` in its query",
    ]


def test_each_field_is_forged_but_those_that_are_not_signed():
    body = json.dumps({"message": {"id": "M1", "parts": [1, 2]}, "err": None}).encode()
    callback = ReceiptRequest(url="https://example.com/", body=body)
    fields = ["message.id", "message.parts.0", "message.parts.1", "err"]
    assert made(callback, "body")[:4] == [f"another `{name}` in its body" for name in fields]
    assert made(callback, "body", unsigned=("err",)) == [f"another `{name}` in its body" for name in fields[:3]]
    form = attrs.evolve(callback, body=b"id=M1&err=0")
    assert made(form, "body", unsigned=("err",)) == ["another `id` in its body"] * 2, "another value, and without it"


@pytest.mark.parametrize(
    ("callback", "what"),
    [
        (ReceiptRequest(url=f"https://example.com/?key={quote(SECRET, safe='')}"), "its URL"),
        (ReceiptRequest(url="https://example.com/", body=json.dumps({"key": SECRET}).encode()), "its body"),
        (ReceiptRequest(url="https://example.com/", headers={"X-Key": SECRET}), "its x-key"),
    ],
)
def test_a_secret_is_found_wherever_it_comes_along(callback, what):
    assert made(callback, "secret") == [f"another secret in {what}"]


def test_a_password_of_http_basic_is_forged_within_its_base64():
    credentials = base64.b64encode(f"user:{SECRET}".encode()).decode()
    callback = ReceiptRequest(url="https://example.com/", headers={"Authorization": f"Basic {credentials}"})
    changed = [
        one.request.headers.get("authorization", "")
        for one in forgeries(callback, signed={"secret"}, unsigned_fields=(), secrets=[SECRET])
    ]
    read = [base64.b64decode(one.partition(" ")[2], validate=True) for one in changed if one.startswith("Basic ")]
    assert any(one.startswith(b"user:") and one != f"user:{SECRET}".encode() and len(one) == 27 for one in read)


def test_what_cannot_be_forged_is_not():
    assert made(ReceiptRequest(url="https://example.com/"), "body", "headers", "secret") == []


def test_challenges_and_addresses_are_forged_by_name():
    challenge = ReceiptRequest(method="GET", url="https://example.com/?token=a&text=b")
    assert [one.what for one in forgeries_of_challenges(challenge)] == [
        "a challenge without its query",
        "a challenge without its secret",
    ]
    address = ReceiptRequest(url="https://example.com/acme/d1/AAAA?status=1")
    found = list(forgeries_of_addresses(address, lambda _: "BBBB"))
    assert len({one.request.url for one in found} | {address.url}) == 6
    assert all(one.request.url.endswith("?status=1") for one in found)
