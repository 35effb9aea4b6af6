"""What a person sees of a text that was typed or pasted: numbers, codes and clients are read after this; pure."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_mark", "plain"]

# Of Unicode's Default_Ignorable_Code_Point those that no category below tells: combining grapheme joiner, fillers of
# Hangul and Khmer, variation selectors. Besides them the box that turns a digit into a keycap, the place of a picture that
# was pasted with the text, and what is no character at all (a byte order mark read the wrong way round).
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u20e3\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\ufffc\ufffe\uffff"
    "\U000e0000-\U000e0fff]"
)
_UNSEEN_CATEGORIES = frozenset({"Cf", "Cs", "Cc"})  # formats, half a character (JSON can write one), controls
_SPACES = frozenset({"Zs", "Zl", "Zp"})
_BLANK = "\u2800"  # a Braille cell without dots
_DASHES = frozenset("\u02d7\u2043\u2053\u207b\u208b\u2212\u30fc\uff70")  # those that Unicode files elsewhere than as Pd
_WIDE = {"\uff0b": "+", "\ufe62": "+", "\u2795": "+", "\uff08": "(", "\uff09": ")", "\uff0e": ".", "\uff0f": "/"}


def plain(text: str) -> str:
    """The same to the eye: no invisible characters, one kind of space and of hyphen, all decimal digits in ASCII.

    Whatever separates words or lines becomes a space. Nothing else is changed.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_plain(character) for character in text)


def is_mark(character: str) -> bool:
    """Punctuation or a symbol: neither a letter nor a digit."""
    return unicodedata.category(character)[0] in "PS"


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACES or character == _BLANK or character.isspace():
        return " "
    if category in _UNSEEN_CATEGORIES or _UNSEEN.match(character):
        return ""
    if category == "Pd" or character in _DASHES:
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return _WIDE.get(character, character)
