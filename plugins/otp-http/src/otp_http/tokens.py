"""Reports that are proven by a JSON Web Token (RFC 7519) with a secret: one algorithm, and nothing else of the format.

A library of JWT would bring every algorithm and a clock of its own; what a gateway signs needs one HMAC, and the clock
of the instance.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["claims_in", "token_of"]

_ALGORITHMS = {"sha256": "HS256", "sha384": "HS384", "sha512": "HS512"}
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


def token_of(claims: Mapping[str, Any], key: bytes, name: str) -> str:
    """A token that says this, signed with this key and hash."""
    said = f"{_encoded({'alg': _ALGORITHMS[name], 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{said}.{_signature(said, key, name)}"


def claims_in(token: str, key: bytes, name: str) -> Mapping[str, Any] | None:
    """What a token says; None where it is none, or not signed with this key and hash.

    Nothing of it is read before its signature is right. Its own word on the algorithm has to be that of the table.
    """
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    header, payload, given = found.groups()
    if not hmac.compare_digest(given.encode(), _signature(f"{header}.{payload}", key, name).encode()):
        return None
    head, claims = _decoded(header), _decoded(payload)
    is_plain = head is not None and head.get("alg") == _ALGORITHMS[name] and "crit" not in head
    return claims if is_plain else None


def _signature(said: str, key: bytes, name: str) -> str:
    return _text(hmac.new(key, said.encode("ascii"), getattr(hashlib, name)).digest())


def _encoded(value: Mapping[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decoded(part: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
