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
from otp_http.receipt_sections import Proof, Receipts
from otp_http.requests import encoded, keyed
from otp_http.signing import covered, field_of, signed_time
from otp_http.tokens import claims_in, token_of
from otpcore.providers import ReceiptFault, ReceiptRefused, ReceiptRequest

__all__ = ["BODY_DIGEST", "URL_DIGEST", "check", "filled", "hmac_of", "proof_of", "secret_names", "signature"]

BODY_DIGEST, URL_DIGEST = "{body_sha256}", "{url_sha256}"
"""What a claim may be, besides settings."""

_TIME = re.compile("[0-9]{1,11}")
_LEEWAY = 1  # second


def filled(text: str, settings: Mapping[str, str]) -> str:
    """A text of the table with the settings of the instance in it; empty where they are."""
    node = compiled(text)
    said = node.fill(settings) if isinstance(node, Template) else node
    return "" if said is LEFT_OUT else str(said)


def secret_names(proof: Proof) -> tuple[str, ...]:
    """The texts of a proof that hold settings."""
    return tuple(name for name in ("key", "prefix", "user", "password", "value") if getattr(proof, name))


def proof_of(receipts: Receipts, settings: Mapping[str, str]) -> Proof:
    """What proves the reports of an instance with these settings: its vendor's signature where its key is set."""
    signed = receipts.signature
    return signed if signed is not None and not _missing(signed.key, settings) else receipts.proof


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
    if proof.kind == "jwt":
        _check_claims(proof, request, settings, now)
        return
    _CHECKS[proof.kind](proof, request, settings)
    if proof.timestamp or proof.timestamp_field:
        text = signed_time(proof, request)
        _fresh(proof, int(text) if _TIME.fullmatch(text) else None, now)


def signature(
    proof: Proof, request: ReceiptRequest, settings: Mapping[str, str], now: datetime, private: str = ""
) -> dict[str, str]:
    """The headers that prove a request, as the gateway makes them; for the simulator.

    Args:
        proof: What proves it.
        request: What is signed; with the header of its time, where there is one.
        settings: Of the instance, by name.
        now: Aware UTC, for a token.
        private: Base64 of the private key, for Ed25519.
    """
    match proof.kind:
        case "hmac" if proof.header:
            return {proof.header: hmac_of(proof, request, settings)}
        case "jwt":
            issued = int(now.timestamp())
            said = {name: value for name, value in _claims(proof, request, settings).items() if value}
            claims = {"iat": issued, "nbf": issued, "exp": issued + proof.tolerance, **said}
            token = token_of(claims, _key(proof, settings), proof.hash)
            return {proof.header: filled(proof.prefix, settings) + token}
        case "ed25519":
            key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
            return {proof.header: encoded(key.sign(covered(proof, request)), "base64")}
        case "basic":
            return {"Authorization": _basic(proof, settings)}
        case "header":
            return {proof.header: filled(proof.value, settings)}
        case _:
            return {}


def hmac_of(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> str:
    """The HMAC of a request as the gateway writes it."""
    digest = keyed(_key(proof, settings), covered(proof, request), proof.hash)
    return filled(proof.prefix, settings) + encoded(digest, proof.encoding)


def _check_hmac(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    _set(proof.key, settings)
    wanted = hmac_of(proof, request, settings)
    given = field_of(request, proof.field) if proof.field else _header(proof, request)
    if proof.encoding == "hex":  # some write it in capitals
        given, wanted = given.lower(), wanted.lower()
    several = [each.strip() for each in given.split(proof.separator)] if proof.separator else [given]
    if not any(_is_same(each, wanted) for each in several):
        raise _forged()


def _check_claims(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str], now: datetime) -> None:
    """Whether a token of this vendor says all that it must of this request, and is of now."""
    _set(proof.key, settings)
    given, prefix = _header(proof, request), filled(proof.prefix, settings)
    token = given.removeprefix(prefix)
    claims = claims_in(token, _key(proof, settings), proof.hash) if given.startswith(prefix) else None
    if claims is None:
        raise _forged()
    for name, wanted in _claims(proof, request, settings).items():
        said = claims.get(name, "")
        _same(said if isinstance(said, str) else "?", wanted)
    times = {name: claims.get(name) for name in ("iat", "nbf", "exp")}
    if any(type(moment) is not int for moment in times.values() if moment is not None):
        raise _forged()
    _fresh(proof, times["nbf"] if times["iat"] is None else times["iat"], now)
    if times["exp"] is not None and now.timestamp() > times["exp"] + _LEEWAY:
        raise ReceiptRefused(ReceiptFault.STALE, "its token has expired")


def _claims(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> dict[str, str]:
    """What a token of this request says; the digest of a body that is empty is not said."""
    digests = {
        BODY_DIGEST: hashlib.sha256(request.body).hexdigest() if request.body else "",
        URL_DIGEST: hashlib.sha256(request.url.encode()).hexdigest(),
    }
    return {name: digests[text] if text in digests else filled(text, settings) for name, text in proof.claims.items()}


def _fresh(proof: Proof, signed_at: int | None, now: datetime) -> None:
    if signed_at is None or abs(now.timestamp() - signed_at) > proof.tolerance:
        raise ReceiptRefused(ReceiptFault.STALE, "its signed time is too far from now")


def _check_ed25519(proof: Proof, request: ReceiptRequest, settings: Mapping[str, str]) -> None:
    key, is_genuine = _set(proof.key, settings), True
    try:
        given = base64.b64decode(_header(proof, request), validate=True)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(given, covered(proof, request))
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
    if missing := _missing(text, settings):
        raise ReceiptRefused(
            ReceiptFault.SIGNATURE, f"the setting {missing[0]} is not set, by which it would be proven"
        )
    return filled(text, settings)


def _missing(text: str, settings: Mapping[str, str]) -> list[str]:
    """The settings of a text that are not set."""
    node = compiled(text)
    return [name for name in (node.names if isinstance(node, Template) else ()) if not settings.get(name)]


def _same(given: str, wanted: str) -> None:
    if not _is_same(given, wanted):
        raise _forged()


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


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
