"""The forms in which a secret could be written down, and a search for all of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import attrs

_BETWEEN = re.compile(rb"(?<=[0-9])(?:[ .,()\-]|%20|\\u0020){1,2}(?=[0-9])")
_SHORTEST = 8  # bytes; every form of a secret has more
_HASHES = ("md5", "sha1", "sha256")  # without a key they hide a code or a number from nobody


@attrs.frozen
class Secret:
    """Something that nobody may read: what it is, and its text."""

    name: str
    text: str

    @classmethod
    def phone(cls, e164: str, country: str) -> tuple[Secret, ...]:
        """A number with its country code, and without."""
        return cls("phone", e164[1:]), cls("national number", e164[1 + len(country) :])


@attrs.frozen
class Found:
    """A secret that stands somewhere."""

    where: str
    name: str
    form: str
    around: bytes


def search(places: Mapping[str, bytes], secrets: set[Secret]) -> list[Found]:
    """Every secret in every form in every place."""
    forms: dict[bytes, list[tuple[Secret, str, bytes]]] = {}
    for secret in secrets:
        for form, literal in _literals(secret.text):
            forms.setdefault(literal[:_SHORTEST], []).append((secret, form, literal))
    found = {}
    for where, content in places.items():
        for text in {content, _BETWEEN.sub(b"", content)}:
            for start in range(len(text)):
                for secret, form, literal in forms.get(text[start : start + _SHORTEST], ()):
                    if text.startswith(literal, start):
                        around = text[max(start - 100, 0) : start + 60]
                        found.setdefault((where, secret, form), Found(where, secret.name, form, around))
    return list(found.values())


def _literals(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    yield "plain", raw
    yield "URL-encoded", quote(text, safe="").encode()
    yield "in JSON", json.dumps(text)[1:-1].encode()
    yield "in JSON escapes", "".join(f"\\u{ord(one):04x}" for one in text).encode()
    yield "in hex", raw.hex().encode()
    yield "in hex", raw.hex().upper().encode()
    yield "as UTF-16", text.encode("utf-16-le")
    for shift in range(3):
        # The characters that depend on what stands before and after are left out.
        encoded = base64.b64encode(b"\0" * shift + raw)
        part = encoded[(0, 2, 3)[shift] : len(encoded) - (0, 4, 4)[-(shift + len(raw)) % 3]].rstrip(b"=")
        yield "in base64", part
        yield "in base64url", part.translate(bytes.maketrans(b"+/", b"-_"))
    if text.isdigit():
        for kind in _HASHES:
            for written in (raw, b"+" + raw):
                digest = hashlib.new(kind, written).digest()
                yield kind, digest
                yield f"{kind} in hex", digest.hex().encode()
                yield f"{kind} in base64", base64.b64encode(digest)[:20]
