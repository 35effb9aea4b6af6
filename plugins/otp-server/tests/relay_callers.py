"""Auth systems as they call: their recorded messages, and how each proves itself."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
from standardwebhooks import Webhook

PAYLOADS = Path(__file__).parent / "relay_payloads"
SIGNING, NEXT_SIGNING = "v1,whsec_" + "c2VjcmV0" * 4, "v1,whsec_" + "bmV4dCEh" * 4
SHARED, NEXT_SHARED = "a-secret-that-is-long-enough", "another-secret-long-enough"
OTHER = "v1,whsec_" + "b3RoZXIh" * 4
SETTINGS = {
    name: {
        "secrets": [SIGNING, NEXT_SIGNING] if name in ("supabase", "auth0") else [SHARED, NEXT_SHARED],
        "kind": "test",
    }
    for name in ("supabase", "kratos", "auth0", "authentik", "zitadel", "logto")
}


def supabase(body: bytes, secrets: Iterable[str], at: datetime) -> dict[str, str]:
    """As ``hookshttp.go``: another id at each try, and a comma and a blank between signatures."""
    event = f"{hash((body, at)):x}"
    signatures = [Webhook(one.removeprefix("v1,")).sign(event, at, body.decode()) for one in secrets]
    return {
        "webhook-id": event,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": ", ".join(signatures),
        "accept-encoding": "identity",
    }


def auth0(body: bytes, secrets: Iterable[str], at: datetime) -> dict[str, str]:
    """As the Action of docs/relay/auth0.md, which test_relay_pages.py runs."""
    (secret,) = secrets
    return supabase(body, [secret], at)


def zitadel(body: bytes, secrets: Iterable[str], at: datetime) -> dict[str, str]:
    """As ``signing.go``."""
    stamp = str(int(at.timestamp()))
    made = [hmac.digest(one.encode(), f"{stamp}.".encode() + body, "sha256").hex() for one in secrets]
    return {"ZITADEL-Signature": ",".join([f"t={stamp}", *(f"v1={one}" for one in made)])}


def bearer(_: bytes, secrets: Iterable[str], __: datetime) -> dict[str, str]:
    """Logto as its page says, and authentik."""
    (secret,) = secrets
    return {"Authorization": f"Bearer {secret}"}


def basic(_: bytes, secrets: Iterable[str], __: datetime) -> dict[str, str]:
    """Kratos, and authentik where it is set so."""
    (secret,) = secrets
    return {"Authorization": "Basic " + base64.b64encode(f"otpcore:{secret}".encode()).decode()}


@attrs.frozen(kw_only=True)
class Caller:
    """One auth system."""

    name: str
    proves: Callable[[bytes, Iterable[str], datetime], dict[str, str]]
    code: str = "561166"
    is_signing: bool = False
    secret: str = SHARED

    @property
    def document(self) -> dict[str, Any]:
        """Its file."""
        document: dict[str, Any] = json.loads((PAYLOADS / f"{self.name}.json").read_text(encoding="utf-8"))
        return document

    def body(self, phone: str) -> dict[str, Any]:
        """Its recorded message, to this number."""
        text = json.dumps(self.document["body"]).replace("PHONE_WITHOUT_PLUS", phone[1:]).replace("PHONE", phone)
        body: dict[str, Any] = json.loads(text)
        return body

    def call(
        self,
        url: str,
        body: Any,
        *,
        app: str = "/shop",
        secrets: Iterable[str] | None = None,
        at: datetime | None = None,
        **headers: str,
    ) -> httpx.Response:
        """Post a body, or bytes, as the auth system does."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        proof = self.proves(sent, [self.secret] if secrets is None else secrets, at or datetime.now(UTC))
        address = f"{url}/v1/relay/{self.name}{app}"
        headers = {"Content-Type": "application/json", **proof, **headers}
        return httpx.post(address, content=sent, headers=headers, timeout=60, verify=False)  # there is no TLS


SUPABASE = Caller(name="supabase", proves=supabase, is_signing=True, secret=SIGNING)
KRATOS = Caller(name="kratos", proves=basic)
AUTH0 = Caller(name="auth0", proves=auth0, is_signing=True, secret=SIGNING)
AUTHENTIK = Caller(name="authentik", proves=bearer)
ZITADEL = Caller(name="zitadel", proves=zitadel, is_signing=True, code="56116677")
LOGTO = Caller(name="logto", proves=bearer)
CALLERS = (SUPABASE, KRATOS, AUTH0, AUTHENTIK, ZITADEL, LOGTO)
