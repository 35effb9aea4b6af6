"""Fuzz targets for what vendors answer: whatever comes, a plugin raises ``ProviderError`` or has a reason to be content.

The hooks are called directly, not through the core, which would turn a crash into ``ambiguous``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import attrs
import httpx
import otp_mada
import otp_sinch
import otp_twilio
from fuzz_common import CODE, NUMBER, assert_silent, run

from otpcore.errors import ProviderError
from otpcore.http.charsets import readings
from otpcore.models import Channel
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.requests import CancelRequest, CheckRequest, CheckResult, DeliveryReceipt, DeliveryRequest

_STATUSES = (200, 201, 204, 202, 307, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503, 599)
_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_LONGEST_REFERENCE = 255

_TWILIO = {
    "account_sid": "AC" + "1" * 32,
    "auth_token": "t" * 32,
    "verify_base_url": "https://vendor.example",
    "api_base_url": "https://vendor.example",
}
_SINCH = {
    "application_key": "9f1c6a52-7d0e-4f3b-8a56-0d6a3f1f7c11",
    "application_secret": "c2ltdWxhdGVkLXNlY3JldA==",
    "base_url": "https://vendor.example",
}
_MADA = {"url": "https://vendor.example/sos", "username": "u", "password": "p", "source_name": "otpcore"}


def twilio_verify(data: bytes) -> None:
    """Twilio Verify's JSON."""
    _fuzz("twilio_verify", otp_twilio.create_provider, {**_TWILIO, "service_sid": "VA" + "1" * 32}, data)


def twilio_messaging(data: bytes) -> None:
    """Twilio's JSON for messages and calls; a repeat asks for the earlier message first."""
    settings = {**_TWILIO, "mode": "messaging", "from_number": "+15005550006"}
    _fuzz("twilio_messaging", otp_twilio.create_provider, settings, data)


def sinch(data: bytes) -> None:
    """Sinch's JSON; a repeat and a check without reference ask for the verification first."""
    _fuzz("sinch", otp_sinch.create_provider, _SINCH, data)


def mada(data: bytes) -> None:
    """The gateway's SOAP."""
    _fuzz("mada", otp_mada.create_provider, _MADA, data)


@attrs.define
class _Vendor:
    """Answers every request with the answer at hand."""

    status: int = 200
    body: bytes = b""

    def answer(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, content=self.body)


def _fuzz(name: str, factory: Callable[[ProviderContext], Any], settings: Mapping[str, Any], data: bytes) -> None:
    """First byte: the hook. Second: the status. The rest: the body."""
    choice, status, body = data[:1] or b"\0", data[1:2] or b"\0", data[2:]
    vendor, provider = _started(name, factory, tuple(sorted(settings.items())))
    vendor.status, vendor.body = _STATUSES[status[0] % len(_STATUSES)], body
    hooks = _hooks(provider)
    hook, request = hooks[choice[0] % len(hooks)]
    try:
        answer = run(_called(hook, request))
    except ProviderError as error:
        assert_silent(error)
        return
    assert vendor.status // 100 == 2 or answer in (None, CheckResult.GONE, CheckResult.INCORRECT)
    if isinstance(answer, DeliveryReceipt):
        _assert_earned(name, answer, body)
    elif answer is CheckResult.APPROVED:
        assert _says(body, "approved") or _says(body, "SUCCESSFUL")


async def _called(hook: Callable[[Any], Any], request: object) -> Any:
    return await hook(request)


def _assert_earned(name: str, receipt: DeliveryReceipt, body: bytes) -> None:
    """A receipt stands for words of acceptance in the answer, never for a 2xx alone."""
    reference = receipt.reference
    assert len(reference) <= _LONGEST_REFERENCE
    assert reference.isascii()
    assert reference.isprintable()
    if name == "mada":
        assert b"c" in body  # in any encoding: there was an element commandStatus, and it said 0
        assert b"0" in body or b"\xf0" in body or b"&#" in body
    else:
        assert reference
        assert _says(body, reference)


def _says(body: bytes, text: str) -> bool:
    """Some text in a JSON body, in one of its readings, is this one, in any letter case."""

    def inside(value: Any) -> bool:
        if isinstance(value, dict):
            return any(map(inside, value.values()))
        if isinstance(value, list):
            return any(map(inside, value))
        return isinstance(value, str) and value.casefold() == text.casefold()

    for reading in readings(body):
        with contextlib.suppress(ValueError, RecursionError):  # no JSON
            if inside(json.loads(reading)):
                return True
    return False


def _hooks(provider: Any) -> list[tuple[Callable[[Any], Any], object]]:
    """The hooks of a provider, each with a request."""
    one = {"challenge_id": "c" * 32, "delivery_id": "d" * 32, "recipient": PhoneNumber(NUMBER)}
    made: list[tuple[Callable[[Any], Any], object]] = []
    for channel, hook in ((Channel.SMS, "send_sms"), (Channel.CALL, "call")):
        if hasattr(provider, hook):
            made += [
                (
                    getattr(provider, hook),
                    DeliveryRequest(
                        **one,
                        channel=channel,
                        code=CODE,
                        text=f"Your code is {CODE}",
                        deadline=_NOW + dt.timedelta(minutes=5),
                        locale="en",
                        purpose="login",
                        idempotency_key="k",
                        repeat=repeat,
                    ),
                )
                for repeat in ("", "e" * 32)
            ]
    for reference in ("VE" + "2" * 32, ""):
        if hasattr(provider, "check_code"):
            check = CheckRequest(**one, channel=Channel.SMS, code=CODE, reference=reference)
            made.append((provider.check_code, check))
        if hasattr(provider, "cancel"):
            made.append((provider.cancel, CancelRequest(**one, channel=Channel.SMS, reference=reference)))
    return made


@functools.cache
def _started(name: str, factory: Callable[[ProviderContext], Any], settings: tuple[tuple[str, Any], ...]) -> Any:
    vendor = _Vendor()
    context = ProviderContext(
        instance=name,
        settings=dict(settings),
        clock=lambda: _NOW,
        transport=httpx.MockTransport(vendor.answer),
    )
    provider = factory(context)
    run(provider.start(AsyncExitStack()))  # nothing to close: the transport is ours
    return vendor, provider


TARGETS = {
    "twilio_verify": twilio_verify,
    "twilio_messaging": twilio_messaging,
    "sinch": sinch,
    "mada": mada,
}
