"""Phone numbers: parse to E.164, and show them masked."""

from __future__ import annotations

import attrs

from otpcore.errors import InvalidPhoneNumber

__all__ = ["PhoneNumber", "parse_phone"]


@attrs.frozen(repr=False)
class PhoneNumber:
    """A number in E.164. ``str()`` and ``repr()`` are masked; the full number is only ever in ``e164``."""

    e164: str

    @property
    def digits(self) -> str:
        """The number without the leading ``+``."""
        return self.e164[1:]

    @property
    def masked(self) -> str:
        """``+3598*****67``: four digits and the last two stay readable."""
        return f"{self.e164[:5]}{'*' * max(len(self.e164) - 7, 3)}{self.e164[-2:]}"

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"<PhoneNumber {self.masked}>"


def parse_phone(text: str, *, default_region: str | None = None, require_valid: bool = True) -> PhoneNumber:
    """Parse what a person typed.

    Args:
        text: The number, with a leading ``+`` unless ``default_region`` is given.
        default_region: Two-letter region for numbers without ``+``, such as ``"BG"``.
        require_valid: Also refuse numbers that no operator has been assigned (libphonenumber ``is_valid_number``);
            impossible ones are always refused.

    Raises:
        InvalidPhoneNumber: It is not a number, or not one that could exist. The message never quotes it.
    """
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    if not isinstance(text, str):
        raise InvalidPhoneNumber(f"a phone number must be text, not {type(text).__name__}")
    try:
        parsed = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        hint = "" if default_region else "; write it with a leading + and country code, or set otp.default_region"
        raise InvalidPhoneNumber(f"not a phone number{hint}") from None
    if not phonenumbers.is_possible_number(parsed):
        raise InvalidPhoneNumber("not a possible phone number: its length does not fit its country")
    if require_valid and not phonenumbers.is_valid_number(parsed):
        raise InvalidPhoneNumber("not a phone number in use: its country has not assigned this range")
    return PhoneNumber(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
