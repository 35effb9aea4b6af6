"""Output to terminals and files that do not know every character: the nearest plain ones instead of an error."""

# ruff: noqa: RUF001 - characters that look alike are what this is about
from __future__ import annotations

import codecs
import io
import sys
import unicodedata

__all__ = ["write_what_fits"]

_HANDLER = "otpcore.plain"

_DEFAULTS = {"strict", "surrogateescape", "backslashreplace"}
"""What Python sets by itself; anything else was chosen by PYTHONIOENCODING."""

_NEAREST = {
    **dict.fromkeys("‐‑‒–—―─━╌╍═╴╶╸╺", "-"),
    **dict.fromkeys("│┃║╎╏", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋╞╡╪", "+"),
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″«»", '"'),
    **dict.fromkeys("•●·▪", "*"),
    **dict.fromkeys("✓✔", "v"),
    **dict.fromkeys("✗✘×", "x"),
    **dict.fromkeys("\u2009\u202f\u00a0", " "),
    "…": "...",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
}


def write_what_fits() -> None:
    """From now on no character that standard output or standard error cannot write ends the process."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _DEFAULTS:
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What to write in place of characters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return "".join(_nearest(character) for character in refused), error.end


def _nearest(character: str) -> str:
    """The character without its accents, something that looks like it, or its number."""
    if character in _NEAREST:
        return _NEAREST[character]
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or character.encode("ascii", "backslashreplace").decode()
