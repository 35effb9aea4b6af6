"""Phone numbers: parse to E.164, and show them masked."""

from __future__ import annotations

import attrs

from otpcore.errors import InvalidPhoneNumber

__all__ = ["PhoneNumber", "is_region", "parse_phone", "region_of"]


_NO_REGION = "001"  # libphonenumber's region of numbers without a country


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
        """``+3598******67``: the beginning and the last two stay readable, five digits or more are hidden.

        A number too short for that shows less of its beginning, or nothing.
        """
        if len(self.e164) < len("+") + 5 + 2:
            return "+" + "*" * len(self.digits)
        head = min(5, len(self.e164) - 5 - 2)
        return f"{self.e164[:head]}{'*' * (len(self.e164) - head - 2)}{self.e164[-2:]}"

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"<PhoneNumber {self.masked}>"


def parse_phone(text: str, *, default_region: str | None = None, require_valid: bool = True) -> PhoneNumber:
    """Parse what a person typed.

    Args:
        text: The number, with a leading ``+`` unless ``default_region`` is given; blanks, brackets, hyphens and
            other scripts' digits are understood.
        default_region: Two-letter region for numbers without ``+``, such as ``"BG"``.
        require_valid: Also refuse numbers that no operator has been assigned, and premium-rate ones, which are paid for by
            whoever sends there; impossible ones are always refused.

    Raises:
        InvalidPhoneNumber: It is not a number, or not one that could exist, or it has an extension. The message
            never quotes it.
    """
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    if not isinstance(text, str):
        raise InvalidPhoneNumber(f"a phone number must be text, not {type(text).__name__}")
    number = text.strip()
    if number[:4].casefold() == "tel:":
        number = number[4:]
    if not number[1:].isdecimal() and any(character.isalpha() for character in number):
        # libphonenumber dials letters on the keypad: "+359871234567 now" would become another person's number.
        raise InvalidPhoneNumber("not a phone number: it has letters in it")
    try:
        parsed = phonenumbers.parse(number, default_region.upper() if default_region else None)
    except phonenumbers.NumberParseException:
        hint = "" if default_region else "; write it with a leading + and country code, or set otp.default_region"
        raise InvalidPhoneNumber(f"not a phone number{hint}") from None
    if parsed.extension:
        raise InvalidPhoneNumber("a phone number with an extension cannot be reached directly")
    # Not is_possible_number: that also takes a number without its area code, which nobody can dial from abroad.
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise InvalidPhoneNumber("not a possible phone number: its length does not fit its country")
    if require_valid:
        kind = phonenumbers.number_type(parsed)  # one look-up for both: not valid is what it calls unknown
        if kind == phonenumbers.PhoneNumberType.UNKNOWN:
            raise InvalidPhoneNumber("not a phone number in use: its country has not assigned this range")
        if kind == phonenumbers.PhoneNumberType.PREMIUM_RATE:
            raise InvalidPhoneNumber("a premium-rate number: whoever sends there pays for it")
    return PhoneNumber(f"+{parsed.country_code}{phonenumbers.national_significant_number(parsed)}")


def is_region(text: str) -> bool:
    """Whether this is a region whose numbers can be read without a leading ``+``, such as ``"BG"``."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    return text in phonenumbers.SUPPORTED_REGIONS


def region_of(e164: str) -> str:
    """The two-letter region of a number, such as ``"BG"``; empty where it belongs to none (+800 and the like)."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    # Of most calling codes there is one region only; then the number itself need not be looked at.
    for length in (2, 3, 4):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(e164[1:length]))
        if regions is None:
            continue
        if len(regions) == 1:
            return "" if regions[0] == _NO_REGION else str(regions[0])
        national = e164[length:]
        zeros = len(national) - len(
            national.lstrip("0")
        )  # part of a number in Italy; parsing E.164 again costs twice as much
        number = phonenumbers.PhoneNumber(
            country_code=int(e164[1:length]),
            national_number=int(national),
            italian_leading_zero=zeros > 0 or None,
            number_of_leading_zeros=zeros if zeros > 1 else None,
        )
        return str(phonenumbers.region_code_for_number(number) or "")
    return ""
