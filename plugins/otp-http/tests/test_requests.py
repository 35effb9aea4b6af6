"""The bytes of a request, for what no SDK was seen to send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import AsyncExitStack

import httpx
import pytest
from otp_http import create_provider
from otp_http.requests import Composer
from otp_http.sections import Auth, BodyHmac, Request
from sendings import NOW

from otpcore.providers import ErrorKind, ProviderContext, ProviderError

VALUES = {"number": "+359 87/1", "text": "Код & 1 %", "code": "482913", "secret": "s3cret", "empty": ""}


def composed(auth=None, **request):
    return Composer.of(Request(**{"path": "/", **request}), auth or Auth()).compose(VALUES)


def test_what_stands_in_a_path_is_one_part_of_it():
    made = composed(path="/to/{number}/send", query={"text": "{text}"}, method="GET")
    assert made.target == "/to/%2B359%2087%2F1/send?text=%D0%9A%D0%BE%D0%B4%20%26%201%20%25"
    assert (made.body, dict(made.headers)) == (None, {})


def test_a_form_has_lists_and_truth_values_and_no_empty_fields():
    made = composed(form={"to": ["{number}", "{code}"], "flash": False, "part": 1, "from": "{empty}", "x": "a b"})
    assert made.body == b"to=%2B359+87%2F1&to=482913&flash=false&part=1&x=a+b"
    assert made.headers == {"Content-Type": "application/x-www-form-urlencoded"}


def test_json_is_compact_utf_8_with_types():
    made = composed(json={"text": "{text}", "code": "{code:int}", "deep": {"from": "{empty}", "type": "x"}})
    assert made.body == '{"text":"Код & 1 %","code":482913}'.encode()
    assert made.headers == {"Content-Type": "application/json"}


def test_a_header_of_the_request_goes_before_that_of_the_account_and_an_empty_one_is_left_out():
    auth = Auth(headers={"X-Key": "{secret}", "X-Same": "account", "X-Empty": "{empty}"})
    made = composed(auth, headers={"X-Same": "request"}, form={"a": "{code}"})
    assert made.headers["X-Key"] == "s3cret"
    assert made.headers["X-Same"] == "request"
    assert "X-Empty" not in made.headers


@pytest.mark.parametrize(("name", "encoding"), [("sha512", "hex"), ("sha256", "base64")])
def test_a_body_is_signed_as_it_is_sent(name, encoding):
    how = BodyHmac(header="X-Sign", key="{secret}", hash=name, encoding=encoding, prefix="v1=")
    made = composed(Auth(hmac=how), json={"text": "{text}"})
    digest = hmac.new(b"s3cret", made.body, getattr(hashlib, name)).digest()
    wanted = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert made.headers["X-Sign"] == f"v1={wanted}"


async def test_a_value_that_is_no_number_is_refused_before_anything_is_sent(own_table, request_to, anyio_backend_name):
    own_table["send"]["sms"]["json"]["order"] = "{metadata.order:int}"
    seen = []

    def answer(request):
        seen.append(json.loads(request.content))
        return httpx.Response(201, json={"id": "m1"})

    context = ProviderContext(
        instance="acme",
        settings={"gateway": own_table, "token": "t0ken"},
        clock=lambda: NOW,
        transport=httpx.MockTransport(answer),
    )
    provider = create_provider(context)
    with pytest.raises(ProviderError) as refused:
        await provider._send(request_to())
    assert refused.value.kind is ErrorKind.UNAVAILABLE, "not started"
    async with AsyncExitStack() as stack:
        await provider.start(stack)
        await provider._send(request_to(metadata={"order": "12"}))
        await provider._send(request_to())
        for metadata in ({"order": "4711 of a person"}, {"order": "1e3"}):
            with pytest.raises(ProviderError) as refused:
                await provider._send(request_to(metadata=metadata))
            assert refused.value.kind is ErrorKind.MISCONFIGURED
            assert "4711" not in f"{refused.value!r}{refused.value.__cause__!r}{refused.value.__context__!r}"
        with pytest.raises(ProviderError, match="no text to be sent"):
            await provider._send(request_to(text=None))
    assert [one.get("order") for one in seen] == [12, None]
