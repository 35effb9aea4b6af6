"""What is typed into a form: a code, and a phone number."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from otpcore.phone.characters import plain
from otpcore.phone.numbers import parse_phone

if TYPE_CHECKING:
    from otpcore.settings.tree import Settings

__all__ = ["CODE_ATTRIBUTES", "PHONE_ATTRIBUTES", "code_typed", "phone_typed"]

_SHORTEST, _LONGEST = 4, 10  # digits of a code, whatever the settings or a vendor make of it

CODE_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "autocomplete": "one-time-code",
        "inputmode": "numeric",
        "autocapitalize": "off",
        "spellcheck": "false",
        "dir": "ltr",
    }
)
"""Of the input for a code: browsers and phones offer the code that has just arrived, and show digits to type with.

Digits run from left to right in every language.
"""

PHONE_ATTRIBUTES: Mapping[str, str] = MappingProxyType({"autocomplete": "tel", "inputmode": "tel", "dir": "ltr"})
"""Of the input for a phone number."""


def code_typed(text: str) -> str:
    """The digits of a code as a person types or pastes it: spaces, hyphens and other punctuation go.

    Digits of other scripts become those of ASCII.

    Returns:
        4 to 10 digits; empty where the text cannot be a code.
    """
    digits = "".join(one for one in plain(text) if unicodedata.category(one)[0] not in "ZP")
    is_code = digits.isascii() and digits.isdecimal() and _SHORTEST <= len(digits) <= _LONGEST
    return digits if is_code else ""


def phone_typed(text: str, settings: Settings, region: str | None = None) -> str:
    """The number in E.164, by ``otp.number_policy``.

    Args:
        text: As it was typed.
        settings: Of the service.
        region: Of numbers without ``+``, such as ``BG``; None: ``otp.default_region``.

    Raises:
        InvalidPhoneNumber: It is not one number, or one that cannot be sent to.
    """
    otp = settings.otp
    found = parse_phone(text, default_region=region or otp.default_region, require_valid=otp.number_policy == "valid")
    return found.e164
