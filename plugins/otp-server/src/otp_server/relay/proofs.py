"""How an auth system proves itself: a signature over time and body, or a secret that it sends along."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from otp_server.problems import ProblemError
from otp_server.relay.adapter import Call
from otp_server.webhooks.signing import headers_of

__all__ = ["bears_a_secret", "is_signed_as_standard_webhooks", "is_signed_as_zitadel"]

_TOLERANCE = 300.0  # seconds, as Standard Webhooks and ZITADEL have it
_STAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_MOST_SIGNATURES = 20
_ZITADEL = re.compile(r"(t|v1)=([0-9a-f]{1,64})")


def is_signed_as_standard_webhooks(call: Call, secrets: Sequence[str]) -> None:
    """``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``; secrets may begin with ``v1,``, as Supabase has them.

    Supabase puts a comma and a blank between several signatures, where the specification has a blank.

    Raises:
        ProblemError: No secret signed this body, or one did at another time.
    """
    stamp = call.headers.get("webhook-timestamp", "")
    given = _SIGNATURE.findall(call.headers.get("webhook-signature", ""))[:_MOST_SIGNATURES]
    at = _time(stamp)
    plain = [one.removeprefix("v1,") for one in secrets]
    ours = headers_of(call.headers.get("webhook-id", ""), at, call.body, plain)["webhook-signature"].split()
    _check(any(hmac.compare_digest(one, other) for one in ours for other in given))
    _check_age(at, call.now)


def is_signed_as_zitadel(call: Call, secrets: Sequence[str]) -> None:
    """``ZITADEL-Signature: t=…,v1=…``: HMAC-SHA-256 over the time, a dot and the body, in hexadecimal digits.

    Raises:
        ProblemError: No secret signed this body, or one did at another time.
    """
    parts = _ZITADEL.findall(call.headers.get("zitadel-signature", ""))[:_MOST_SIGNATURES]
    stamp = next((value for name, value in parts if name == "t"), "")
    at = _time(stamp)
    signed = stamp.encode() + b"." + call.body
    ours = [hmac.digest(secret.encode(), signed, "sha256").hex() for secret in secrets]
    _check(any(hmac.compare_digest(one, value) for one in ours for name, value in parts if name == "v1"))
    _check_age(at, call.now)


def bears_a_secret(call: Call, secrets: Sequence[str]) -> None:
    """``Authorization: Bearer`` with a secret, or ``Basic`` with one as the password of any user.

    Raises:
        ProblemError: There is none that is taken.
    """
    scheme, _, rest = call.headers.get("authorization", "").partition(" ")
    given = rest.strip() if scheme.lower() == "bearer" else _password(rest) if scheme.lower() == "basic" else ""
    _check(any(hmac.compare_digest(one.encode(), given.encode()) for one in secrets))


def _password(text: str) -> str:
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _time(stamp: str) -> datetime:
    seconds = int(stamp) if _STAMP.fullmatch(stamp) else 0
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _check(is_proven: bool) -> None:
    if not is_proven:
        raise ProblemError("unauthorized")


def _check_age(at: datetime, now: datetime) -> None:
    if abs((now - at).total_seconds()) > _TOLERANCE:
        raise ProblemError("stale")
