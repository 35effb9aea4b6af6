"""Reports as vendors sign them: made here, and believed by the vendor's own SDK before they are stored.

Every key is made up. The time of each is that of ``now``, to which the clock of the SDK is set.
"""
# ruff: noqa: PLC0415 - one SDK is installed at a time

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import attrs

__all__ = ["SIGNERS", "Signer"]

NOW = 1_796_083_200  # 2026-12-01T00:00:00Z
SEED = bytes(range(32))


@attrs.frozen(kw_only=True)
class Signer:
    """How one vendor signs.

    Args:
        settings: Of the instance, by the names of the table.
        sign: The headers of a body.
        believe: Whether the SDK believes body and headers.
    """

    settings: Callable[[], Mapping[str, str]]
    sign: Callable[[bytes], dict[str, str]]
    believe: Callable[[bytes, Mapping[str, str]], bool]


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


def _fixed(**settings: str) -> Callable[[], Mapping[str, Any]]:
    return lambda: settings


SIGNERS = {
    "telesign": Signer(settings=_fixed(), sign=_telesign, believe=_telesign_believes),
    "telnyx": Signer(settings=lambda: {"public_key": _telnyx_key()}, sign=_telnyx, believe=_telnyx_believes),
    "telegram": Signer(settings=_fixed(), sign=_telegram, believe=_telegram_believes),
    "whatsapp": Signer(settings=_fixed(app_secret="made-up-app-secret"), sign=_whatsapp, believe=_whatsapp_believes),
}
"""By the name of the gateway's table. MessageBird signs with a JWT and Plivo sorted fields, which a table cannot say."""
