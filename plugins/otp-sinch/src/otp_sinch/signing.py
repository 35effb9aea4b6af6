"""Application-signed requests: what Sinch signs, and how.

The signature is Base64(HMAC-SHA256(secret, string to sign)); the string to sign is five lines joined by a line feed:
the verb, Base64(MD5(body)) or an empty line without a body, the Content-Type as it is sent, ``x-timestamp:`` with the
header's value, and the path as it is sent, without host and query.

Source: developers.sinch.com, "Application signed request". The example on that page prints the digest and signature of
an older example (``/v1/sms/…``), not those of the request it shows; the tests hold both, the right one recomputed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime

__all__ = ["content_md5", "decode_secret", "signature", "signed_headers", "string_to_sign"]


def decode_secret(text: str) -> bytes:
    """The key bytes of a Base64 application secret; missing ``=`` at the end is tolerated, as Sinch's Java SDK does.

    Raises:
        ValueError: It is empty or not Base64. The message does not quote it.
    """
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not secret:
        # Outside the handler: the original exception must not travel along as context.
        raise ValueError("must be Base64, exactly as the Sinch dashboard shows it")
    return secret


def content_md5(body: bytes) -> str:
    """Base64(MD5(body)), or the empty text without a body."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() if body else ""


def string_to_sign(*, method: str, path: str, content_type: str, timestamp: str, body: bytes) -> str:
    """The five lines. ``path`` is taken byte for byte as it is sent: a raw ``+`` stays a ``+``."""
    return "\n".join((method.upper(), content_md5(body), content_type, f"x-timestamp:{timestamp}", path))


def signature(secret: bytes, text: str) -> str:
    """Base64(HMAC-SHA256(secret, text))."""
    return base64.b64encode(hmac.digest(secret, text.encode(), "sha256")).decode()


def signed_headers(
    key: str, secret: bytes, *, method: str, path: str, content_type: str, body: bytes, now: datetime
) -> dict[str, str]:
    """The headers of one signed request, Content-Type among them: what was signed is what has to be sent.

    Args:
        key: Application key.
        secret: Decoded application secret.
        method: HTTP verb.
        path: As sent.
        content_type: As sent.
        body: As sent.
        now: Aware time of the request; Sinch refuses stale ones.
    """
    timestamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = string_to_sign(method=method, path=path, content_type=content_type, timestamp=timestamp, body=body)
    return {
        "Authorization": f"Application {key}:{signature(secret, text)}",
        "Content-Type": content_type,
        "x-timestamp": timestamp,
    }
