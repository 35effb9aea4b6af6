"""The text of an HTTP body: every reading that a tolerant client would try, the likeliest first. Pure; no I/O.

Vendors' servers name a charset that they do not use, use one that they do not name, or write it where nobody looks. What a
body means is decided by whoever parses it, so all readings are offered: the byte order mark goes before the header, the header
before what the body says of itself (RFC 7303 §3), and UTF-8 before what remains: the ASCII of any charset, which is where
the words of a protocol are.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

__all__ = ["readings"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMED = re.compile(r""";\s*charset\s*=\s*["']?([^"';,\s]+)""", re.IGNORECASE)
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})
"""Python's text codecs that are no charsets; two of them take time that grows with the square of the length."""
_AROUND = "\ufeff\0 \t\r\n"
_WIDE = 4  # bytes that show whether every other one is zero


def readings(body: bytes, content_type: str = "", declared: str = "") -> Iterator[str]:
    """The texts that a body may be, none twice, without marks, zeros and space around them.

    Args:
        body: As received, decompressed.
        content_type: The header, for its charset.
        declared: The charset that the body names itself, or empty.
    """
    seen: set[str] = set()
    named = _NAMED.search(content_type)
    for charset in (_marked(body), named[1] if named else "", _wide(body), declared, "utf-8"):
        text = _decoded(body, charset)
        if text is not None and text not in seen:
            seen.add(text)
            yield text
    text = body.decode("ascii", "replace").strip(_AROUND)
    if text not in seen:
        yield text


def _decoded(body: bytes, charset: str) -> str | None:
    """The text, if that is a charset and the body is in it."""
    try:
        if not charset or codecs.lookup(charset).name.replace("_", "-") in _NO_CHARSETS:
            return None
        return body.decode(charset).strip(_AROUND)
    except (LookupError, ValueError):  # ValueError: also a name with a zero in it
        return None


def _marked(body: bytes) -> str:
    return next((charset for mark, charset in _MARKS if body.startswith(mark)), "")


def _wide(body: bytes) -> str:
    """UTF-16 without a mark: it begins with ASCII, every other byte of which is zero."""
    start = body[:_WIDE]
    if len(start) < _WIDE or b"\0" not in start:
        return ""
    if not any(start[0::2]) and all(start[1::2]):
        return "utf-16-be"
    return "utf-16-le" if not any(start[1::2]) and all(start[0::2]) else ""
