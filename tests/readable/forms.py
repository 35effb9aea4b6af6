"""The forms in which a secret could be written down, and a search for all of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import attrs

_BETWEEN = rb"(?:[ .,()\-]|%20|\\u0020){0,2}"
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
    """Every secret in every form in every place; at most one finding for each."""
    patterns = [(secret, form, re.compile(pattern)) for secret in secrets for form, pattern in _patterns(secret.text)]
    found = []
    for where, content in places.items():
        for secret, form, pattern in patterns:
            if hit := pattern.search(content):
                around = content[max(hit.start() - 100, 0) : hit.end() + 40]
                found.append(Found(where, secret.name, form, around))
    return found


def _patterns(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    if text.isdigit():
        yield "digits", _BETWEEN.join(re.escape(bytes([one])) for one in raw)
        for kind in _HASHES:
            for written in (raw, b"+" + raw):
                digest = hashlib.new(kind, written).digest()
                yield kind, re.escape(digest)
                yield f"{kind} in hex", re.escape(digest.hex().encode())
                yield f"{kind} in base64", re.escape(base64.b64encode(digest)[:20])
    else:
        yield "plain", re.escape(raw)
        yield "URL-encoded", re.escape(quote(text, safe="").encode())
        yield "in JSON", re.escape(json.dumps(text)[1:-1].encode())
    yield "in JSON escapes", re.escape("".join(f"\\u{ord(one):04x}" for one in text).encode())
    yield "in hex", b"(?i)" + re.escape(raw.hex().encode())
    yield "as UTF-16", re.escape(text.encode("utf-16-le"))
    for shift in range(3):
        # The characters that depend on what stands before and after are left out.
        encoded = base64.b64encode(b"\0" * shift + raw)
        part = encoded[(0, 2, 3)[shift] : len(encoded) - (0, 4, 4)[-(shift + len(raw)) % 3]].rstrip(b"=")
        yield "in base64", re.escape(part)
        yield "in base64url", re.escape(part.translate(bytes.maketrans(b"+/", b"-_")))
