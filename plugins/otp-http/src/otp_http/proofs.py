"""What proves that a receipt is the gateway's: checked in constant time, and for the simulator, made."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from otp_http.placeholders import LEFT_OUT, Template, compiled
from otp_http.requests import encoded, keyed
from otp_http.sections import Proof
from otpcore.providers import ReceiptFault, ReceiptRefused, ReceiptRequest

__all__ = ["SIGNED_PARTS", "check", "filled", "secret_names", "signature"]

SIGNED_PARTS = frozenset({"body", "timestamp", "url", "method"})
"""What may be signed."""

_TIME = re.compile("[0-9]{1,11}")


def filled(text: str, settings: Mapping[str, str]) -> str:
    """A text of the table with the settings of the instance in it; empty where they are."""
    node = compiled(text)
    said = node.fill(settings) if isinstance(node, Template) else node
    return "" if said is LEFT_OUT else str(said)


def secret_names(proof: Proof) -> tuple[str, ...]:
    """The texts of a proof that hold settings."""
    return tuple(name for name in ("key", "prefix", "user", "password", "value") if getattr(proof, name))


def check(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str], now: datetime) -> None:
    """See that a request is the gateway's.

    Args:
        proof: What proves it.
        request: As it arrived; where its address is the proof, otpcore has proven that before.
        settings: Of the instance, by name.
        now: Aware UTC.

    Raises:
        ReceiptRefused: It is not proven, or too old.
    """
    _CHECKS[proof.kind](proof, request, settings)
    if proof.timestamp:
        text = request.headers.get(proof.timestamp.lower(), "")
        if not _TIME.fullmatch(text) or abs(now.timestamp() - int(text)) > proof.tolerance:
            raise ReceiptRefused(ReceiptFault.STALE, "its signed time is too far from now")


def signature(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str], private: str = "") -> dict[str, str]:
    """The headers that prove a request, as the gateway makes them; for the simulator.

    Args:
        proof: What proves it.
        request: What is signed; with the header of its time, where there is one.
        settings: Of the instance, by name.
        private: Base64 of the private key, for Ed25519.
    """
    match proof.kind:
        case "hmac":
            digest = keyed(_key(proof, settings), _said(proof, request), proof.hash)
            return {proof.header: filled(proof.prefix, settings) + encoded(digest, proof.encoding)}
        case "ed25519":
            key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
            return {proof.header: encoded(key.sign(_said(proof, request)), "base64")}
        case "basic":
            return {"Authorization": _basic(proof, settings)}
        case "header":
            return {proof.header: filled(proof.value, settings)}
        case _:
            return {}


def _check_hmac(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    _set(proof.key, settings)
    (wanted,) = signature(proof, request, settings).values()
    _same(_header(proof, request), wanted)


def _check_ed25519(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    key, is_genuine = _set(proof.key, settings), True
    try:
        given = base64.b64decode(_header(proof, request), validate=True)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(given, _said(proof, request))
    except (InvalidSignature, ValueError):  # ValueError: not Base64, or of another length
        is_genuine = False
    if not is_genuine:
        raise _forged()


def _check_basic(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    _set(proof.password, settings)
    _same(request.headers.get("authorization", ""), _basic(proof, settings))


def _check_header(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    _set(proof.value, settings)
    _same(_header(proof, request), filled(proof.value, settings))


def _check_query(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    wanted = _set(proof.value, settings)
    try:
        fields = dict(parse_qsl(urlsplit(request.url).query))
    except ValueError:
        fields = {}
    _same(fields.get(proof.field, ""), wanted)


def _check_address(_: Proof, request: ReceiptRequest, __: Mapping[str, str]) -> None:
    if not request.delivery_id:
        raise _forged()


_CHECKS: Mapping[str, Callable[[Proof, ReceiptRequest, Mapping[str, str]], None]] = {
    "address": _check_address,
    "hmac": _check_hmac,
    "ed25519": _check_ed25519,
    "basic": _check_basic,
    "header": _check_header,
    "query": _check_query,
}


def _set(text: str, settings: Mapping[str, str]) -> str:
    """A secret that is there: an empty one would be everybody's."""
    node = compiled(text)
    names = node.names if isinstance(node, Template) else ()
    missing = [name for name in names if not settings.get(name)]
    if missing:
        raise ReceiptRefused(
            ReceiptFault.SIGNATURE, f"the setting {missing[0]} is not set, by which it would be proven"
        )
    return filled(text, settings)


def _same(given: str, wanted: str) -> None:
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise _forged()


def _forged() -> ReceiptRefused:
    return ReceiptRefused(ReceiptFault.SIGNATURE, "it is not proven to be the gateway's")


def _header(proof: Proof, request: ReceiptRequest) -> str:
    return request.headers.get(proof.header.lower(), "")


def _basic(proof: Proof, settings: Mapping[str, str]) -> str:
    pair = f"{filled(proof.user, settings)}:{filled(proof.password, settings)}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _key(proof: Proof, settings: Mapping[str, str]) -> bytes:
    key = filled(proof.key, settings).encode()
    match proof.key_encoding:
        case "sha256":
            return hashlib.sha256(key).digest()
        case "base64":
            try:
                return base64.b64decode(key, validate=True)
            except binascii.Error:
                raise ReceiptRefused(ReceiptFault.SIGNATURE, "the key in the settings is not Base64") from None
        case _:
            return key


def _said(proof: Proof, request: ReceiptRequest) -> bytes:
    """What is signed: the bytes of the body are put in as they are."""
    parts: Mapping[str, bytes] = {
        "{body}": request.body,
        "{timestamp}": request.headers.get(proof.timestamp.lower(), "").encode() if proof.timestamp else b"",
        "{url}": request.url.encode(),
        "{method}": request.method.encode(),
    }
    pieces = re.split(r"(\{[a-z]+\})", proof.signed)
    return b"".join(parts[piece] if piece in parts else piece.encode() for piece in pieces)
