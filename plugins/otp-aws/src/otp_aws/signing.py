"""Signature Version 4, as far as a JSON service of AWS needs it: a POST to ``/`` without a query, signed as a whole.

Four steps: the request in one form, a text about it, a key that is good for one day, region and service, and the HMAC
of the text under the key. What is signed goes out as it is: the body byte for byte, and the header values, which the
caller writes without double spaces.

Source: docs.aws.amazon.com, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs

__all__ = ["Credentials", "signed_headers"]

_ALGORITHM = "AWS4-HMAC-SHA256"


@attrs.frozen(kw_only=True)
class Credentials:
    """Who signs.

    Args:
        access_key_id: Names the key; it goes out with each request.
        secret_access_key: Signs, and never goes out.
        session_token: Belongs to keys that are lent for some hours; empty with keys that last.
        expires_at: When they end, aware; None: not by themselves.
    """

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str = attrs.field(default="", repr=False)
    expires_at: datetime | None = None


def signed_headers(
    headers: Mapping[str, str],
    body: bytes,
    *,
    host: str,
    region: str,
    service: str,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """The headers of a POST to ``/``, all of them signed, with the signature among them.

    Args:
        headers: Of this request, such as ``Content-Type``.
        body: Goes out byte for byte.
        host: The header ``Host`` as the HTTP client sends it: with its port, unless that is the usual one.
        region: Where the service is, such as ``"eu-west-1"``.
        service: Its name for signatures, such as ``"sms-voice"``.
        credentials: Who signs.
        now: Aware; AWS takes a request up to five minutes from its own time.
    """
    moment = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    token = {"X-Amz-Security-Token": credentials.session_token} if credentials.session_token else {}
    sent = {**headers, "X-Amz-Date": moment, **token}
    signed = sorted((name.lower(), value) for name, value in {**sent, "Host": host}.items())
    names = ";".join(name for name, _ in signed)
    lines = [f"{name}:{value}" for name, value in signed]
    request = "\n".join(["POST", "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    said = f"Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": f"{_ALGORITHM} {said}"}
