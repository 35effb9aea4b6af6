"""What is typed into a form: a code (``otpcore.parse_code`` reads it), and a phone number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from otpcore.phone.numbers import parse_phone

if TYPE_CHECKING:
    from otpcore.settings.tree import Settings

__all__ = ["CODE_ATTRIBUTES", "PHONE_ATTRIBUTES", "phone_typed"]

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


def phone_typed(text: str, settings: Settings, region: str | None = None) -> str:
    """The number in E.164, by ``otp.number_policy``.

    Args:
        text: As it was typed, with the space before it if there is one: an unescaped ``+`` of a form is read as a space,
            and without that some numbers would be another person's.
        settings: Of the service.
        region: Of numbers without ``+``, such as ``BG``; None: ``otp.default_region``.

    Raises:
        InvalidPhoneNumber: It is not one number, or one that cannot be sent to.
    """
    otp = settings.otp
    found = parse_phone(text, default_region=region or otp.default_region, require_valid=otp.number_policy == "valid")
    return found.e164
