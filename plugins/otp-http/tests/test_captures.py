"""What otpcore sends is what the vendor's own SDK sends, field by field; and both judge the vendor's answers alike."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from captured import Capture, captures
from otp_http import create_provider
from otp_http.catalogue import built_in

from otpcore.providers import Channel, DeliveryRequest, PhoneNumber, ProviderContext, ProviderError

CAPTURES = [one for one in captures() if one.gateway in built_in()]
WITHOUT = frozenset({"link_mobility", "mobica", "msg91", "webhook"})  # there is no SDK of the vendor's
OWN_BASE_URL = "https://gateway.example.com"

# What is ours to decide, field by field, and why.
DIFFERS = {
    "smsapi-sms": {
        "form.encoding": "says that the text is UTF-8, as the SDK leaves to the vendor",
        "form.expiration_date": "a code lives shorter than SMSAPI can be told",
    },
}


class _Addresses:
    """Answers the address of the capture."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def address(self, instance: str, delivery_id: str) -> str | None:
        return self._url


async def _sent(capture: Capture, answer: httpx.Response) -> httpx.Request:
    """The request that otpcore makes of it."""
    seen: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer

    await _send(capture, httpx.MockTransport(reply))
    return seen[0]


async def _send(capture: Capture, transport: httpx.MockTransport) -> str:
    send, now = capture.send, datetime.fromisoformat(capture.send["now"])
    host = capture.request.get("host")
    settings = {**capture.settings, "gateway": capture.gateway}
    settings["base_url"] = f"https://{host}" if host else OWN_BASE_URL
    context = ProviderContext(
        instance="http",
        settings=settings,
        clock=lambda: now,
        transport=transport,
        addresses=_Addresses(send["receipt_url"]),
    )
    provider = create_provider(context)
    request = DeliveryRequest(
        delivery_id=send["delivery_id"],
        challenge_id="c1",
        recipient=PhoneNumber(send["recipient"]),
        channel=Channel(capture.channel),
        code=send["code"],
        text=send["text"] or "not for this gateway",
        sender=send["sender"],
        template_id=send["template_id"],
        deadline=now + timedelta(seconds=send["life"]),
        idempotency_key=send.get("idempotency_key", send["delivery_id"]),
    )
    async with AsyncExitStack() as stack:
        await provider.start(stack)
        receipt = await provider._send(request)
    return receipt.reference


def _fields(request: httpx.Request) -> dict[str, object]:
    """Every field of a request, by ``form.name``, ``json.name.0.name``, ``query.name`` and ``header.name``."""
    url = urlsplit(str(request.url))
    found = {"method": request.method, "path": url.path}
    found |= _flat("query", dict(parse_qsl(url.query, keep_blank_values=True)))
    body = request.content.decode()
    if "json" in request.headers.get("content-type", ""):
        found |= _flat("json", json.loads(body))
    else:
        found |= _flat("form", dict(parse_qsl(body, keep_blank_values=True)))
    return found | _flat("header", dict(request.headers))


def _flat(name: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return {key: found for part, below in value.items() for key, found in _flat(f"{name}.{part}", below).items()}
    if isinstance(value, list):
        return {key: found for part, below in enumerate(value) for key, found in _flat(f"{name}.{part}", below).items()}
    return {name: value}


def _wanted(capture: Capture) -> dict[str, object]:
    request = capture.request
    found = {"method": request["method"], "path": request["path"]}
    for part in ("query", "form", "json"):
        found |= _flat(part, request.get(part, {}))
    headers = {name: value for name, value in request["headers"].items() if name not in ("accept", "charset")}
    headers["content-type"] = headers.get("content-type", "").partition(";")[0]
    return found | _flat("header", {name: value for name, value in headers.items() if value})


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.title)
async def test_a_request_equals_the_sdks(capture, anyio_backend_name):
    accepted = next(one for one in capture.answers if one["accepted"])
    made = _fields(await _sent(capture, _response(accepted)))
    wanted = _wanted(capture)
    differs = {*capture.differs, *DIFFERS.get(capture.title, {})}
    bodies = {name for name in {*made, *wanted} if not name.startswith("header.")}
    headers = {name for name in wanted if name.startswith("header.")}
    unlike = {name for name in bodies | headers if made.get(name) != wanted.get(name)}
    assert unlike == differs, {name: (made.get(name), wanted.get(name)) for name in unlike ^ differs}


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.title)
async def test_an_answer_means_what_the_sdk_makes_of_it(capture, anyio_backend_name):
    assert capture.answers
    for answer in capture.answers:
        transport = httpx.MockTransport(lambda _, answer=answer: _response(answer))
        if answer["accepted"]:
            assert await _send(capture, transport) == str(answer.get("reference") or "")
        else:
            with pytest.raises(ProviderError) as refused:
                await _send(capture, transport)
            assert refused.value.kind == answer["kind"], "the vendor said why, so it is known"


def test_every_gateway_was_captured_or_is_said_not_to_be():
    assert set(built_in()) - {one.gateway for one in CAPTURES} <= WITHOUT


def _response(answer):
    body = answer["body"]
    if isinstance(body, str):
        return httpx.Response(answer["status"], text=body)
    return httpx.Response(answer["status"], json=body)
