"""Sinch's callback events: who signed them, and what each means for the delivery.

Signed as requests are (``otp_sinch.signing``), over the request as it arrived. What Sinch leaves to its customer is done here:
old timestamps are refused. How old an event may be is not published; five minutes either way is ours.

- ``VerificationSmsDeliveredEvent``: ``Successful`` is delivered, ``Failed`` is not; whatever Sinch adds later is progress.
- ``VerificationResultEvent``: ``DENIED`` and ``ERROR`` say that nothing reached the person, with the reasons of
  ``otp_sinch.answers.DENIALS``. ``SUCCESSFUL`` and ``FAIL`` are about a code that was typed, ``ABORTED`` about a start that a newer one
  replaced: no news.
- ``VerificationRequestEvent`` asks whether a verification may begin, by whatever method, and Sinch drops it without an answer.
  otpcore answers: only what it is sending itself may, and only while its own barriers would let it be sent. It is the one
  event with a ``price``.

Source: developers.sinch.com, "Verification callbacks", "Callback request signing".
"""

from __future__ import annotations

import contextlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs

from otp_sinch.answers import VerificationStatus, error_of_start, status_of
from otp_sinch.signing import signature, string_to_sign
from otpcore.http import readings
from otpcore.providers import ErrorKind, Price, Receipt, ReceiptFault, ReceiptRefused, ReceiptRequest, ReceiptStatus

__all__ = ["ALLOW", "DENY", "SMS_RESULTS", "TOLERANCE", "check_event", "read_event"]

TOLERANCE = timedelta(minutes=5)
"""How far ``x-timestamp`` may be from now."""

ALLOW = '{"action":"allow"}'
"""The answer to a ``VerificationRequestEvent`` that lets the verification begin."""

DENY = '{"action":"deny"}'
"""The answer that ends it; Sinch's answer to the start is then ``DENIED``, "Denied by callback"."""

SMS_RESULTS: Mapping[str, ReceiptStatus] = {
    "successful": ReceiptStatus.DELIVERED,
    "failed": ReceiptStatus.UNDELIVERED,
}
"""By lower-case ``smsResult``."""

_NOT_REACHED = frozenset({VerificationStatus.DENIED, VerificationStatus.ERROR})
_ID = re.compile(r"[!-~]{1,100}")
_PATH = re.compile(r"https?://[^/?#]*(?P<path>/[^?#]*)?(?:[?#].*)?", re.DOTALL)


def check_event(request: ReceiptRequest, key: str, secret: bytes, now: datetime) -> None:
    """Prove that Sinch sent it, and just now.

    Args:
        request: As it arrived, with the public URL.
        key: Application key.
        secret: Decoded application secret.
        now: Aware.

    Raises:
        ReceiptRefused: It is not signed with the secret, or too old.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    named, _, given = credentials.strip().partition(":")
    timestamp = request.headers.get("x-timestamp", "")
    found = _PATH.fullmatch(request.url)
    if scheme.lower() != "application" or found is None:
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "it is not signed, or its URL is missing")
    text = string_to_sign(
        method=request.method,
        path=found["path"] or "/",
        content_type=request.headers.get("content-type", ""),
        timestamp=timestamp,
        body=request.body,
    )
    right = signature(secret, text.encode(errors="replace").decode())
    ours = hmac.compare_digest(named.encode(errors="replace"), key.encode())
    if not hmac.compare_digest(given.encode(errors="replace"), right.encode()) or not ours:
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is not that of this app and URL")
    sent_at = _moment(timestamp)
    if sent_at is None or abs(now - sent_at) > TOLERANCE:
        raise ReceiptRefused(
            ReceiptFault.STALE, "its time is more than five minutes from now; is this host's clock right?"
        )


def read_event(request: ReceiptRequest) -> Receipt:
    """What an event says whose signature is proven.

    Raises:
        ReceiptRefused: It is no event of Sinch Verification.
    """
    event: Any = None
    for text in readings(request.body, request.headers.get("content-type", "")):
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(text, parse_float=Decimal)
            break
    if not isinstance(event, dict) or not _id_in(event, "id") or not isinstance(event.get("event"), str):
        raise ReceiptRefused(ReceiptFault.MALFORMED, "it is no event with the id of a verification")
    match event["event"].lower():
        case "verificationrequestevent":
            return attrs.evolve(_receipt(event), answer=ALLOW, denial=DENY, price=_price(event.get("price")))
        case "verificationsmsdeliveredevent":
            return _sms(event)
        case "verificationresultevent":
            return _result(event)
    return _receipt(event)


def _sms(event: dict[str, Any]) -> Receipt:
    status = SMS_RESULTS.get(str(event.get("smsResult")).lower())
    if status is ReceiptStatus.UNDELIVERED:
        return _receipt(event, status, "sms failed", ErrorKind.UNAVAILABLE)
    return _receipt(event, status)


def _result(event: dict[str, Any]) -> Receipt:
    error = error_of_start(event) if status_of(event) in _NOT_REACHED else None
    if error is None:
        return _receipt(event)
    return _receipt(event, ReceiptStatus.UNDELIVERED, error.provider_code, error.kind)


def _receipt(
    event: dict[str, Any], status: ReceiptStatus | None = None, provider_code: str = "", kind: ErrorKind | None = None
) -> Receipt:
    return Receipt(
        status=status,
        reference=_id_in(event, "id"),
        delivery_id=_id_in(event, "reference"),
        provider_code=provider_code,
        kind=kind,
    )


def _price(told: Any) -> Price | None:
    return Price.read(told.get("amount"), told.get("currencyId")) if isinstance(told, dict) else None


def _id_in(event: dict[str, Any], name: str) -> str:
    """An id as Sinch and we write them; empty: there is none."""
    value = event.get(name)
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
