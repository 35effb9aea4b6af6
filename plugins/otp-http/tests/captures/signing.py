"""Reports as vendors sign them: made here, and believed by the vendor's own SDK before they are stored.

Every key is made up. The time of each is that of ``now``, to which the clock of the SDK is set.
"""
# ruff: noqa: PLC0415 - one SDK is installed at a time

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

__all__ = ["SIGNERS", "Signer"]

NOW = 1_796_083_200  # 2026-12-01T00:00:00Z
SEED = bytes(range(32))
URL = "https://otp.example/receipts/http"


@attrs.frozen(kw_only=True)
class Signed:
    """A request as the vendor makes it."""

    method: str = "POST"
    url: str = URL
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: str = ""

    def changed(self) -> Signed:
        """The same with another report in it."""
        if self.method == "GET":
            return attrs.evolve(self, url=self.url + "1")
        return attrs.evolve(self, body=self.body + " ")


@attrs.frozen(kw_only=True)
class Signer:
    """How one vendor signs.

    Args:
        settings: Of the instance, by the names of the table.
        sign: The request that a documented report is, signed.
        believe: Whether the SDK believes it.
    """

    settings: Callable[[], Mapping[str, str]]
    sign: Callable[[Mapping[str, Any]], Signed]
    believe: Callable[[Signed], bool]


def _telesign(body: bytes) -> dict[str, str]:
    digest = hmac.new(base64.b64decode("bWFkZS11cA=="), body, hashlib.sha256).digest()
    return {"Authorization": f"TSA 0ADE0000-0000-0000-0000-000000000000:{base64.b64encode(digest).decode()}"}


def _telesign_believes(body: bytes, headers: Mapping[str, str]) -> bool:
    from telesign.util import verify_telesign_callback_signature

    signature = headers["Authorization"].rpartition(":")[2]
    return bool(verify_telesign_callback_signature("bWFkZS11cA==", signature, body.decode()))


def _telnyx_key() -> str:
    from nacl.signing import SigningKey

    return base64.b64encode(SigningKey(SEED).verify_key.encode()).decode()


def _telnyx(body: bytes) -> dict[str, str]:
    from nacl.signing import SigningKey

    signature = SigningKey(SEED).sign(f"{NOW}|".encode() + body).signature
    return {"telnyx-signature-ed25519": base64.b64encode(signature).decode(), "telnyx-timestamp": str(NOW)}


def _telnyx_believes(body: bytes, headers: Mapping[str, str]) -> bool:
    from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature

    with mock.patch.object(time, "time", return_value=float(NOW)):
        try:
            verify_webhook_signature(body, headers, _telnyx_key())
        except WebhookVerificationError:
            return False
    return True


def _telegram(body: bytes) -> dict[str, str]:
    key = hashlib.sha256(b"made-up-token").digest()
    signature = hmac.new(key, f"{NOW}\n".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Request-Timestamp": str(NOW), "X-Request-Signature": signature}


def _telegram_believes(body: bytes, headers: Mapping[str, str]) -> bool:
    from telegram_gateway_verification import verify_callback_signature

    return verify_callback_signature(
        api_token="made-up-token",
        timestamp_header=headers["X-Request-Timestamp"],
        signature_header=headers["X-Request-Signature"],
        raw_body=body,
        now=NOW,
    )


def _whatsapp(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(b"made-up-app-secret", body, hashlib.sha256).hexdigest()}


def _whatsapp_believes(body: bytes, headers: Mapping[str, str]) -> bool:
    from pywa.utils import webhook_updates_validator

    return webhook_updates_validator("made-up-app-secret", body, headers["X-Hub-Signature-256"])


def _vonage(report: Mapping[str, Any]) -> Signed:
    """With the signature that Vonage's documents describe, the fields in the order in which they stand in the report."""
    method, fields = report["method"], {**report.get("query", report.get("form", {})), "timestamp": str(NOW)}
    said = "".join(f"&{name}={fields[name].translate({38: 95, 61: 95})}" for name in sorted(fields))
    fields["sig"] = hmac.new(b"made-up-signature-secret", said.encode(), hashlib.sha256).hexdigest().upper()
    if method == "GET":
        return Signed(method="GET", url=f"{URL}?{urlencode(fields)}")
    return Signed(body=urlencode(fields))


def _vonage_believes(signed: Signed) -> bool:
    from vonage_http_client.auth import Auth

    auth = Auth(api_key="a1b2c3d4", signature_secret="made-up-signature-secret", signature_method="sha256")
    text = urlsplit(signed.url).query if signed.method == "GET" else signed.body
    return bool(auth.check_signature(dict(parse_qsl(text, keep_blank_values=True))))


def _messagebird(report: Mapping[str, Any]) -> Signed:
    from jwt import encode

    url = f"{URL}?{urlencode(report['query'])}"
    claims = {"iss": "MessageBird", "nbf": NOW - 1, "exp": NOW + 59, "jti": "e92f2a39-1c13-4b37-9f0e-4a7fd0a0a7f4"}
    claims["url_hash"] = hashlib.sha256(url.encode()).hexdigest()
    token = encode(claims, "made-up-signing-key-of-32-letters", algorithm="HS256")
    return Signed(method="GET", url=url, headers={"MessageBird-Signature-JWT": token})


def _messagebird_believes(signed: Signed) -> bool:
    import datetime as dt

    import jwt.api_jwt
    from messagebird.error import ValidationError
    from messagebird.request_validator import RequestValidator

    class Then(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.fromtimestamp(NOW, tz)

    validator = RequestValidator("made-up-signing-key-of-32-letters")
    with mock.patch.object(jwt.api_jwt, "datetime", Then):
        try:
            validator.validate_signature(signed.headers["MessageBird-Signature-JWT"], signed.url, signed.body.encode())
        except ValidationError:
            return False
    return True


def _of_body(sign: Callable[[bytes], dict[str, str]]) -> Callable[[Mapping[str, Any]], Signed]:
    """How a vendor signs the JSON that it posts."""

    def signed(report: Mapping[str, Any]) -> Signed:
        body = json.dumps(report["json"], separators=(",", ":"))
        return Signed(headers=sign(body.encode()), body=body)

    return signed


def _believing(believes: Callable[[bytes, Mapping[str, str]], bool]) -> Callable[[Signed], bool]:
    return lambda signed: believes(signed.body.encode(), signed.headers)


def _fixed(**settings: str) -> Callable[[], Mapping[str, Any]]:
    return lambda: settings


SIGNERS = {
    "telesign": Signer(settings=_fixed(), sign=_of_body(_telesign), believe=_believing(_telesign_believes)),
    "telnyx": Signer(
        settings=lambda: {"public_key": _telnyx_key()}, sign=_of_body(_telnyx), believe=_believing(_telnyx_believes)
    ),
    "telegram": Signer(settings=_fixed(), sign=_of_body(_telegram), believe=_believing(_telegram_believes)),
    "whatsapp": Signer(
        settings=_fixed(app_secret="made-up-app-secret"),
        sign=_of_body(_whatsapp),
        believe=_believing(_whatsapp_believes),
    ),
    "vonage_sms": Signer(
        settings=_fixed(signature_secret="made-up-signature-secret"), sign=_vonage, believe=_vonage_believes
    ),
    "messagebird": Signer(
        settings=_fixed(signing_key="made-up-signing-key-of-32-letters"),
        sign=_messagebird,
        believe=_messagebird_believes,
    ),
}
"""By the name of the gateway's table. What Plivo signs of a message says nothing of the report."""
