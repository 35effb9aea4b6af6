"""Fuzz targets for delivery receipts: whatever arrives at a webhook, only what the vendor signed is believed.

The first byte chooses: signed as the vendor would or not, and a whole URL or the query of ours. Then three lines: the URL
or query, a header's value, and the body, which is all that is left.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import otp_sinch
import otp_twilio
from fuzz_common import NUMBER, assert_silent, run, text_of
from otp_sinch.signing import signed_headers
from otp_twilio.signing import BODY_HASH, form_of, signature, signed_urls

from otpcore.errors import ErrorKind, ReceiptFault, ReceiptRefused
from otpcore.models import Receipt, ReceiptStatus
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.requests import ReceiptRequest

_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_TOKEN = "t" * 32
_KEY, _SECRET = "9f1c6a52-7d0e-4f3b-8a56-0d6a3f1f7c11", b"simulated-secret"
_TWILIO = {"account_sid": "AC" + "1" * 32, "auth_token": _TOKEN, "mode": "messaging", "from_number": "+15005550006"}
_SINCH = {"application_key": _KEY, "application_secret": "c2ltdWxhdGVkLXNlY3JldA=="}
_LONGEST_ID = 100
_AGES = (0, 299, 301, -301)  # seconds; Sinch's events are good for 300 either way


def twilio_receipts(data: bytes) -> None:
    """Status callbacks of messages and calls, as forms or JSON."""
    choice, request, header = _request(data, "https://example.com/receipts/twilio")
    headers = {
        "X-Twilio-Signature": header,
        "X-Twilio-Webhooks-Signature-Settings": header,
    }
    signed = bool(choice & 1)
    if signed:
        algorithm = "sha256" if choice & 4 else "sha1"
        headers["X-Twilio-Signature"] = _twilio_signature(request, algorithm)
        headers["X-Twilio-Webhooks-Signature-Settings"] = f"algorithm=HMAC_{algorithm.upper()}"
    _read(_twilio(), attrs.evolve(request, headers=headers), signed=signed and bool(headers["X-Twilio-Signature"]))


def sinch_receipts(data: bytes) -> None:
    """Events of verifications, fresh and stale."""
    choice, request, header = _request(data, "https://example.com/receipts/sinch")
    headers = {"Authorization": header, "x-timestamp": header, "Content-Type": header}
    age = _AGES[choice // 4 % len(_AGES)]
    signed = bool(choice & 1)
    path = _path(request.url)
    if signed and path is not None:
        headers = signed_headers(
            _KEY,
            _SECRET,
            method=request.method,
            path=path,
            content_type="application/json",
            body=request.body,
            now=_NOW - dt.timedelta(seconds=age),
        )
    fresh = signed and path is not None and abs(age) <= 300
    fault = _read(_sinch(), attrs.evolve(request, headers=headers), signed=fresh)
    assert not signed or path is None or fresh or fault is ReceiptFault.STALE


def _request(data: bytes, ours: str) -> tuple[int, ReceiptRequest, str]:
    choice, rest = data[0] if data else 0, data[1:]
    url, _, rest = rest.partition(b"\n")
    header, _, body = rest.partition(b"\n")
    where = text_of(url) if choice & 2 else f"{ours}?{text_of(url)}"
    return choice, ReceiptRequest(url=where, body=body), text_of(header)


def _read(provider: Any, request: ReceiptRequest, *, signed: bool) -> ReceiptFault | None:
    """What is wrong with it; None: it was believed, and says what a receipt can say."""
    assert NUMBER[1:] not in repr(request)
    try:
        receipt = run(_parsed(provider, request))
    except ReceiptRefused as refused:
        assert_silent(refused)
        assert refused.__context__ is None, "the cause would quote the body"
        assert not signed or refused.fault is ReceiptFault.MALFORMED
        return refused.fault
    assert signed, "nobody signed it"
    assert receipt == run(_parsed(provider, request)), "the same one again reads the same"
    _assert_sound(receipt)
    return None


async def _parsed(provider: Any, request: ReceiptRequest) -> Receipt:
    receipt = await provider.parse_receipt(request)
    assert isinstance(receipt, Receipt)
    return receipt


def _assert_sound(receipt: Receipt) -> None:
    for name in (receipt.reference, receipt.delivery_id):
        assert len(name) <= _LONGEST_ID
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name
    assert len(receipt.provider_code) <= _LONGEST_ID
    assert receipt.provider_code.isascii()
    failed = receipt.status is ReceiptStatus.UNDELIVERED
    assert isinstance(receipt.kind, ErrorKind) == failed
    assert failed or not receipt.provider_code
    assert receipt.reference or receipt.delivery_id or receipt.status is None


def _twilio_signature(request: ReceiptRequest, algorithm: str) -> str:
    """As Twilio signs it; empty: it would not call this."""
    urls, named = signed_urls(request.url), parse_qs(request.url.partition("#")[0].partition("?")[2]).get(BODY_HASH)
    if not urls or (named is not None and named[0] != hashlib.sha256(request.body).hexdigest()):
        return ""
    try:
        pairs = () if named is not None else form_of(request)
    except ReceiptRefused:
        pairs = ()
    return signature(_TOKEN, urls[0], pairs, algorithm)


def _path(url: str) -> str | None:
    """The path of an http(s) URL; None: it is none that a vendor calls."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not url.isprintable() or not url.isascii() or "\\" in url:
        return None
    return parts.path or "/" if url.startswith(f"{parts.scheme}://{parts.netloc}{parts.path}") else None


@functools.cache
def _twilio() -> Any:
    return _made(otp_twilio.create_provider, _TWILIO)


@functools.cache
def _sinch() -> Any:
    return _made(otp_sinch.create_provider, _SINCH)


def _made(factory: Callable[[ProviderContext], Any], settings: Mapping[str, Any]) -> Any:
    """Never started: reading a receipt calls nobody."""
    return factory(ProviderContext(instance="fuzz", settings=settings, clock=lambda: _NOW))


TARGETS = {"twilio_receipts": twilio_receipts, "sinch_receipts": sinch_receipts}
