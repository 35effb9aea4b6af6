"""Signatures of Twilio's callbacks: made and checked.

Base64(HMAC(token, URL and parameters)): the URL as Twilio called it, without a fragment, followed by name and value of each
parameter of the form, sorted, each pair once. With a JSON body the URL carries the SHA-256 of the body as ``bodySHA256`` and
nothing follows it. Twilio's back end sometimes leaves the port out and sometimes writes the default one; both count.

The header ``X-Twilio-Webhooks-Signature-Settings`` names the algorithm; without it the algorithm is HMAC-SHA1.

Sources: twilio.com/docs/usage/security; the ``RequestValidator`` of Twilio's Python SDK 9.13.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import parse_qs, parse_qsl

from otpcore.providers import ReceiptFault, ReceiptRefused, ReceiptRequest

__all__ = ["BODY_HASH", "check_signature", "form_of", "signature", "signed_urls"]

BODY_HASH = "bodySHA256"

_ALGORITHMS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": "443", "http": "80"}
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/?#:\[\]]*|[^/?#\[\]]*\[[^/?#\[\]]*\])(?::(?P<port>[0-9]*))?(?P<rest>[/?].*)?"
)
_MOST_FIELDS = 200  # Twilio sends some twenty


def check_signature(request: ReceiptRequest, token: str) -> None:
    """Prove that Twilio sent it.

    Args:
        request: As it arrived, with the public URL.
        token: The auth token of the account, or the secret of a shared key.

    Raises:
        ReceiptRefused: It is not signed with the token, or cannot be read.
    """
    if not token:
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "no token is configured to check it with; see callback_auth_token")
    given = request.headers.get("x-twilio-signature", "").encode(errors="replace")
    algorithm = _algorithm(request.headers.get("x-twilio-webhooks-signature-settings", ""))
    urls = signed_urls(request.url)
    body_hash = _body_hash(request.url)
    if not urls or algorithm is None or not given:
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature, its algorithm or the URL is missing")
    pairs = form_of(request) if body_hash is None else ()
    rights = [signature(token, url, pairs, algorithm).encode() for url in urls]
    matches = [hmac.compare_digest(given, right) for right in rights]  # all of them, whichever is right
    whole = body_hash is None or hmac.compare_digest(body_hash, hashlib.sha256(request.body).hexdigest().encode())
    if not (any(matches) and whole):
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is not that of this account and URL")


def signature(token: str, url: str, pairs: Iterable[tuple[str, str]] = (), algorithm: str = "sha1") -> str:
    """The signature of a call to a URL with these parameters."""
    text = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(errors="replace"), algorithm)).decode()


def signed_urls(url: str) -> tuple[str, ...]:
    """What Twilio may have signed: the URL without port, and with it; nothing where it is no URL."""
    found = _URL.fullmatch(url.partition("#")[0])
    if found is None:
        return ()
    scheme, host, rest = found["scheme"], found["host"], found["rest"] or ""
    port = found["port"] or _DEFAULT_PORTS[scheme]
    return f"{scheme}://{host}{rest}", f"{scheme}://{host}:{port}{rest}"


def form_of(request: ReceiptRequest) -> tuple[tuple[str, str], ...]:
    """The fields of a form body.

    Raises:
        ReceiptRefused: It is not one.
    """
    try:
        return tuple(parse_qsl(request.body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        pass
    # Outside the handler: the original quotes the body, and must not travel along as context.
    raise ReceiptRefused(ReceiptFault.MALFORMED, "the body is not a form")


def _algorithm(settings: str) -> str | None:
    """The hash that the header names; None: one that we do not know."""
    named = [
        value.strip()
        for name, _, value in (part.partition("=") for part in settings.split(","))
        if name.strip() == "algorithm"
    ]
    return _ALGORITHMS.get(next((name for name in named if name), "HMAC_SHA1").upper())


def _body_hash(url: str) -> bytes | None:
    found = parse_qs(url.partition("#")[0].partition("?")[2]).get(BODY_HASH)
    return found[0].encode(errors="replace") if found else None
