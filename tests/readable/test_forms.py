"""The scanner finds what it is there to find: without this, an empty result would say nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.parse

import pytest

from .forms import Secret, search

CODE = "8041520734"
PASSWORD = 'pass/w+rd "äöü"'

WRITTEN = {
    "plain": CODE,
    "spaced": " ".join(CODE),
    "in groups": "804-152-0734",
    "spoken": ", ".join(CODE),
    "as a number": json.dumps({"code": int(CODE)}),
    "escaped": "".join(f"\\u{ord(one):04x}" for one in CODE),
    "in hex": CODE.encode().hex().upper(),
    "hashed": hashlib.sha256(CODE.encode()).hexdigest(),
    "hashed with plus": hashlib.sha1(f"+{CODE}".encode(), usedforsecurity=False).hexdigest(),
    **{f"base64 after {n}": base64.b64encode(b"u" * n + CODE.encode() + b"x").decode() for n in range(4)},
    **{f"base64 at the end after {n}": base64.b64encode(b"u" * n + CODE.encode()).decode() for n in range(4)},
}
WRITTEN_PASSWORD = {
    "plain": PASSWORD,
    "in a URL": urllib.parse.quote(PASSWORD, safe=""),
    "in JSON": json.dumps(PASSWORD),
    "in a header": base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    "in base64url": base64.urlsafe_b64encode(f"user:{PASSWORD}:x".encode()).decode(),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_digits_are_found_in_every_form(form: str) -> None:
    text = f"before {WRITTEN[form]} after"
    assert search({"log": text.encode()}, {Secret("code", CODE)})
    assert search({"log": text.encode("utf-16-le")}, {Secret("code", CODE)}) or form != "plain"


@pytest.mark.parametrize("form", WRITTEN_PASSWORD)
def test_words_are_found_in_every_form(form: str) -> None:
    assert search({"log": WRITTEN_PASSWORD[form].encode()}, {Secret("password", PASSWORD)})


def test_what_is_not_there_is_not_found() -> None:
    text = b"804152 0735 +80415****34 " + hashlib.sha256(b"keyed" + CODE.encode()).hexdigest().encode()
    assert search({"log": text}, {Secret("code", CODE), Secret("password", PASSWORD)}) == []
