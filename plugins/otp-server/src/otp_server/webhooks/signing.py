"""Signatures of Standard Webhooks: HMAC-SHA-256 over id, time and body, one for each secret in use."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime

__all__ = ["headers_of", "is_secret"]

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes, as the specification says


def is_secret(text: str) -> bool:
    """Whether it is a secret: ``whsec_`` and base64 of 24 to 64 bytes."""
    try:
        return text.startswith(_PREFIX) and _LEAST <= len(_key(text)) <= _MOST
    except (binascii.Error, ValueError):
        return False


def headers_of(event_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers by which a receiver proves that a body is ours, and fresh."""
    stamp = str(int(at.timestamp()))
    signed = b".".join([event_id.encode(), stamp.encode(), body])
    made = [base64.b64encode(hmac.digest(_key(secret), signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{one}" for one in made),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
