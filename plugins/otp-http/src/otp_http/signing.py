"""What a gateway's signature of a report covers, put together from the request as its table says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from otp_http.receipt_sections import Proof
from otpcore.providers import ReceiptRequest

__all__ = ["SIGNED_PARTS", "covered", "field_of", "signed_time"]

_MOST_FIELDS = 1_000


def covered(proof: Proof, request: ReceiptRequest) -> bytes:
    """The bytes that are signed: those of the body are put in as they are."""
    pieces = re.split(r"(\{[a-z]+\})", proof.signed)
    return b"".join(
        _PARTS[piece[1:-1]](proof, request) if piece[1:-1] in _PARTS else piece.encode() for piece in pieces
    )


def field_of(request: ReceiptRequest, name: str) -> str:
    """A field of the report; empty where it is not there, or there more than once."""
    found = [value for each, value in _fields_of(request) if each == name]
    return found[0] if len(found) == 1 else ""


def signed_time(proof: Proof, request: ReceiptRequest) -> str:
    """When it was signed, as the request says it; empty: it says nothing."""
    if proof.timestamp_field:
        return field_of(request, proof.timestamp_field)
    return _header(request, proof.timestamp)


def _fields_of(request: ReceiptRequest) -> list[tuple[str, str]]:
    """Those of the query where it is a GET, else those of the body."""
    text = _split(request.url)[1] if request.method == "GET" else request.body.decode("utf-8", "replace")
    return _pairs(text)


def _fields(proof: Proof, request: ReceiptRequest) -> bytes:
    pairs = sorted((name, value) for name, value in _fields_of(request) if name != proof.field)
    cleaned = ((name, re.sub(f"[{re.escape(proof.replaced)}]", "_", value)) for name, value in pairs)
    plain = pairs if not proof.replaced else cleaned
    return "".join(_written(proof.written, name, value) for name, value in plain).encode()


def _written(form: str, name: str, value: str) -> str:
    """A field as the table writes it; what looks like a placeholder in a value stays as it is."""
    return re.sub(r"\{(name|value)\}", lambda found: name if found[1] == "name" else value, form)


def _query(_: Proof, request: ReceiptRequest) -> bytes:
    pairs = sorted(_pairs(_split(request.url)[1]))
    return ("&".join(f"{name}={value}" for name, value in pairs) + "." if pairs else "").encode()


def _split(url: str) -> tuple[str, str]:
    """A URL without its query, and the query; empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")), parts.query


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return []


def _header(request: ReceiptRequest, name: str) -> str:
    return request.headers.get(name.lower(), "") if name else ""


_PARTS: Mapping[str, Callable[[Proof, ReceiptRequest], bytes]] = {
    "body": lambda _, request: request.body,
    "timestamp": lambda proof, request: signed_time(proof, request).encode(),
    "nonce": lambda proof, request: _header(request, proof.nonce).encode(),
    "method": lambda _, request: request.method.encode(),
    "url": lambda _, request: request.url.encode(),
    "address": lambda _, request: _split(request.url)[0].encode(),
    "query": _query,
    "fields": _fields,
}

SIGNED_PARTS = frozenset(_PARTS)
"""What may be signed."""
