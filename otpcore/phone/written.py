"""How a phone number was written: its digits and how they are to be read, or why nobody can tell; pure.

What would become somebody else's number is refused: letters (a keypad turns them into digits), extensions, service codes,
the decimals of a spreadsheet, two numbers in one field.
"""

from __future__ import annotations

import re
import unicodedata

import attrs

from otpcore.errors import InvalidPhoneNumber
from otpcore.phone.characters import plain

__all__ = ["LOST_PLUS", "Written", "read_prefix", "read_written", "why_not_understood"]

LOST_PLUS = "; write it with a leading + and country code (a form sends + as %2B: as + it arrives as a space)"
"""What may have happened to a number without a plus sign, and what to do."""

_LONGEST = 1_000  # characters, most of them invisible; nobody writes a number in so many
_SPREADSHEET = "write it as text, with a leading + and country code; a spreadsheet has turned it into a number"

_E164 = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)
_NUMBER = re.compile(r"(\++)?([0-9 \-./()\[\]_·•]*)")
_EXPONENT = re.compile(r"[+-]?[0-9][0-9., ]*e[+-]?[0-9]+", re.IGNORECASE)
_POINT = r" *[.,\u066b\u00b7\u2022_] *"
_DECIMALS = (
    re.compile(  # one separator, and behind it nothing but zeros, or fewer digits than any number is divided into
        rf"[^.,\u066b\u00b7\u2022_]*[0-9]{_POINT}(?:0+|[0-9])"
    )
)
_TRUNK_ZERO = re.compile(r"[(\[] *0 *[)\]]")
_AREA = re.compile(r"[^/]*/[^/]*")
_LONGEST_AREA = 8  # digits before a slash: country code and area code
_SHORTEST_REST = 4  # digits behind it; fewer of them are an extension, or the end of another number

_AROUND = frozenset("'\"`\u00b4.,;:!?…_/|=<>\u260e\u260f\u2706\U0001f4de\U0001f4f1\U0001f4f2")
_AROUND_CATEGORIES = frozenset({"Ps", "Pe", "Pi", "Pf", "Pd", "Zs"})


@attrs.frozen(kw_only=True, repr=False)
class Written:
    """One number as it was written, without all that does not matter.

    Args:
        digits: In ASCII; without the plus sign.
        without_zero: The digits without a zero in brackets, as in ``+44 (0)20 7946 0018``; None: there was none.
        has_plus: They begin with a country code.
        begins_with_space: Where a form was decoded, that may have been the plus sign.
    """

    digits: str
    without_zero: str | None = None
    has_plus: bool
    begins_with_space: bool


def read_written(text: str) -> Written:
    """Take a number apart.

    Raises:
        InvalidPhoneNumber: It is not one number. The message never quotes it.
    """
    if not isinstance(text, str):
        raise InvalidPhoneNumber(f"a phone number must be text, not {type(text).__name__}")
    if _E164.fullmatch(text):
        return Written(digits=text[1:], has_plus=True, begins_with_space=False)
    if len(text) > _LONGEST:
        raise InvalidPhoneNumber("not a phone number: it is far too long")
    seen = plain(text)
    number = _bare(seen[4:] if seen[:4].casefold() == "tel:" else seen)
    if _EXPONENT.fullmatch(number) or _DECIMALS.fullmatch(number):
        raise InvalidPhoneNumber(f"not a phone number: it has a decimal point or an exponent; {_SPREADSHEET}")
    if any(character.isalpha() for character in number):
        raise InvalidPhoneNumber("not a phone number: it has letters in it")
    found = _NUMBER.fullmatch(number)
    if found is None:
        raise InvalidPhoneNumber(_why_not(number))
    _check_slash(found[2])
    return Written(
        digits=_digits(found[2]),
        without_zero=_digits(_TRUNK_ZERO.sub("", found[2], count=1)) if _TRUNK_ZERO.search(found[2]) else None,
        has_plus=bool(found[1]),
        begins_with_space=seen.startswith(" "),
    )


def read_prefix(text: str) -> str:
    """The beginning of numbers, or a region, as it was typed or pasted: read as a number is, ``+35987`` or ``BG``.

    What is neither comes back as a person sees it, to be refused.
    """
    seen = plain(text).strip()
    try:
        written = read_written(text)
    except InvalidPhoneNumber:
        return seen.upper()
    return f"+{written.digits}" if written.has_plus and written.without_zero is None else seen.upper()


def _bare(text: str) -> str:
    """Without quotation marks, brackets and the like around it; a plus sign, ``*`` and ``#`` mean something."""
    first, last = 0, len(text)
    while first < last and _is_around(text[first]):
        first += 1
    while first < last and _is_around(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_around(character: str) -> bool:
    return character in _AROUND or unicodedata.category(character) in _AROUND_CATEGORIES


def _check_slash(number: str) -> None:
    """A slash stands behind an area code, and nowhere else."""
    if "/" not in number:
        return
    area, _, rest = number.partition("/")
    fits = len(_digits(area)) <= _LONGEST_AREA and len(_digits(rest)) >= _SHORTEST_REST
    if not (_AREA.fullmatch(number) and fits):
        raise InvalidPhoneNumber("not one phone number: a slash between numbers; give one of them")


def _why_not(number: str) -> str:
    if "+" in number[1:]:
        return "not one phone number: a + stands inside; give one number"
    if "*" in number or "#" in number:
        return "not a phone number: * and # are for services and extensions, which cannot be reached directly"
    if "," in number or ";" in number:
        return "not one phone number: a comma or a semicolon stands inside; give one number, without an extension"
    return "not a phone number: it holds other characters than digits, spaces, hyphens, dots, brackets and a leading +"


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def why_not_understood(written: Written, default_region: str | None) -> str:
    """Why this is no number, for people."""
    if not written.digits:
        return "not a phone number: it has no digits"
    if written.has_plus:
        return "not a phone number: it is too short or too long, or no country has this calling code"
    if default_region:
        return f"not a phone number{LOST_PLUS}"
    return "not a phone number; write it with a leading + and country code, or set otp.default_region"
