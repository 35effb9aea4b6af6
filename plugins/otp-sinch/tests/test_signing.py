"""Application signing against every published vector."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import attrs
import pytest
from otp_sinch.signing import content_md5, decode_secret, signature, signed_headers, string_to_sign


@attrs.frozen(kw_only=True)
class Vector:
    secret: str
    method: str = "POST"
    path: str
    content_type: str = "application/json"
    timestamp: str
    body: str
    md5: str
    signature: str


OLD_EXAMPLE = Vector(
    secret="JViE5vDor0Sw3WllZka15Q==",
    path="/v1/sms/+46700000000",
    timestamp="2014-06-04T13:41:58Z",
    body='{"message":"Hello world"}',
    md5="jANzQ+rgAHyf1MWQFSwvYw==",
    signature="qDXMwzfaxCRS849c/2R0hg0nphgdHciTo7OdM6MsdnM=",
)
CURRENT_EXAMPLE_CORRECTED = Vector(
    secret="JViE5vDor0Sw3WllZka15Q==",
    path="/verification/v1/verifications",
    timestamp="2014-06-04T13:41:58Z",
    body='{"identity": {"type": "number", "endpoint": "+46700000000"}, "method": "sms"}',
    md5="c5jl2EZiU6BpQ2QiBOJ/gQ==",
    signature="H0Xa+YytqdCeLq2QM0gSwgjYyFGJ5wK0G2nxR7g0RpQ=",
)
VECTORS = {
    "documentation, older example with a raw plus in the path": OLD_EXAMPLE,
    "documentation, current example, recomputed": CURRENT_EXAMPLE_CORRECTED,
    "Node and Java SDK, with a charset": Vector(
        secret="bXkta2V5LXNlY3JldA==",
        path="/path/pathParamValue",
        content_type="application/json; charset=UTF-8",
        timestamp="2023-11-22T09:10:11.999Z",
        body='{"identity":{"type":"number","endpoint":"+33444555666"},"method":"sms"}',
        md5="RkD29EocJh6t7zr5QfKM4g==",
        signature="QP3OzQZVzRZAEev6DBLvJkgpiqyZPuXYsc7oyjUV0K8=",
    ),
    "Node SDK, GET without a body": Vector(
        secret="bXkta2V5LXNlY3JldA==",
        method="GET",
        path="/path/pathParamValue",
        timestamp="2023-11-22T09:10:11.999Z",
        body="",
        md5="",
        signature="nsrLDvP6KVD/dAxb3IfAncdwjPFJVWSrseEFOcZge+A=",
    ),
    "documentation, callback": Vector(
        secret="BeIukql3pTKJ8RGL5zo0DA==",
        path="/sinch/callback/ace",
        timestamp="2014-09-24T10:59:41Z",
        body='{"event":"ace","callid":"822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257","timestamp":"2014-09-24T10:59:41Z",'
        '"version":1}',
        md5="REWF+X220L4/Gw1spXOU7g==",
        signature="Tg6fMyo8mj9pYfWQ9ssbx3Tc1BNC87IEygAfLbJqZb4=",
    ),
    "Java SDK, callback, secret without padding": Vector(
        secret="9876543210",
        path="/VerificationRequestEvent",
        content_type="application/json; charset=utf-8",
        timestamp="2023-12-01T15:01:20.0406449Z",
        body='{"id":"018c25e1-7163-5677-b8fb-467d7b1cffa5","event":"VerificationResultEvent","method":"sms",'
        '"identity":{"verified":false,"type":"number","endpoint":"+33628254417"},"status":"FAIL","reason":"Expired"}',
        md5="COfYO/MKetfU00r0d5TxkA==",
        signature="xfKhO0XvlRNJraahUBEJzzi1f3Fn3pYO41/ZzwOHPaQ=",
    ),
}


def signature_of(vector):
    text = string_to_sign(
        method=vector.method,
        path=vector.path,
        content_type=vector.content_type,
        timestamp=vector.timestamp,
        body=vector.body.encode(),
    )
    return signature(decode_secret(vector.secret), text)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_digest_and_signature_equal_the_vector(vector):
    assert content_md5(vector.body.encode()) == vector.md5
    assert signature_of(vector) == vector.signature


def test_the_signature_printed_on_the_current_documentation_page_belongs_to_its_older_example():
    printed = OLD_EXAMPLE
    assert content_md5(CURRENT_EXAMPLE_CORRECTED.body.encode()) != printed.md5
    assert signature_of(CURRENT_EXAMPLE_CORRECTED) != printed.signature == signature_of(OLD_EXAMPLE)


def test_the_string_to_sign_is_five_lines_with_an_empty_one_for_no_body():
    text = string_to_sign(
        method="get", path="/a/+46", content_type="application/json", timestamp="2023-11-22T09:10:11.999Z", body=b""
    )
    assert text == "GET\n\napplication/json\nx-timestamp:2023-11-22T09:10:11.999Z\n/a/+46"


def test_headers_carry_what_was_signed_with_the_time_in_utc():
    vector = VECTORS["Node and Java SDK, with a charset"]
    east = datetime(2023, 11, 22, 11, 10, 11, 999_000, tzinfo=timezone(timedelta(hours=2)))
    headers = signed_headers(
        "my-key-id",
        decode_secret(vector.secret),
        method=vector.method,
        path=vector.path,
        content_type=vector.content_type,
        body=vector.body.encode(),
        now=east,
    )
    assert headers == {
        "Authorization": f"Application my-key-id:{vector.signature}",
        "Content-Type": vector.content_type,
        "x-timestamp": vector.timestamp,
    }


def test_missing_padding_of_a_secret_is_tolerated():
    assert decode_secret("bXkta2V5LXNlY3JldA") == decode_secret("bXkta2V5LXNlY3JldA==") == b"my-key-secret"


@pytest.mark.parametrize("text", ["", "=", "A", "not base64!", "bXkta2V5LXNlY3JldA== ", "gr\u00fcn"])
def test_a_malformed_secret_is_refused_without_being_quoted(text):
    with pytest.raises(ValueError, match="must be Base64") as refusal:
        decode_secret(text)
    assert refusal.value.__context__ is None
    assert text.strip("= A") == "" or text not in str(refusal.value)
